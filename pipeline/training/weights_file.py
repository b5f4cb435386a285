"""Save and load trained weights: safetensors files with provenance and training curves in their metadata."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from pipeline.files import tensors
from pipeline.training.curves import Curves


def save_network(path: Path, state: Mapping[str, Tensor], curves: Curves, provenance: Mapping[str, Any]) -> None:
    """Write a network's weights atomically.

    Parameters
    ----------
    path
        The file to write.
    state
        State dict of the network.
    curves
        How the training went.
    provenance
        What the file says of its origin, JSON values.
    """
    metadata = {"provenance": json.dumps(provenance, sort_keys=True), "curves": curves.to_json()}
    tensors.write(path, partial(save, {name: tensor.contiguous() for name, tensor in state.items()}), metadata)


def load_state(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """Read a state dict onto ``device``. Raises DamagedStore, and quarantines the file, as ``tensors.read``."""
    content, _ = tensors.read(path)
    return {name: tensor.to(device) for name, tensor in load(content).items()}


def load_curves(path: Path) -> Curves:
    """Read how the training went. Raises DamagedStore, and quarantines the file, as ``tensors.read``."""
    _, metadata = tensors.read(path)
    return Curves.from_json(metadata["curves"])
