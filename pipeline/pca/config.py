"""Configure a principal component analysis."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from pipeline.config import Config, Count

if TYPE_CHECKING:
    import numpy as np


class PCA(Config):
    """Projection of features on their principal components.

    Parameters
    ----------
    dims
        Number of components.
    energy
        Fraction of the variance, in (0, 1], that the components explain at least; exactly one of it and ``dims``.
    whiten
        Scale each projection to variance 1 over the fitted samples.

    Raises
    ------
    ValidationError
        Where a field is wrong, or both or none of ``dims`` and ``energy`` are given.
    """

    version: ClassVar[int] = 2

    dims: Count | None = None
    energy: float | None = Field(None, gt=0, le=1, description="fraction of the variance that the components explain")
    whiten: bool = Field(False, description="scale each projection to variance 1 over the fitted samples")

    @model_validator(mode="after")
    def _one_criterion(self) -> Self:
        if (self.dims is None) == (self.energy is None):
            raise ValueError("give either dims or energy")
        return self

    def fit(self, batches: "Iterable[np.ndarray]") -> "dict[str, np.ndarray]":
        """Fit principal components to all samples of ``batches``; see ``pipeline.pca.fit.fit_pca``."""
        from pipeline.pca.fit import fit_pca

        return fit_pca(batches, dims=self.dims, energy=self.energy, whiten=self.whiten)
