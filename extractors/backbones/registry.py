"""Image networks that turn pictures into pooled features."""

from extractors.backbones.bn_inception import BNInception
from extractors.backbones.published import PublishedBackbone
from extractors.backbones.resnet50 import ResNet50
from extractors.backbones.squeezenet import SqueezeNet
from extractors.libraries.names import library_of

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
