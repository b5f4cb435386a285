"""Inference with a temporal segment network."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from extractors.backbones.normalisation import Normalise
from extractors.backbones.registry import backbone as image_network
from extractors.libraries.names import library_of
from extractors.snippets.modality import SNIPPETS, Modality
from extractors.weights.state_dicts import adapt, check_modality, load
from pipeline.training.precision import deterministic
from pipeline.training.weights_file import load_state


def pretrained_state(backbone: str, modality: Modality, weights: Path) -> dict[str, Tensor]:
    """Load weights that are used as they are, under the backbone's own keys.

    Raises
    ------
    InputError
        Where they are another network's, or of RGB where the modality is another.
    """
    with torch.device("meta"):
        network = image_network(backbone, SNIPPETS[modality].channels)
    state = load(weights)
    check_modality(state, network)
    return adapt(state, network)


class SnippetFeatureExtractor:
    """Computes pooled features of snippets, the same bits for the same batch, and scores where there is a classifier.

    Parameters
    ----------
    backbone : str
        As ``extractors.backbones.registry.backbone`` takes it.
    modality : Modality
    state : mapping of str to Tensor
        The backbone's state dict, under the keys of any known project.
    head : tuple of Tensor
        Weight (class, dim) and bias (class,) of the classifier, or nothing.
    device : str
        "cpu" or "cuda".

    Raises
    ------
    InputError
        Where the state is another network's.
    """

    def __init__(
        self, backbone: str, modality: Modality, state: Mapping[str, Tensor], head: tuple[Tensor, ...], device: str
    ) -> None:
        published = library_of(backbone) is not None  # and may hold tensors that no state dict has
        with nullcontext() if published else torch.device("meta"):
            network = image_network(backbone, SNIPPETS[modality].channels)
        network.load_state_dict(adapt(state, network), assign=not published)
        self.network = network.float().eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.normalise = Normalise(network.normalisation, modality).to(device)
        self.head = tuple(tensor.to(device) for tensor in head)
        self.device = device

    @classmethod
    def pretrained(cls, backbone: str, modality: Modality, weights: Path, device: str) -> Self:
        """Load a file of public weights; a classifier that comes with them is left out."""
        return cls(backbone, modality, pretrained_state(backbone, modality, weights), (), device)

    @classmethod
    def trained(cls, backbone: str, modality: Modality, file: Path, device: str) -> Self:
        """Load the file of a network and its classifier that ``FittedTSN`` has trained."""
        state = load_state(file)
        head = state.pop("head.weight"), state.pop("head.bias")
        return cls(backbone, modality, state, head, device)

    @torch.inference_mode()
    def __call__(self, snippets: np.ndarray) -> np.ndarray:
        """Compute pooled features.

        Parameters
        ----------
        snippets : ndarray of uint8, shape (batch, height, width, channel)
            Channels as ``Normalise`` takes them.

        Returns
        -------
        ndarray of float32, shape (batch, dim)
        """
        with deterministic():
            pooled: Tensor = self.network.pooled(self.normalise(torch.from_numpy(snippets).to(self.device)))
        return pooled.cpu().numpy()

    @torch.inference_mode()
    def classify(self, features: np.ndarray) -> np.ndarray:
        """Classify features (time, dim) float32: scores before the softmax (time, class) float32."""
        scores: Tensor = F.linear(torch.from_numpy(features).to(self.device), *self.head)
        return scores.cpu().numpy()
