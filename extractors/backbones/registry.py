"""Image networks that turn pictures into pooled features."""

import torch

from extractors.backbones.bn_inception import BNInception
from extractors.backbones.published import PublishedBackbone
from extractors.backbones.resnet50 import ResNet50
from extractors.backbones.squeezenet import SqueezeNet
from extractors.libraries.names import library_of
from pipeline.errors import InputError

BACKBONES: dict[str, type[ResNet50] | type[BNInception] | type[SqueezeNet]] = {
    "resnet50": ResNet50,
    "bn_inception": BNInception,
    "squeezenet1_0": SqueezeNet,
}
"""Backbones that the papers need, by the name that a configuration gives them."""


def backbone(name: str, channels: int) -> ResNet50 | BNInception | SqueezeNet | PublishedBackbone:
    """Build an image network with random weights.

    Parameters
    ----------
    name : str
        A name in ``BACKBONES``, or the complete name of a library's network.
    channels : int
        Channels of the input.
    """
    library = library_of(name)
    return BACKBONES[name](channels=channels) if library is None else PublishedBackbone(library, name, channels)


def check_crop(name: str, channels: int, side: int) -> None:
    """Raise InputError where an image network does not take pictures of a side's length; the papers' take any."""
    if library_of(name) is None:
        return
    with torch.device("meta"):
        network = backbone(name, channels).eval()
        try:
            network.pooled(torch.empty(1, channels, side, side))
        except (AssertionError, RuntimeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"a crop of {side} pixels does not suit the network ({reason}): leave crop out") from None
