"""Project rows on principal components, and keep these in a file."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

PROJECTED_ROWS = 256
"""Number of samples projected at a time."""


def project(state: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
    """Project features on principal components, in the features' precision, or float32 for less.

    Parameters
    ----------
    state
        What ``fit_pca`` returned.
    features : array, shape (samples, dim)
        Features, of as many dimensions as were fitted.

    Returns
    -------
    float32 array, shape (samples, dims)

    Examples
    --------
    >>> state = {"mean": np.array([1.0, 1.0]), "components": np.array([[0.6, 0.8]], np.float32)}
    >>> project(state, np.array([[1.0, 1.0], [4.0, 5.0]]))
    array([[0.],
           [5.]], dtype=float32)
    """
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
    """Write what ``fit_pca`` returned, and where it comes from, to a safetensors file, atomically."""
    from safetensors.numpy import save

    from pipeline.files import tensors

    tensors.write(path, partial(save, dict(state)), {"provenance": json.dumps(provenance, sort_keys=True)})


def load_reducer(path: Path) -> dict[str, np.ndarray]:
    """Read what ``save_reducer`` wrote. Raises DamagedStore, and quarantines the file, as ``tensors.read``."""
    from safetensors.numpy import load

    from pipeline.files import tensors

    content, _ = tensors.read(path)
    return dict(load(content))
