"""Trained weights in a file: safetensors, with provenance and training curves in its metadata."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from pipeline.atomic import set_aside, whole
from pipeline.fit import Curves


def save_network(path: Path, state: Mapping[str, Tensor], curves: Curves, provenance: Mapping[str, Any]) -> None:
    """Write a state dict atomically."""
    metadata = {"provenance": json.dumps(provenance, sort_keys=True), "curves": curves.to_json()}
    content = save({name: tensor.contiguous() for name, tensor in state.items()}, metadata)
    with whole(path) as temporary:
        temporary.write_bytes(content)  # safetensors' own writing hides a full disk's errno


def load_state(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """The state dict. Raises DamagedStore, having set the file aside, where it is not whole."""
    try:
        return dict(load_file(path, device=device))
    except SafetensorError as error:
        set_aside(path, error)


def load_curves(path: Path) -> Curves:
    """How the training went."""
    with safe_open(path, "pt") as file:
        return Curves.from_json(file.metadata()["curves"])
