"""torchvision's video networks: features of a window before the classifier, and its scores of Kinetics' classes."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from extractors.backbones.torchvision_models import models
from extractors.kinetics import CLASSES, KineticsFeatureExtractor
from extractors.libraries.layers import classifier
from extractors.weights.state_dicts import adapt, load


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


def feature_extractor(name: str, weights: Path, device: str) -> KineticsFeatureExtractor:
    """Make a network ready for windows (batch, frames, 3, side, side) of frames that ``prepared`` has prepared.

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
    return KineticsFeatureExtractor(ClipNetwork(name), pretrained(name, weights), lambda it: it.transpose(1, 2), device)


def prepared(preprocess: Any, frame: np.ndarray) -> np.ndarray:
    """Scale, crop and normalise a frame (height, width, 3) uint8 as ``preprocessing`` does: (3, side, side) float32."""
    pixels: Tensor = preprocess(torch.from_numpy(frame).permute(2, 0, 1)[None])
    return pixels[:, 0].numpy()
