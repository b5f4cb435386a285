"""Principal components as the fitted part of an extractor."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import PositiveInt

from extractors.base import FittedNetwork, Labelled
from pipeline.reducer import PCA, fit_pca

if TYPE_CHECKING:
    import torch

    from pipeline.fit import Curves


class FittedProjection(FittedNetwork):
    """PCA of the ``features`` of the training videos' rows; of each row some positions, drawn at random."""

    pca: PCA
    sampled_frames: PositiveInt

    def train(self, material: Labelled, *, device: str, checkpoint: Path) -> "tuple[dict[str, torch.Tensor], Curves]":
        """What ``fit_pca`` finds, by name; there is nothing to draw as curves.

        Raises InputError where the rows do not hold so many components, or differ in width.
        """
        import torch
        from tqdm import tqdm

        from pipeline.fit import Curves

        rows = (row.arrays["features"] for row in tqdm(material.rows, desc="PCA", unit="row", disable=None))
        samples = (features[sample(len(features), self.sampled_frames, self.seed)] for features in rows)
        state = fit_pca(samples, self.pca)
        return {name: torch.from_numpy(array) for name, array in state.items()}, Curves()


def sample(positions: int, size: int, seed: int) -> np.ndarray:
    """Rising numbers of ``size`` of the positions, drawn at random; all where there are no more."""
    if positions <= size:
        return np.arange(positions)
    return np.sort(np.random.default_rng(seed).choice(positions, size, replace=False))
