"""A temporal segment network that is only read from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from extractors.backbones.normalisation import Normalise
from extractors.backbones.registry import BACKBONES
from extractors.deterministic import deterministic
from extractors.snippets.modality import SNIPPETS, Modality
from extractors.weights import adapt, load
from pipeline.training.weights_file import load_state


class SnippetFeatureExtractor:
    """Snippets in, pooled features out, the same bits for the same batch; and the classifier, where it was trained.

    state: the backbone's, under the keys of any known project; head: weight (class, dim) and bias (class,).
    Raises InputError where the state is another network's.
    """

    def __init__(
        self, backbone: str, modality: Modality, state: Mapping[str, Tensor], head: tuple[Tensor, ...], device: str
    ) -> None:
        network = BACKBONES[backbone](channels=SNIPPETS[modality].channels)
        network.load_state_dict(adapt(state, network))
        self.network = network.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.normalise = Normalise(network.normalisation, modality).to(device)
        self.head = tuple(tensor.to(device) for tensor in head)
        self.device = device

    @classmethod
    def pretrained(cls, backbone: str, modality: Modality, weights: Path, device: str) -> Self:
        """Weights as they are; a classifier that comes with them is left out."""
        return cls(backbone, modality, load(weights), (), device)

    @classmethod
    def trained(cls, backbone: str, modality: Modality, file: Path, device: str) -> Self:
        """What ``FittedTSN`` leads to."""
        state = load_state(file)
        head = state.pop("head.weight"), state.pop("head.bias")
        return cls(backbone, modality, state, head, device)

    @torch.inference_mode()
    def __call__(self, snippets: np.ndarray) -> np.ndarray:
        """(batch, height, width, channel) uint8 as ``Normalise`` takes them -> features (batch, dim) float32."""
        with deterministic():
            pooled: Tensor = self.network.pooled(self.normalise(torch.from_numpy(snippets).to(self.device)))
        return pooled.cpu().numpy()

    @torch.inference_mode()
    def classify(self, features: np.ndarray) -> np.ndarray:
        """(time, dim) float32 -> scores before the softmax (time, class) float32."""
        scores: Tensor = F.linear(torch.from_numpy(features).to(self.device), *self.head)
        return scores.cpu().numpy()
