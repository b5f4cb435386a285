"""Trained weights in a file: safetensors, with provenance and training curves in its metadata."""

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
    """Write a state dict atomically."""
    metadata = {"provenance": json.dumps(provenance, sort_keys=True), "curves": curves.to_json()}
    tensors.write(path, partial(save, {name: tensor.contiguous() for name, tensor in state.items()}), metadata)


def load_state(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """The state dict. Raises DamagedStore, having set the file aside, where it is not as it was written."""
    content, _ = tensors.read(path)
    return {name: tensor.to(device) for name, tensor in load(content).items()}


def load_curves(path: Path) -> Curves:
    """How the training went. Raises DamagedStore as ``load_state`` does."""
    _, metadata = tensors.read(path)
    return Curves.from_json(metadata["curves"])
