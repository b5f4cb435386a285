"""A temporal difference network that is only read from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from extractors.deterministic import deterministic
from extractors.tdn.network import TDNNetwork
from pipeline.training.weights_file import load_state


class TDNFeatureExtractor:
    """Clips in, pooled features of both subnetworks out, the same bits for the same batch; and their classifiers.

    build: the network for so many classes; state: the file of its trained weights.
    """

    def __init__(self, build: Callable[[int], TDNNetwork], state: Path, device: str) -> None:
        weights = load_state(state)
        self.network = build(len(weights["image.head.bias"])).eval()
        self.network.load_state_dict(weights)
        self.network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.device = device

    @torch.inference_mode()
    def __call__(self, clips: np.ndarray) -> np.ndarray:
        """(batch, segment, height, width, channel) uint8 -> means over snippets and differences (batch, 2·dim)."""
        with deterministic():
            both = self.network.pooled(torch.from_numpy(clips).to(self.device))
        return torch.cat([part.unflatten(0, (len(clips), -1)).mean(dim=1) for part in both], dim=1).cpu().numpy()

    @torch.inference_mode()
    def classify(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(time, 2·dim) float32 -> the scores of each subnetwork before the softmax, (time, class) float32 both."""
        halves = torch.from_numpy(features).to(self.device).chunk(2, dim=1)
        heads = (self.network.image.head, self.network.difference.head)
        images, changes = (_scores(half, head.weight, head.bias) for half, head in zip(halves, heads, strict=True))
        return images, changes

    @torch.inference_mode()
    def activations(self, clip: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
        """Of one clip (segment, height, width, channel) uint8, as ``TDNNetwork.activations``."""
        with deterministic():
            images, changes = self.network.activations(torch.from_numpy(clip).to(self.device), label)
        return images.cpu().numpy(), changes.cpu().numpy()


def _scores(features: Tensor, weight: Tensor, bias: Tensor) -> np.ndarray:
    scores: np.ndarray = F.linear(features, weight, bias).cpu().numpy()
    return scores
