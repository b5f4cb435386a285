"""Normalises 8-bit pictures as each backbone saw them when its weights were trained.

Flow and RGB difference follow the public code of Wang et al., *Temporal Segment Networks* (ECCV 2016), which gives a
network the differences as they are, neither centred nor divided by a standard deviation.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from extractors.snippets.modality import Modality


class Normalisation(NamedTuple):
    """Range, channel order and statistics of the pixels that a backbone was trained on.

    Parameters
    ----------
    white : float
        Value of a white pixel; black is 0.
    bgr : bool
        Whether the first channel is blue instead of red.
    mean, std : tuple of float
        Mean and standard deviation of the three colours, in the network's order.
    flow_mean, flow_std : float
        Mean and standard deviation of a flow's values.
    """

    white: float
    bgr: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    flow_mean: float
    flow_std: float


IMAGENET = Normalisation(1, False, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 0.5, 0.226)
"""Normalisation of torchvision's networks."""

CAFFE = Normalisation(255, True, (104, 117, 128), (1, 1, 1), 128, 1)
"""Normalisation of networks trained with Caffe by Wang et al.: only the mean is taken off."""


class Normalise(nn.Module):
    """Normalises snippets of 8-bit pictures for a backbone.

    Parameters
    ----------
    normalisation : Normalisation
        What the backbone was trained on.
    modality : Modality
        What the channels of a snippet are: "rgb": R, G, B; "flow": x and y of one flow after another; "rgb_diff": R, G,
        B of one frame after another, which are replaced by the differences between each frame and the one before.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, normalisation: Normalisation, modality: Modality) -> None:
        super().__init__()
        self.reverses = normalisation.bgr and modality != "flow"
        self.subtracts = modality == "rgb_diff"
        mean, std = {
            "rgb": (normalisation.mean, normalisation.std),
            "flow": ((normalisation.flow_mean,), (normalisation.flow_std,)),
            "rgb_diff": ((0.0,), (1.0,)),
        }[modality]
        scale = 255 / normalisation.white
        self.register_buffer("mean", torch.tensor(mean).mul(scale).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).mul(scale).view(1, -1, 1, 1), persistent=False)

    def forward(self, snippets: Tensor) -> Tensor:
        """Normalise snippets.

        Parameters
        ----------
        snippets : Tensor of uint8, shape (batch, height, width, channel)

        Returns
        -------
        Tensor of float32, shape (batch, channels, height, width)
            In the memory format "channels last"; three channels fewer than the snippets' for "rgb_diff".
        """
        pixels = snippets.permute(0, 3, 1, 2).float()  # already channels last in memory
        if self.reverses:
            pixels = pixels.unflatten(1, (-1, 3)).flip(2).flatten(1, 2)
        if self.subtracts:
            pixels = pixels[:, 3:] - pixels[:, :-3]
        normalised: Tensor = (pixels - self.mean) / self.std
        return normalised.contiguous(memory_format=torch.channels_last)
