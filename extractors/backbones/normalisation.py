"""What networks are given: pictures of 8 bits, as each backbone saw them when its weights were trained.

Flow and RGB difference follow the public code of Wang et al., *Temporal Segment Networks* (ECCV 2016), which gives a
network the differences as they are, neither centred nor divided by a deviation.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from extractors.snippets.modality import Modality


class Normalisation(NamedTuple):
    """Of a backbone, its pixel values from 0 to ``white``: mean and deviation of its colours, and of a flow's values.

    bgr: whether the first channel is blue; mean and deviation are in the network's order.
    """

    white: float
    bgr: bool
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    flow_mean: float
    flow_deviation: float


IMAGENET = Normalisation(1, False, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 0.5, 0.226)
"""As torchvision's networks were trained."""

CAFFE = Normalisation(255, True, (104, 117, 128), (1, 1, 1), 128, 1)


class Normalise(nn.Module):
    """Snippets (batch, height, width, channel) uint8 -> float32 (batch, channels, height, width), channels last.

    Channels that come in: of "rgb" R G B; of "flow" x and y of one picture after another; of "rgb_diff" R G B of one
    frame after another, which leave as the differences of each from the one before.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, normalisation: Normalisation, modality: Modality) -> None:
        super().__init__()
        self.reverses = normalisation.bgr and modality != "flow"
        self.subtracts = modality == "rgb_diff"
        mean, deviation = {
            "rgb": (normalisation.mean, normalisation.deviation),
            "flow": ((normalisation.flow_mean,), (normalisation.flow_deviation,)),
            "rgb_diff": ((0.0,), (1.0,)),
        }[modality]
        scale = 255 / normalisation.white
        self.register_buffer("mean", torch.tensor(mean).mul(scale).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).mul(scale).view(1, -1, 1, 1), persistent=False)

    def forward(self, snippets: Tensor) -> Tensor:
        pixels = snippets.permute(0, 3, 1, 2).float()  # already channels last in memory
        if self.reverses:
            pixels = pixels.unflatten(1, (-1, 3)).flip(2).flatten(1, 2)
        if self.subtracts:
            pixels = pixels[:, 3:] - pixels[:, :-3]
        normalised: Tensor = (pixels - self.mean) / self.deviation
        return normalised.contiguous(memory_format=torch.channels_last)
