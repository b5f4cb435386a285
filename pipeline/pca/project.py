"""Projects rows on principal components, and keeps these in a file."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

PROJECTED_ROWS = 256


def project(state: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
    """(samples, dim) -> (samples, dims) float32, ``PROJECTED_ROWS`` at a time in the features' precision or float32."""
    components = state["components"]
    precision = np.result_type(features, components)
    mean = state["mean"].astype(precision)
    projected = np.empty((len(features), len(components)), np.float32)
    for start in range(0, len(features), PROJECTED_ROWS):
        rows = slice(start, start + PROJECTED_ROWS)
        # centred before it is projected: the projections of both may be large beside their difference
        projected[rows] = np.subtract(features[rows], mean, dtype=precision) @ components.T
    return projected


def save_reducer(path: Path, state: Mapping[str, np.ndarray], provenance: Mapping[str, Any]) -> None:
    """Write what ``fit_pca`` returned atomically, as safetensors."""
    from safetensors.numpy import save

    from pipeline.files import tensors

    tensors.write(path, partial(save, dict(state)), {"provenance": json.dumps(provenance, sort_keys=True)})


def load_reducer(path: Path) -> dict[str, np.ndarray]:
    """Read what ``save_reducer`` wrote. Raises DamagedStore, having set the file aside, where it was altered."""
    from safetensors.numpy import load

    from pipeline.files import tensors

    content, _ = tensors.read(path)
    return dict(load(content))
