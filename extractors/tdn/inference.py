"""Inference with a temporal difference network."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from extractors.tdn.network import TDNNetwork
from pipeline.training.precision import deterministic
from pipeline.training.weights_file import load_state


class TDNFeatureExtractor:
    """Computes pooled features and scores of both subnetworks, the same bits for the same batch.

    Parameters
    ----------
    build : callable
        Makes the network for a number of classes.
    state : Path
        Safetensors file of its trained weights.
    device : str
        "cpu" or "cuda".
    """

    def __init__(self, build: Callable[[int], TDNNetwork], state: Path, device: str) -> None:
        weights = load_state(state)
        self.network = build(len(weights["image.head.bias"])).eval()
        self.network.load_state_dict(weights)
        self.network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.device = device

    @torch.inference_mode()
    def __call__(self, clips: np.ndarray) -> np.ndarray:
        """Compute pooled features.

        Parameters
        ----------
        clips : ndarray of uint8, shape (batch, segment, height, width, channel)

        Returns
        -------
        ndarray of float32, shape (batch, 2·dim)
            The image subnetwork's, averaged over snippets, then the difference subnetwork's, over differences.
        """
        with deterministic():
            both = self.network.pooled(torch.from_numpy(clips).to(self.device))
        return torch.cat([part.unflatten(0, (len(clips), -1)).mean(dim=1) for part in both], dim=1).cpu().numpy()

    @torch.inference_mode()
    def classify(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Classify features (time, 2·dim) float32: either's scores before the softmax (time, class) float32."""
        halves = torch.from_numpy(features).to(self.device).chunk(2, dim=1)
        heads = (self.network.image.head, self.network.difference.head)
        images, changes = (_scores(half, head.weight, head.bias) for half, head in zip(halves, heads, strict=True))
        return images, changes

    @torch.inference_mode()
    def activations(self, clip: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
        """Compute ``TDNNetwork.activations`` of one clip (segment, height, width, channel) uint8."""
        with deterministic():
            images, changes = self.network.activations(torch.from_numpy(clip).to(self.device), label)
        return images.cpu().numpy(), changes.cpu().numpy()


def _scores(features: Tensor, weight: Tensor, bias: Tensor) -> np.ndarray:
    scores: np.ndarray = F.linear(features, weight, bias).cpu().numpy()
    return scores
