"""A training's state in a file, to go on from after it was killed."""

import hashlib
import io
import pickle
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.files.atomic import atomic_path
from pipeline.training.config import Fit

_FORMAT = 2


def identity(state: Mapping[str, Tensor], lengths: Sequence[int], config: Fit, seed: int) -> str:
    """Digest of all that a training depends on, as far as it is known here: not the examples' content.

    state: the network's before training. lengths: of the examples.
    """
    digest = hashlib.blake2b(f"{_FORMAT} {config.canonical()} {seed} {list(lengths)}".encode(), digest_size=16)
    for name, weight in state.items():
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        digest.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def write(checkpoint: Path, identity: str, state: Mapping[str, Any]) -> None:
    """Keep ``state``: tensors, numbers and texts, in mappings and sequences."""
    content = io.BytesIO()
    torch.save({"identity": identity, **state}, content)  # its own writing hides a full disk's errno
    with atomic_path(checkpoint) as temporary:
        temporary.write_bytes(content.getbuffer())


def read(checkpoint: Path, identity: str) -> dict[str, Any] | None:
    """What an earlier run left, on the CPU; None where there is nothing, or what cannot be trusted."""
    if not checkpoint.exists():
        return None
    content = io.BytesIO(checkpoint.read_bytes())
    try:
        state = torch.load(content, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        warnings.warn(f"{checkpoint} is damaged ({reason}): training starts anew", RuntimeWarning, stacklevel=3)
        return None
    if not isinstance(state, dict) or state.get("identity") != identity:
        warnings.warn(f"{checkpoint} is of another training: starting anew", RuntimeWarning, stacklevel=3)
        return None
    return state
