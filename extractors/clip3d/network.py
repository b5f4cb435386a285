"""torchvision's video networks: features of a window before the classifier, and its scores of Kinetics' classes."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from extractors.backbones.torchvision_models import models
from extractors.deterministic import deterministic
from extractors.libraries.layers import classifier
from extractors.weights.state_dicts import adapt, load

CLASSES = 400
"""Classes of Kinetics-400."""


class ClipNetwork(nn.Module):
    """A video network of torchvision with its classifier apart.

    Parameters
    ----------
    name : str
        torchvision's name of the network.
    """

    head = "scores."

    def __init__(self, name: str) -> None:
        super().__init__()
        self.network: nn.Module = models.get_model(name, num_classes=CLASSES)
        last, self.scores = classifier(self.network)
        self.network.set_submodule(last, nn.Identity())
        self.renames = ((rf"^{last}\.", "scores."), (r"^(?!network\.|scores\.)", "network."))

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Compute features and scores.

        Parameters
        ----------
        clips : Tensor, shape (batch, 3, frames, height, width)

        Returns
        -------
        features : Tensor, shape (batch, dim)
            What the classifier sees, averaged over places and time where it sees several.
        scores : Tensor, shape (batch, 400)
            Before the softmax.
        """
        features: Tensor = self.network(clips)
        seen = features if isinstance(self.scores, nn.Linear) else features[..., None, None, None]  # a convolution
        return features, self.scores(seen).flatten(1)


def preprocessing(name: str) -> Any:
    """Return torchvision's own preprocessing for a network, which is the same for all of its weights."""
    return models.get_model_weights(name).KINETICS400_V1.transforms()


def pretrained(name: str, weights: Path) -> dict[str, Tensor]:
    """Load a file of weights under the keys of ``ClipNetwork``. Raises InputError where they are another's."""
    with torch.device("meta"):
        network = ClipNetwork(name)
    return adapt(load(weights), network)


class WindowFeatureExtractor:
    """Computes features and scores of windows, the same bits for the same batch.

    Parameters
    ----------
    name : str
        torchvision's name of the network.
    weights : Path
        File of its weights.
    device : str
        "cpu" or "cuda".

    Raises
    ------
    InputError
        Where the file holds something else.
    """

    def __init__(self, name: str, weights: Path, device: str) -> None:
        self.network = ClipNetwork(name)
        self.network.load_state_dict(pretrained(name, weights))
        self.network.eval().to(device)
        self.preprocess = preprocessing(name)
        self.device = device

    def prepared(self, frame: np.ndarray) -> np.ndarray:
        """Scale, crop and normalise a frame (height, width, 3) uint8: (3, side, side) float32."""
        pixels: Tensor = self.preprocess(torch.from_numpy(frame).permute(2, 0, 1)[None])
        return pixels[:, 0].numpy()

    @torch.inference_mode()
    def __call__(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute features (batch, dim) and scores (batch, 400) of windows (batch, frames, 3, side, side)."""
        clips = torch.from_numpy(windows).to(self.device).transpose(1, 2)
        with deterministic():
            features, scores = self.network(clips)
        return features.cpu().numpy(), scores.cpu().numpy()
