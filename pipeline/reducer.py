"""Principal component analysis, fitted in one pass over features that need not fit in memory."""

import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, PositiveInt, model_validator

from pipeline.config import Config
from pipeline.errors import InputError

COVARIANCE_DIMS = 8192
"""Up to here the scatter matrix is held whole, 8192² doubles being 537 MB (4096²: 134 MB), and the fit is exact."""


class PCA(Config):
    """Features projected on their principal components: so many, or as many as hold a share of the variance."""

    dims: PositiveInt | None = None
    energy: float | None = Field(None, gt=0, le=1, description="share of the variance that the components hold")
    whiten: bool = Field(False, description="scale each projection to variance 1 over the fitted samples")

    @model_validator(mode="after")
    def _one_criterion(self) -> Self:
        if (self.dims is None) == (self.energy is None):
            raise ValueError("give either dims or energy")
        return self


def fit_pca(batches: Iterable[np.ndarray], config: PCA) -> dict[str, np.ndarray]:
    """Fit to all samples of ``batches``, each (samples, dim); how they are divided matters to rounding only.

    Up to ``COVARIANCE_DIMS`` dimensions the fit is exact, from the covariance summed in float64 (updates of Chan,
    Golub and LeVeque, *Algorithms for Computing the Sample Variance*, The American Statistician 1983). Beyond, the
    leading ``2·dims`` directions are carried along (Ross et al., *Incremental Learning for Robust Visual Tracking*,
    IJCV 2008, section 3.2), which is exact where the samples' rank is no higher than that, and needs ``dims``.

    Returns a state of float64 arrays: ``mean (dim,)``; ``components (dims, dim)``, orthonormal rows by falling
    variance, the largest entry of each positive, and with ``whiten`` divided by the standard deviation;
    ``variances (dims,)``, unbiased; and ``energy ()``, the share of the variance that they hold.
    Raises InputError where the samples cannot span so many components.
    """
    moments: Moments | None = None
    for batch in batches:
        batch = np.asarray(batch, dtype=np.float64)
        moments = moments or _moments(batch.shape[1], config)
        if len(batch):
            moments.add(batch)
    if moments is None or moments.samples < 2:
        raise InputError("PCA needs at least 2 samples")
    return _state(moments, config)


def project(state: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
    """(samples, dim) -> (samples, dims) float32."""
    projected: np.ndarray = (features - state["mean"]) @ state["components"].T
    return projected.astype(np.float32)


class Moments:
    """What is kept of the samples seen so far."""

    def __init__(self, dim: int) -> None:
        self.samples = 0
        self.mean = np.zeros(dim)
        self.total = 0.0  # sum of the squared distances from the mean

    def add(self, batch: np.ndarray) -> None:
        """Take in (samples, dim)."""
        raise NotImplementedError

    def principal(self) -> tuple[np.ndarray, np.ndarray]:
        """Squared extent along the principal directions (dims,), falling, and the directions (dims, dim)."""
        raise NotImplementedError

    def _centred(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Move samples, mean and total on; returns the rows by whose outer products the scatter matrix grows.

        They are the batch about its own mean, and the step between the means with its weight: nothing large cancels.
        """
        mean, size, before = batch.mean(axis=0), len(batch), self.samples
        step = mean - self.mean
        self.samples = before + size
        self.mean = self.mean + step * (size / self.samples)
        rows = batch - mean, (step * np.sqrt(before * size / self.samples))[None]
        self.total += sum(float(np.vdot(part, part)) for part in rows)
        return rows


class Scatter(Moments):
    """The whole scatter matrix."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.scatter = np.zeros((dim, dim))

    def add(self, batch: np.ndarray) -> None:
        for rows in self._centred(batch):
            self.scatter += rows.T @ rows

    def principal(self) -> tuple[np.ndarray, np.ndarray]:
        extents, directions = np.linalg.eigh(self.scatter)
        return extents[::-1], directions.T[::-1]


class Leading(Moments):
    """The ``rank`` leading directions, each as long as the samples' extent along it: a factor of the scatter matrix."""

    def __init__(self, dim: int, rank: int) -> None:
        super().__init__(dim)
        self.rank = rank
        self.factor = np.zeros((0, dim))

    def add(self, batch: np.ndarray) -> None:
        for start in range(0, len(batch), self.rank):
            rows = np.concatenate((self.factor, *self._centred(batch[start : start + self.rank])))
            _, rotation = np.linalg.eigh(rows @ rows.T)  # of the small Gram matrix, not of (dim, dim)
            self.factor = rotation.T[::-1][: self.rank] @ rows

    def principal(self) -> tuple[np.ndarray, np.ndarray]:
        extents = np.einsum("ij,ij->i", self.factor, self.factor)
        return extents, self.factor / np.sqrt(np.maximum(extents, np.finfo(np.float64).tiny))[:, None]


def _moments(dim: int, config: PCA) -> Moments:
    if dim <= COVARIANCE_DIMS:
        return Scatter(dim)
    if config.dims is None:
        raise InputError(f"PCA by energy reaches to {COVARIANCE_DIMS} dimensions, not {dim}; give dims")
    return Leading(dim, 2 * config.dims)


def _state(moments: Moments, config: PCA) -> dict[str, np.ndarray]:
    extents, directions = moments.principal()
    noise = extents[0] * len(moments.mean) * np.finfo(np.float64).eps
    rank = min(int(np.count_nonzero(extents > noise)), moments.samples - 1)
    shares = np.cumsum(extents) / max(moments.total, np.finfo(np.float64).tiny)
    # rounding may miss a share of 1: then all directions along which the samples vary are kept
    dims = config.dims or min(int(np.searchsorted(shares, config.energy or 1)) + 1, rank)
    if not 0 < dims <= rank:
        raise InputError(
            f"PCA to {dims} dimensions: {moments.samples} samples vary in {rank}; give fewer, or more samples"
        )
    variances, components = extents[:dims] / (moments.samples - 1), directions[:dims]
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    components = components * np.sign(largest)
    if config.whiten:
        components = components / np.sqrt(variances)[:, None]
    energy = np.asarray(min(shares[dims - 1], 1.0))
    state = {"mean": moments.mean, "components": components, "variances": variances, "energy": energy}
    return {name: array.copy(order="C") for name, array in state.items()}


def save_reducer(path: Path, state: Mapping[str, np.ndarray], provenance: Mapping[str, Any]) -> None:
    """Write what ``fit_pca`` returned atomically, as safetensors."""
    from safetensors.numpy import save

    from pipeline import tensor_file

    tensor_file.write(path, partial(save, dict(state)), {"provenance": json.dumps(provenance, sort_keys=True)})


def load_reducer(path: Path) -> dict[str, np.ndarray]:
    """Read what ``save_reducer`` wrote. Raises DamagedStore, having set the file aside, where it was altered."""
    from safetensors.numpy import load

    from pipeline import tensor_file

    content, _ = tensor_file.read(path)
    return dict(load(content))
