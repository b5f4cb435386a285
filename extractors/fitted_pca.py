"""Principal components as the fitted part of an extractor."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import PositiveInt

from extractors.base import FittedNetwork, Labelled
from pipeline.errors import InputError
from pipeline.pca.config import PCA

if TYPE_CHECKING:
    import torch

    from pipeline.training.curves import Curves


class FittedProjection(FittedNetwork):
    """PCA of the ``features`` of the training videos' rows; of each row some positions, drawn at random."""

    pca: PCA
    sampled_frames: PositiveInt

    def train(self, material: Labelled, *, device: str, checkpoint: Path) -> "tuple[dict[str, torch.Tensor], Curves]":
        """What ``fit_pca`` finds, by name; there is nothing to draw as curves.

        Raises InputError where the rows do not hold so many components, or differ in width.
        """
        import torch

        from pipeline.training.curves import Curves

        state = self.pca.fit(self._samples(material))
        return {name: torch.from_numpy(array) for name, array in state.items()}, Curves()

    def _samples(self, material: Labelled) -> Iterator[np.ndarray]:
        from tqdm import tqdm

        width = None
        rows = tqdm(material.rows, desc="PCA", unit="row", disable=None)
        for video, row in zip(material.videos, rows, strict=True):
            features = row.arrays["features"]
            width = width or features.shape[1]
            if features.shape[1] != width:
                raise InputError(
                    f"{video} has {features.shape[1]} features a frame, where {material.videos[0]} has {width}: all "
                    "videos must have one frame size"
                )
            yield features[sample(len(features), self.sampled_frames, self.seed)]


def sample(positions: int, size: int, seed: int) -> np.ndarray:
    """Rising numbers of ``size`` of the positions, drawn at random; all where there are no more."""
    if positions <= size:
        return np.arange(positions)
    return np.sort(np.random.default_rng(seed).choice(positions, size, replace=False))
