"""Seed, save and restore torch's global random generators."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[None]:
    """Seed torch's global generator, and that of ``device``, while the block runs; then restore them."""
    devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        reseed(seed, device)
        yield


def reseed(seed: int, device: str) -> None:
    """Seed the CPU's generator and, where ``device`` is a GPU, the device's."""
    torch.default_generator.manual_seed(seed)
    if torch.device(device).type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def states(device: str) -> list[Tensor]:
    """Return the states of the CPU's generator and, where ``device`` is a GPU, of the device's."""
    on_gpu = torch.device(device).type == "cuda"
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if on_gpu else [])]


def restore(states: list[Tensor], device: str) -> None:
    """Restore the generators from ``states``; where these are the CPU's alone, a GPU's generator stays as it is."""
    torch.set_rng_state(states[0])
    if torch.device(device).type == "cuda":
        for state in states[1:]:
            torch.cuda.set_rng_state(state, device)
