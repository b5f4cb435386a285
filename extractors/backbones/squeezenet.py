"""Iandola et al., *SqueezeNet: AlexNet-level accuracy with 50x fewer parameters* (2016), version 1.0.

Layers and their names are torchvision's.
"""

from collections.abc import Mapping
from typing import ClassVar

from torch import nn

from extractors.backbones.normalisation import IMAGENET, Normalisation
from extractors.backbones.stages import Part, StagedBackbone
from extractors.backbones.torchvision_models import models


class SqueezeNet(StagedBackbone, models.SqueezeNet):  # type: ignore[misc]
    """SqueezeNet 1.0, which pools 512 features from an image.

    Parameters
    ----------
    channels : int
        Channels of the input.
    classes : int or None
        Outputs of the classifier; None leaves it out.

    Notes
    -----
    The first convolution and three poolings reduce the resolution: of a 224×224 image "stem" (conv1) makes maps of
    109×109, "pool" and "fire4" (fire2 to fire4) of 54×54, "fire8" (fire5 to fire8) of 27×27 and "fire9" of 13×13.

    References
    ----------
    Iandola et al., *SqueezeNet: AlexNet-level accuracy with 50x fewer parameters* (2016), version 1.0.
    """

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

    @property
    def parts(self) -> Mapping[str, Part]:
        layers = self.features  # conv1, ReLU, pool, fire2–4, pool, fire5–8, pool, fire9
        blocks = {"fire4": layers[3:6], "fire8": layers[6:11], "fire9": layers[11:]}
        return {"stem": layers[:2], "pool": layers[2], **blocks}
