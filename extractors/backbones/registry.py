"""Image networks that turn pictures into pooled features."""

from extractors.backbones.bn_inception import BNInception
from extractors.backbones.resnet50 import ResNet50
from extractors.backbones.squeezenet import SqueezeNet

BACKBONES: dict[str, type[ResNet50] | type[BNInception] | type[SqueezeNet]] = {
    "resnet50": ResNet50,
    "bn_inception": BNInception,
    "squeezenet1_0": SqueezeNet,
}
"""Backbones by the name that a configuration gives them."""
