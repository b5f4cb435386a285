"""Fits principal components as the fitted part of an extractor."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from extractors.base import FittedNetwork, Labelled
from pipeline.config import Count
from pipeline.errors import InputError
from pipeline.pca.config import PCA

if TYPE_CHECKING:
    import torch

    from pipeline.training.curves import Curves


class FittedProjection(FittedNetwork):
    """PCA of the ``features`` of the training videos' rows, at positions of each row that are drawn at random."""

    pca: PCA = Field(description="principal components that are kept")
    sampled_frames: Count = Field(description="largest number of positions of a row that are drawn")

    def train(self, material: Labelled, *, device: str, checkpoint: Path) -> "tuple[dict[str, torch.Tensor], Curves]":
        """Fit the components and return the arrays of ``fit_pca`` by name; their curves are empty.

        Raises
        ------
        InputError
            Where the rows do not have that many components, or differ in width.
        """
        import torch

        from pipeline.training.curves import Curves

        state = self.pca.fit(self._samples(material))
        return {name: torch.from_numpy(array) for name, array in state.items()}, Curves()

    def _samples(self, material: Labelled) -> Iterator[np.ndarray]:
        from pipeline.files.progress import Bar

        width = None
        rows = Bar(material.rows, desc="fitting PCA", unit="row")
        for video, row in zip(material.videos, rows, strict=True):
            features = row.arrays["features"]
            width = width or features.shape[1]
            if features.shape[1] != width:
                raise InputError(
                    f"{video} has {features.shape[1]} features a frame, but {material.videos[0]} has {width}: all "
                    "videos must have the same frame size"
                )
            yield features[sample(len(features), self.sampled_frames, self.seed)]


def sample(positions: int, size: int, seed: int) -> np.ndarray:
    """Draw positions at random.

    Parameters
    ----------
    positions : int
        Number of positions there are.
    size : int
        Number of positions to draw.
    seed : int

    Returns
    -------
    ndarray of int64, shape (min(size, positions),)
        Rising.

    Examples
    --------
    >>> sample(3, 5, seed=0)
    array([0, 1, 2])
    """
    if positions <= size:
        return np.arange(positions)
    return np.sort(np.random.default_rng(seed).choice(positions, size, replace=False))
