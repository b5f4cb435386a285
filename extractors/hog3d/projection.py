"""Projects features on the principal components of several folds."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import UnusableVideo
from pipeline.training.weights_file import load_state

_BATCH = 64  # stored rows that are widened to float32 at once


class Projections:
    """Projects features on the principal components that were fitted in several folds.

    Parameters
    ----------
    states : mapping of str to Path
        Safetensors files by the folds' names.
    device : str
        "cpu" or "cuda".

    Notes
    -----
    All components are held in memory, ``4·dim·dims`` bytes a fold: 101 MB from 56,000 to 450.
    """

    def __init__(self, states: Mapping[str, Path], device: str) -> None:
        self.device = device
        self.folds = tuple(states)
        fitted = [load_state(path, device) for path in states.values()]
        self.components = [state["components"].T for state in fitted]
        self.offsets = [-(state["components"].double() @ state["mean"].double()).float() for state in fitted]

    @torch.inference_mode()
    def __call__(self, features: Tensor) -> Tensor:
        """Project features.

        Parameters
        ----------
        features : Tensor of float32, shape (n, dim)

        Returns
        -------
        Tensor of float32, shape (n, folds, dims)
            In the order in which the folds were given.

        Raises
        ------
        UnusableVideo
            Where PCA was fitted to features of another width.
        """
        width, wanted = features.shape[1], len(self.components[0])
        if width != wanted:
            raise UnusableVideo(
                f"{width} features, but PCA was fitted to {wanted}: all videos must have the same frame size"
            )
        both = zip(self.offsets, self.components, strict=True)
        return torch.stack([torch.addmm(offset, features, components) for offset, components in both], dim=1)

    def of_rows(self, features: np.ndarray) -> np.ndarray:
        """Project stored features (n, dim) of any float type: (n, folds, dims) float32 on the CPU."""
        parts = (features[at : at + _BATCH].astype(np.float32) for at in range(0, len(features), _BATCH))
        return torch.cat([self(torch.from_numpy(part).to(self.device)).cpu() for part in parts]).numpy()
