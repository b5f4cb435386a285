"""Keep a training's state in a file, from which it continues after it was killed."""

import hashlib
import io
import pickle
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.errors import lack_of_memory
from pipeline.files.atomic import atomic_path
from pipeline.training.config import Fit

_FORMAT = 2


def identity(state: Mapping[str, Tensor], lengths: Sequence[int], config: Fit, seed: int) -> str:
    """Return the digest of all that a training depends on, but for the examples' content.

    Parameters
    ----------
    state
        State dict of the network before training.
    lengths
        Number of time steps of every example.
    config
        How the network is trained.
    seed
        Seed of the training.
    """
    digest = hashlib.blake2b(f"{_FORMAT} {config.canonical()} {seed} {list(lengths)}".encode(), digest_size=16)
    for name, weight in state.items():
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        digest.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def write(checkpoint: Path, identity: str, state: Mapping[str, Any]) -> None:
    """Write a training's state atomically: tensors, numbers and texts, in mappings and sequences.

    It names the folder that it is for, by which it is known there as kinescope's.
    """
    content, known = io.BytesIO(), {"identity": identity, "stage": checkpoint.parent.name}
    torch.save({**known, **state}, content)  # its own writing hides a full disk's errno
    with atomic_path(checkpoint) as temporary:
        temporary.write_bytes(content.getbuffer())


def read(checkpoint: Path, identity: str) -> dict[str, Any] | None:
    """Read the state that an earlier run of the same training left.

    Parameters
    ----------
    checkpoint
        The file, which need not exist.
    identity
        Digest of the training, from ``identity``.

    Returns
    -------
    dict or None
        The state, its tensors on the CPU; None, with a warning where the file exists, where there is none to use.
    """
    if not checkpoint.exists():
        return None
    content = io.BytesIO(checkpoint.read_bytes())
    try:
        state = torch.load(content, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        if lack_of_memory(error):
            raise
        reason = str(error).partition("\n")[0]
        warnings.warn(f"{checkpoint} is damaged ({reason}): training starts over", RuntimeWarning, stacklevel=3)
        return None
    if not isinstance(state, dict) or state.get("identity") != identity:
        warnings.warn(f"{checkpoint} belongs to another training: this one starts over", RuntimeWarning, stacklevel=3)
        return None
    return state


def stage_of(checkpoint: Path) -> str | None:
    """Return the name of the folder that a checkpoint was written for; None where the file says nothing of the kind."""
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, OSError):
        return None
    stage = state.get("stage") if isinstance(state, dict) else None
    return stage if isinstance(stage, str) else None
