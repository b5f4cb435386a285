"""He et al., *Deep Residual Learning for Image Recognition* (CVPR 2016), table 1: ResNet-50.

Layers and their names are torchvision's; the stride is that of the 3×3 convolutions.
"""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from extractors.backbones.normalisation import IMAGENET, Normalisation
from extractors.backbones.stages import Part, StagedBackbone
from extractors.backbones.torchvision_models import models


class ResNet50(StagedBackbone, models.ResNet):  # type: ignore[misc]
    """ResNet-50, which pools 2048 features from an image.

    Parameters
    ----------
    channels : int
        Channels of the input.
    classes : int or None
        Outputs of the classifier ``fc``; None leaves it out.

    Notes
    -----
    Of a 224×224 image "stem" makes maps of 112×112, "pool" and "res2" of 56×56, "res3" of 28×28, "res4" of 14×14 and
    "res5" of 7×7; stages are named as in the paper.

    References
    ----------
    He et al., *Deep Residual Learning for Image Recognition* (CVPR 2016), table 1.
    """

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

    @property
    def parts(self) -> Mapping[str, Part]:
        blocks = {"res2": self.layer1, "res3": self.layer2, "res4": self.layer3, "res5": self.layer4}
        return {"stem": self._stem, "pool": self.maxpool, **blocks}

    def _stem(self, images: Tensor) -> Tensor:
        maps: Tensor = self.relu(self.bn1(self.conv1(images)))
        return maps
