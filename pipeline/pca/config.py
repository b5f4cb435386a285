"""Configuration of a principal component analysis."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, PositiveInt, model_validator

from pipeline.config import Config

if TYPE_CHECKING:
    import numpy as np


class PCA(Config):
    """Features projected on their principal components: so many, or as many as hold a share of the variance."""

    version: ClassVar[int] = 2

    dims: PositiveInt | None = None
    energy: float | None = Field(None, gt=0, le=1, description="share of the variance that the components hold")
    whiten: bool = Field(False, description="scale each projection to variance 1 over the fitted samples")

    @model_validator(mode="after")
    def _one_criterion(self) -> Self:
        if (self.dims is None) == (self.energy is None):
            raise ValueError("give either dims or energy")
        return self

    def fit(self, batches: "Iterable[np.ndarray]") -> "dict[str, np.ndarray]":
        """Fit to all samples of ``batches``, as ``pipeline.pca.fit.fit_pca`` says."""
        from pipeline.pca.fit import fit_pca

        return fit_pca(batches, dims=self.dims, energy=self.energy, whiten=self.whiten)
