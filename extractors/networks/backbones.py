"""Image networks that turn frames into pooled features: ResNet-50 and SqueezeNet 1.0.

Layers and their names are torchvision's, so are the keys of a state dict; ``renames`` lead there from other projects'.
"""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from extractors.networks.vision import models
from extractors.weights import adapt, load


class ResNet50(models.ResNet):  # type: ignore[misc]
    """He et al., *Deep Residual Learning for Image Recognition* (CVPR 2016), table 1; stride in the 3×3 convolution.

    classes: width of the classifier; None leaves it out.
    """

    dim: ClassVar[int] = 2048
    head: ClassVar[str] = "fc."
    renames: ClassVar[tuple[tuple[str, str], ...]] = (
        (r"^cls_head\.fc_cls\.|^new_fc\.", "fc."),
        (r"downsample\.conv\.", "downsample.0."),
        (r"downsample\.bn\.", "downsample.1."),
        (r"conv(\d)\.conv\.", r"conv\1."),
        (r"conv(\d)\.bn\.", r"bn\1."),
    )

    def __init__(self, classes: int | None = None) -> None:
        super().__init__(models.resnet.Bottleneck, [3, 4, 6, 3], num_classes=classes or 1)
        if classes is None:
            self.fc = nn.Identity()

    def pooled(self, images: Tensor) -> Tensor:
        """(batch, 3, height, width) -> (batch, 2048), the mean over the last 7×7 map of a 224×224 image."""
        maps = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        return torch.flatten(self.avgpool(maps), 1)


class SqueezeNet(models.SqueezeNet):  # type: ignore[misc]
    """Iandola et al., *SqueezeNet: AlexNet-level accuracy with 50x fewer parameters* (2016), version 1.0.

    classes: width of the classifier; None leaves it out.
    """

    dim: ClassVar[int] = 512
    head: ClassVar[str] = "classifier."
    renames: ClassVar[tuple[tuple[str, str], ...]] = ()

    def __init__(self, classes: int | None = None) -> None:
        super().__init__("1_0", num_classes=classes or 1)
        if classes is None:
            self.classifier = nn.Identity()

    def pooled(self, images: Tensor) -> Tensor:
        """(batch, 3, height, width) -> (batch, 512), the mean over the last 13×13 map of a 224×224 image."""
        maps: Tensor = self.features(images)
        return maps.mean(dim=(2, 3))


BACKBONES: dict[str, type[ResNet50] | type[SqueezeNet]] = {"resnet50": ResNet50, "squeezenet1_0": SqueezeNet}

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet's RGB in [0, 1], as all torchvision networks were trained."""


class Describer:
    """A network that is only read from: uint8 images in, pooled features out, the same bits for the same batch."""

    def __init__(self, backbone: str, weights: Path, device: str) -> None:
        network = BACKBONES[backbone]()
        network.load_state_dict(adapt(load(weights), network))
        self.network = network.eval().to(device, memory_format=torch.channels_last)
        self.mean = torch.tensor(_MEAN, device=device).mul(255).view(1, 3, 1, 1)
        self.deviation = torch.tensor(_DEVIATION, device=device).mul(255).view(1, 3, 1, 1)

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """(batch, height, width, 3) uint8 RGB -> (batch, dim) float32."""
        pixels = torch.from_numpy(images).to(self.mean.device).permute(0, 3, 1, 2)  # already channels last in memory
        # neither TensorFloat-32 nor whichever algorithm is fastest today: a store's numbers depend on no such thing
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            pooled: Tensor = self.network.pooled((pixels.float() - self.mean) / self.deviation)
        return pooled.cpu().numpy()
