"""Chooses the device of networks."""

import os
from pathlib import Path

from pipeline.errors import InputError


def wants_gpu(asked: str) -> bool:
    """Return whether "auto", "cpu" or "cuda" asks for a GPU on this machine, without loading torch."""
    return asked.startswith("cuda") or (asked == "auto" and Path("/proc/driver/nvidia/gpus").exists())


def choose(asked: str) -> str:
    """Return the torch device that is asked for.

    Parameters
    ----------
    asked
        "auto", which is a GPU where there is one, or a torch device: "cpu", "cuda", "cuda:<n>".

    Raises
    ------
    InputError
        Where CUDA is asked for and absent.

    Examples
    --------
    >>> choose("cpu")
    'cpu'
    """
    if not wants_gpu(asked):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda" if asked == "auto" else asked
    if asked == "auto":
        return "cpu"
    raise InputError(f"device = {asked}, but torch sees no CUDA device: cpu, or auto, is possible")


def cores() -> int:
    """Return the number of the machine's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
