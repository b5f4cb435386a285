"""Networks of clips that were trained on Kinetics-400, as they are used."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.training.precision import deterministic

CLASSES = 400
"""Classes of Kinetics-400."""


class KineticsFeatureExtractor:
    """Computes features and scores of windows, the same bits for the same batch.

    Parameters
    ----------
    network : Module
        From clips (batch, channels, frames, height, width) to features (batch, dim) and scores (batch, 400).
    state : mapping of str to Tensor
        Its state dict.
    clips : callable
        Makes clips of windows, as tensors.
    device : str
        "cpu" or "cuda".
    """

    def __init__(
        self, network: nn.Module, state: Mapping[str, Tensor], clips: Callable[[Tensor], Tensor], device: str
    ) -> None:
        network.load_state_dict(state)
        self.network = network.eval().to(device)
        self.clips = clips
        self.device = device

    @torch.inference_mode()
    def __call__(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute features (batch, dim) and scores (batch, 400), float32, of windows as ``clips`` takes them."""
        clips = self.clips(torch.from_numpy(windows).to(self.device))
        with deterministic():
            features, scores = self.network(clips)
        return features.cpu().numpy(), scores.cpu().numpy()
