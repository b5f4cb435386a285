"""Iandola et al., *SqueezeNet: AlexNet-level accuracy with 50x fewer parameters* (2016), version 1.0.

Layers and their names are torchvision's.
"""

from typing import ClassVar

from torch import Tensor, nn

from extractors.networks.normalisation import IMAGENET, Normalisation
from extractors.networks.vision import models


class SqueezeNet(models.SqueezeNet):  # type: ignore[misc]
    """channels: of its input; classes: width of the classifier, None leaves it out."""

    dim: ClassVar[int] = 512
    normalisation: ClassVar[Normalisation] = IMAGENET
    first: ClassVar[str] = "features.0.weight"
    head: ClassVar[str] = "classifier."
    renames: ClassVar[tuple[tuple[str, str], ...]] = ()

    def __init__(self, channels: int = 3, classes: int | None = None) -> None:
        super().__init__("1_0", num_classes=classes or 1)
        if channels != 3:
            self.features[0] = nn.Conv2d(channels, 96, 7, stride=2)
        if classes is None:
            self.classifier = nn.Identity()

    def pooled(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, 512), the mean over the last 13×13 map of a 224×224 image."""
        maps: Tensor = self.features(images)
        return maps.mean(dim=(2, 3))
