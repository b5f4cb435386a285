"""Fits principal components to rows, in one pass and bounded memory."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from pipeline.errors import InputError

COVARIANCE_DIMS = 8192
"""Up to here the scatter matrix is held whole, 8192² doubles being 537 MB (4096²: 134 MB), and the fit is exact."""
BLOCK_ROWS = 1024
"""So many samples are gathered before they are taken in together: one decomposition each, whatever the batches."""
COLUMNS = 4096
"""Dimensions in hand at a time; single-precision products over so many are summed in double precision."""


def fit_pca(
    batches: Iterable[np.ndarray], *, dims: int | None, energy: float | None, whiten: bool
) -> dict[str, np.ndarray]:
    """Fit to all samples of ``batches``, each (samples, dim), in one pass; how they are divided does not matter.

    Up to ``COVARIANCE_DIMS`` dimensions the fit is exact, from the covariance summed in float64 (updates of Chan,
    Golub and LeVeque, *Algorithms for Computing the Sample Variance*, The American Statistician 1983). Beyond, the
    leading ``rank = 2·dims`` directions are carried along (Ross et al., *Incremental Learning for Robust Visual
    Tracking*, IJCV 2008, section 3.2), which is exact where the samples' rank is no higher than that, and needs
    ``dims``. There the samples' own precision is used, or float32 for less, with sums and decompositions in float64,
    and no more is kept than ``max(BLOCK_ROWS, rank) + rank + dims`` rows of dim numbers.

    Returns a state: ``mean (dim,)`` float64; ``components (dims, dim)`` float32, whose rounding is that of what they
    project to: orthonormal rows by falling variance, the largest entry of each positive, and with ``whiten`` divided by
    the standard deviation; ``variances (dims,)`` float64, unbiased; and ``energy ()`` float64, their share of the total
    variance. Where directions were left out on the way, both are lower bounds of what the components hold.
    Raises InputError where the samples cannot span so many components.
    """
    moments: Moments | None = None
    for batch in batches:
        moments = moments or _moments(batch, dims)
        moments.add(batch)
    if moments is None or moments.samples < 2:
        raise InputError("PCA needs at least 2 samples")
    if dims and dims >= moments.samples:  # before a long decomposition finds out
        raise _too_few(dims, moments.samples, moments.samples - 1)
    return _state(moments, dims, energy, whiten)


class Moments:
    """What is kept of the samples seen so far: those not yet taken in, counted from the first of all, and the rest."""

    def __init__(self, dim: int, block_rows: int, precision: np.dtype[Any]) -> None:
        self.samples = 0
        self.mean = np.zeros(dim)  # of the samples taken in, counted from the first
        self.first = np.zeros(dim)
        self.waiting = 0
        self.block = np.empty((block_rows + 1, dim), precision)

    def add(self, batch: np.ndarray) -> None:
        """Take in (samples, dim)."""
        if batch.shape[1] != len(self.mean):
            raise InputError(
                f"PCA of samples with {len(self.mean)} dimensions, and of others with {batch.shape[1]}: all rows must "
                "have the same number, as those of videos of one frame size do"
            )
        while len(batch):
            if not self.samples:
                self.first = batch[0].astype(np.float64)
            part = batch[: len(self.block) - 1 - self.waiting]
            rows = self.block[self.waiting : self.waiting + len(part)]
            np.subtract(part, self.first, out=rows, casting="same_kind")
            self.samples += len(part)
            self.waiting += len(part)
            batch = batch[len(part) :]
            if self.waiting == len(self.block) - 1:
                self._take_in()

    def principal(self) -> tuple[np.ndarray, np.ndarray]:
        """Squared extents along the principal directions, falling, and the directions (dims, dim); nothing follows."""
        if self.waiting:
            self._take_in()
        return self._principal()

    @property
    def total(self) -> float:
        """Sum of the squared distances from the mean."""
        raise NotImplementedError

    def _take_in(self) -> None:
        """Centre the samples that wait, and grow the scatter matrix by their outer products.

        They are taken about their own mean, with the step between the means, weighted, as one row more: nothing large
        cancels.
        """
        rows, before = self.block[: self.waiting + 1], self.samples - self.waiting
        mean = rows[:-1].mean(axis=0, dtype=np.float64)
        step = mean - self.mean
        self.mean += step * (self.waiting / self.samples)
        rows[:-1] -= mean.astype(rows.dtype)
        rows[-1] = step * np.sqrt(before * self.waiting / self.samples)
        self.waiting = 0
        self._grow(rows)

    def _grow(self, rows: np.ndarray) -> None:
        """Add the outer products of some rows."""
        raise NotImplementedError

    def _principal(self) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError


class Scatter(Moments):
    """The whole scatter matrix."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, BLOCK_ROWS, np.dtype(np.float64))
        self.scatter = np.zeros((dim, dim))

    @property
    def total(self) -> float:
        return float(np.trace(self.scatter))

    def _grow(self, rows: np.ndarray) -> None:
        self.scatter += rows.T @ rows

    def _principal(self) -> tuple[np.ndarray, np.ndarray]:
        return _falling(self.scatter)


class Leading(Moments):
    """The ``rank`` leading directions, each as long as the samples' extent along it: a factor of the scatter matrix."""

    def __init__(self, dim: int, rank: int, precision: np.dtype[Any]) -> None:
        super().__init__(dim, max(BLOCK_ROWS, rank), precision)
        self.factor = np.zeros((rank, dim), precision)
        self.extents = np.zeros(rank)  # the factor's rows are orthogonal: these are their squared lengths
        self.seen = 0.0

    @property
    def total(self) -> float:
        return self.seen

    def _grow(self, rows: np.ndarray) -> None:
        across, within = _products(rows, self.factor), _products(rows, rows)
        self.seen += float(np.trace(within))
        extents, rotation = _falling(np.block([[np.diag(self.extents), across.T], [across, within]]))
        rank = len(self.factor)
        self.extents = np.maximum(extents[:rank], 0)
        of_factor, of_rows = np.hsplit(rotation[:rank].astype(rows.dtype), [rank])
        for part in _parts(rows):
            self.factor[:, part] = of_factor @ self.factor[:, part] + of_rows @ rows[:, part]

    def _principal(self) -> tuple[np.ndarray, np.ndarray]:
        # once more from the rows themselves, in float64: rounding has left them not quite orthogonal
        extents, rotation = _falling(_products(self.factor, self.factor, np.float64))
        least = max(extents[0] * np.finfo(np.float64).eps ** 2, np.finfo(np.float64).tiny)
        rotation /= np.sqrt(np.maximum(extents, least))[:, None]
        for part in _parts(self.factor):
            self.factor[:, part] = rotation @ self.factor[:, part]
        return extents, self.factor


def _products(left: np.ndarray, right: np.ndarray, precision: type | None = None) -> np.ndarray:
    """Inner products of rows, float64."""
    total = np.zeros((len(left), len(right)))
    for part in _parts(left):
        a, b = (side[:, part].astype(precision or side.dtype, copy=False) for side in (left, right))
        total += a @ b.T
    return total


def _parts(rows: np.ndarray) -> Iterator[slice]:
    return (slice(start, start + COLUMNS) for start in range(0, rows.shape[1], COLUMNS))


def _falling(symmetric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, falling, and the eigenvectors as rows."""
    values, vectors = np.linalg.eigh(symmetric)
    return values[::-1], vectors.T[::-1]


def _moments(batch: np.ndarray, dims: int | None) -> Moments:
    dim = batch.shape[1]
    if dim <= COVARIANCE_DIMS:
        return Scatter(dim)
    if dims is None:
        raise InputError(f"PCA by energy reaches to {COVARIANCE_DIMS} dimensions, not {dim}; give dims")
    if dims > dim:
        raise InputError(f"PCA to {dims} dimensions: the samples have {dim}; give fewer dims")
    return Leading(dim, 2 * dims, np.result_type(batch, np.float32))


def _too_few(dims: int, samples: int, rank: int) -> InputError:
    return InputError(
        f"PCA to {dims} dimensions: {samples} samples vary in {rank} at most; give fewer dims, or more samples"
    )


def _state(moments: Moments, dims: int | None, energy: float | None, whiten: bool) -> dict[str, np.ndarray]:
    extents, directions = moments.principal()
    rounding = max(np.finfo(np.float64).eps, np.finfo(directions.dtype).eps ** 2)
    noise = extents[0] * len(moments.mean) * rounding
    rank = min(int(np.count_nonzero(extents > noise)), moments.samples - 1)
    shares = np.cumsum(extents) / max(moments.total, np.finfo(np.float64).tiny)
    # rounding may miss a share of 1: then all directions along which the samples vary are kept
    dims = dims or min(int(np.searchsorted(shares, energy or 1)) + 1, rank)
    if not 0 < dims <= rank:
        raise _too_few(dims, moments.samples, rank)
    variances, components = extents[:dims] / (moments.samples - 1), directions[:dims].astype(np.float32, order="C")
    scales = np.sign(np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1))
    components *= scales / np.sqrt(variances)[:, None] if whiten else scales
    return {
        "mean": moments.first + moments.mean,
        "components": components,
        "variances": variances.copy(),
        "energy": np.asarray(min(shares[dims - 1], 1.0)),
    }
