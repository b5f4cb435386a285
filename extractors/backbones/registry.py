"""Image networks that turn pictures into pooled features."""

from functools import cache

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
_DEFAULT_SIDE = 224  # which all of them take

Backbone = ResNet50 | BNInception | SqueezeNet | PublishedBackbone


def backbone(name: str, channels: int) -> Backbone:
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


@cache  # every stream and split asks, and building a network takes up to a fifth of a second
def check_crop(name: str, channels: int, side: int) -> None:
    """Raise InputError where an image network does not take pictures of a side's length.

    Inception with batch normalisation joins maps that convolutions halve, which round up, to maps that poolings halve,
    which round down: they are of one size for sides of 32·n - 1 to 32·n + 6 pixels.

    Examples
    --------
    >>> check_crop("bn_inception", channels=3, side=224)
    >>> check_crop("bn_inception", channels=3, side=112)
    Traceback (most recent call last):
    pipeline.errors.InputError: a crop of 112 pixels does not suit bn_inception: the nearest that does has 102
    """
    with torch.device("meta"):
        network = backbone(name, channels).eval()
    if (refusal := _refusal(network, channels, side)) is None:
        return
    if library_of(name) is not None:  # many take one size alone
        raise InputError(f"a crop of {side} pixels does not suit the network ({refusal}): leave crop out")
    sides = sorted(range(1, 2 * side + _DEFAULT_SIDE), key=lambda other: abs(other - side))
    nearest = next(other for other in sides if _refusal(network, channels, other) is None)
    raise InputError(f"a crop of {side} pixels does not suit {name}: the nearest that does has {nearest}")


def _refusal(network: Backbone, channels: int, side: int) -> str | None:
    """Return why a network on the meta device does not take pictures of a side's length; None where it does."""
    try:
        network.pooled(torch.empty(1, channels, side, side, device="meta"))
    except (AssertionError, RuntimeError, ValueError) as error:
        return str(error).partition("\n")[0]
    return None
