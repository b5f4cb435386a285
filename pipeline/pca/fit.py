"""Fit principal components to rows, in one pass and bounded memory."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from pipeline.errors import InputError

COVARIANCE_DIMS = 8192
"""Largest number of dimensions for an exact fit, from the whole scatter matrix: 8192² doubles are 537 MB."""
BLOCK_ROWS = 1024
"""Number of samples that enter the fit together, with one decomposition, whatever the batches."""
COLUMNS = 4096
"""Number of dimensions multiplied at a time; these products, in single precision, are summed in double precision."""


def fit_pca(
    batches: Iterable[np.ndarray], *, dims: int | None, energy: float | None, whiten: bool
) -> dict[str, np.ndarray]:
    """Fit principal components to all samples, in one pass; how these are divided into batches does not matter.

    Up to ``COVARIANCE_DIMS`` dimensions the fit is exact, from the covariance summed in float64 [1]_. Beyond, the
    leading ``rank = 2·dims`` directions are updated [2]_, which is exact where the samples' rank is no higher than
    that, and needs ``dims``. There the samples' own precision is used, or float32 for less, with sums and
    decompositions in float64, and no more is kept than ``max(BLOCK_ROWS, rank) + rank + dims`` rows of dim numbers.

    Parameters
    ----------
    batches : iterable of arrays, shape (samples, dim)
        The samples.
    dims
        Number of components; None to choose it by ``energy``.
    energy
        Fraction of the variance that the components explain at least; used where ``dims`` is None.
    whiten
        Divide each component by the standard deviation of its projections.

    Returns
    -------
    dict of arrays
        ``mean`` : float64, shape (dim,).
        ``components`` : float32, shape (dims, dim). Orthonormal rows (before whitening) by falling variance, the
        largest entry of each positive.
        ``variances`` : float64, shape (dims,). Unbiased variances of the projections.
        ``energy`` : float64, shape (). Fraction of the total variance that the components explain. Beyond
        ``COVARIANCE_DIMS`` dimensions, this and the variances are lower bounds.

    Raises
    ------
    InputError
        Where the samples cannot span so many components, or differ in dimension.

    References
    ----------
    .. [1] Chan, Golub and LeVeque, *Algorithms for Computing the Sample Variance* (The American Statistician 1983).
    .. [2] Ross et al., *Incremental Learning for Robust Visual Tracking* (IJCV 2008), section 3.2.

    Examples
    --------
    >>> line = np.arange(6)[:, None] * np.array([3.0, 4.0])
    >>> state = fit_pca([line[:4], line[4:]], dims=1, energy=None, whiten=False)
    >>> state["mean"], state["components"].round(3)
    (array([ 7.5, 10. ]), array([[0.6, 0.8]], dtype=float32))
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
    """Mean and scatter of the samples so far, with a block of pending ones; all counted from the first sample.

    Parameters
    ----------
    dim
        Number of dimensions.
    block_rows
        Number of samples that are merged together.
    precision
        Type of the block.
    """

    def __init__(self, dim: int, block_rows: int, precision: np.dtype[Any]) -> None:
        self.samples = 0
        self.mean = np.zeros(dim)  # of the merged samples, counted from the first
        self.first = np.zeros(dim)
        self.pending = 0
        self.block = np.empty((block_rows + 1, dim), precision)

    def add(self, batch: np.ndarray) -> None:
        """Add samples (samples, dim)."""
        if batch.shape[1] != len(self.mean):
            raise InputError(
                f"PCA of samples with {len(self.mean)} dimensions, and of others with {batch.shape[1]}: all rows must "
                "have the same number, as those of videos of one frame size do"
            )
        while len(batch):
            if not self.samples:
                self.first = batch[0].astype(np.float64)
            part = batch[: len(self.block) - 1 - self.pending]
            rows = self.block[self.pending : self.pending + len(part)]
            np.subtract(part, self.first, out=rows, casting="same_kind")
            self.samples += len(part)
            self.pending += len(part)
            batch = batch[len(part) :]
            if self.pending == len(self.block) - 1:
                self._merge()

    def principal(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the scatter's eigenvalues, falling, and its eigenvectors as rows; nothing can be added after it."""
        if self.pending:
            self._merge()
        return self._principal()

    @property
    def total(self) -> float:
        """Sum of the squared distances from the mean."""
        raise NotImplementedError

    def _merge(self) -> None:
        """Centre the pending samples, and add their outer products to the scatter.

        They are centred on their own mean, and the step between the means, weighted, is one row more: nothing large
        cancels.
        """
        rows, before = self.block[: self.pending + 1], self.samples - self.pending
        mean = rows[:-1].mean(axis=0, dtype=np.float64)
        step = mean - self.mean
        self.mean += step * (self.pending / self.samples)
        rows[:-1] -= mean.astype(rows.dtype)
        rows[-1] = step * np.sqrt(before * self.pending / self.samples)
        self.pending = 0
        self._add_outer_products(rows)

    def _add_outer_products(self, rows: np.ndarray) -> None:
        raise NotImplementedError

    def _principal(self) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError


class FullScatter(Moments):
    """Moments with the whole scatter matrix."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, BLOCK_ROWS, np.dtype(np.float64))
        self.scatter = np.zeros((dim, dim))

    @property
    def total(self) -> float:
        """Sum of the squared distances from the mean."""
        return float(np.trace(self.scatter))

    def _add_outer_products(self, rows: np.ndarray) -> None:
        self.scatter += rows.T @ rows

    def _principal(self) -> tuple[np.ndarray, np.ndarray]:
        return _eigen_falling(self.scatter)


class LowRankScatter(Moments):
    """Moments with a factor of the scatter matrix, whose rows are its leading directions.

    Parameters
    ----------
    dim
        Number of dimensions.
    rank
        Number of directions.
    precision
        Type of the factor.
    """

    def __init__(self, dim: int, rank: int, precision: np.dtype[Any]) -> None:
        super().__init__(dim, max(BLOCK_ROWS, rank), precision)
        self.factor = np.zeros((rank, dim), precision)
        self.eigenvalues = np.zeros(rank)  # the factor's rows are orthogonal: these are their squared lengths
        self.trace = 0.0

    @property
    def total(self) -> float:
        """Sum of the squared distances from the mean."""
        return self.trace

    def _add_outer_products(self, rows: np.ndarray) -> None:
        across, within = _inner_products(rows, self.factor), _inner_products(rows, rows)
        self.trace += float(np.trace(within))
        eigenvalues, rotation = _eigen_falling(np.block([[np.diag(self.eigenvalues), across.T], [across, within]]))
        rank = len(self.factor)
        self.eigenvalues = np.maximum(eigenvalues[:rank], 0)
        of_factor, of_rows = np.hsplit(rotation[:rank].astype(rows.dtype), [rank])
        for columns in _column_blocks(rows):
            self.factor[:, columns] = of_factor @ self.factor[:, columns] + of_rows @ rows[:, columns]

    def _principal(self) -> tuple[np.ndarray, np.ndarray]:
        # once more from the rows themselves, in float64: rounding has left them not quite orthogonal
        eigenvalues, rotation = _eigen_falling(_inner_products(self.factor, self.factor, np.float64))
        floor = max(eigenvalues[0] * np.finfo(np.float64).eps ** 2, np.finfo(np.float64).tiny)
        rotation /= np.sqrt(np.maximum(eigenvalues, floor))[:, None]
        for columns in _column_blocks(self.factor):
            self.factor[:, columns] = rotation @ self.factor[:, columns]
        return eigenvalues, self.factor


def _inner_products(left: np.ndarray, right: np.ndarray, precision: type | None = None) -> np.ndarray:
    """Return the inner products of all pairs of rows, float64."""
    total = np.zeros((len(left), len(right)))
    for columns in _column_blocks(left):
        a, b = (side[:, columns].astype(precision or side.dtype, copy=False) for side in (left, right))
        total += a @ b.T
    return total


def _column_blocks(rows: np.ndarray) -> Iterator[slice]:
    return (slice(start, start + COLUMNS) for start in range(0, rows.shape[1], COLUMNS))


def _eigen_falling(symmetric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues of a symmetric matrix, falling, and its eigenvectors as rows."""
    values, vectors = np.linalg.eigh(symmetric)
    return values[::-1], vectors.T[::-1]


def _moments(batch: np.ndarray, dims: int | None) -> Moments:
    dim = batch.shape[1]
    if dim <= COVARIANCE_DIMS:
        return FullScatter(dim)
    if dims is None:
        raise InputError(
            f"PCA by energy takes up to {COVARIANCE_DIMS} dimensions, and the samples have {dim}; give dims"
        )
    if dims > dim:
        raise InputError(f"PCA to {dims} dimensions: the samples have {dim}; give fewer dims")
    return LowRankScatter(dim, 2 * dims, np.result_type(batch, np.float32))


def _too_few(dims: int, samples: int, rank: int) -> InputError:
    return InputError(
        f"PCA to {dims} dimensions: {samples} samples vary in {rank} at most; give fewer dims, or more samples"
    )


def _state(moments: Moments, dims: int | None, energy: float | None, whiten: bool) -> dict[str, np.ndarray]:
    eigenvalues, directions = moments.principal()
    rounding = max(np.finfo(np.float64).eps, np.finfo(directions.dtype).eps ** 2)
    noise = eigenvalues[0] * len(moments.mean) * rounding
    rank = min(int(np.count_nonzero(eigenvalues > noise)), moments.samples - 1)
    explained = np.cumsum(eigenvalues) / max(moments.total, np.finfo(np.float64).tiny)
    # rounding may miss a share of 1: then all directions along which the samples vary are kept
    dims = dims or min(int(np.searchsorted(explained, energy or 1)) + 1, rank)
    if not 0 < dims <= rank:
        raise _too_few(dims, moments.samples, rank)
    variances, components = eigenvalues[:dims] / (moments.samples - 1), directions[:dims].astype(np.float32, order="C")
    scales = np.sign(np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1))
    components *= scales / np.sqrt(variances)[:, None] if whiten else scales
    return {
        "mean": moments.first + moments.mean,
        "components": components,
        "variances": variances.copy(),
        "energy": np.asarray(min(explained[dims - 1], 1.0)),
    }
