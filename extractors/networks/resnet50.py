"""He et al., *Deep Residual Learning for Image Recognition* (CVPR 2016), table 1: ResNet-50.

Layers and their names are torchvision's, the stride lies in the 3×3 convolutions.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from extractors.networks.normalisation import IMAGENET, Normalisation
from extractors.networks.vision import models


class ResNet50(models.ResNet):  # type: ignore[misc]
    """channels: of its input; classes: width of the classifier, None leaves it out."""

    dim: ClassVar[int] = 2048
    normalisation: ClassVar[Normalisation] = IMAGENET
    first: ClassVar[str] = "conv1.weight"
    head: ClassVar[str] = "fc."
    renames: ClassVar[tuple[tuple[str, str], ...]] = (
        (r"^cls_head\.fc_cls\.|^new_fc\.", "fc."),
        (r"downsample\.conv\.", "downsample.0."),
        (r"downsample\.bn\.", "downsample.1."),
        (r"conv(\d)\.conv\.", r"conv\1."),
        (r"conv(\d)\.bn\.", r"bn\1."),
    )

    def __init__(self, channels: int = 3, classes: int | None = None) -> None:
        super().__init__(models.resnet.Bottleneck, [3, 4, 6, 3], num_classes=classes or 1)
        if channels != 3:
            self.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        if classes is None:
            self.fc = nn.Identity()

    def pooled(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, 2048), the mean over the last 7×7 map of a 224×224 image."""
        maps = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        return torch.flatten(self.avgpool(maps), 1)
