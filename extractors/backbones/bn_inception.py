"""Ioffe and Szegedy, *Batch Normalization* (ICML 2015), figure 5: Inception with batch normalisation.

This is the network that Wang et al. trained for TSN (ECCV 2016) and published weights of: convolutions have biases,
poolings round sizes up, and average poolings count their padding. Layers are named as there: a convolution ``name`` and
its normalisation ``name_bn``. Channels of the branches that are concatenated, for a 224×224 image::

            size   1×1   3×3           double 3×3     pooled
    conv1    112    64 (7×7, stride 2), maximum, stride 2
    conv2     56    64 (1×1), 192 (3×3), maximum, stride 2
    3a        28    64    64 →  64      64 →  96       32 average
    3b        28    64    64 →  96      64 →  96       64 average
    3c        14         128 → 160      64 →  96      320 maximum, stride 2
    4a        14   224    64 →  96      96 → 128      128 average
    4b        14   192    96 → 128      96 → 128      128 average
    4c        14   160   128 → 160     128 → 160      128 average
    4d        14    96   128 → 192     160 → 192      128 average
    4e         7         128 → 192     192 → 256      608 maximum, stride 2
    5a         7   352   192 → 320     160 → 224      128 average
    5b         7   352   192 → 320     192 → 224      128 maximum
"""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from extractors.backbones.normalisation import CAFFE, Normalisation


class Block(NamedTuple):
    """An inception block: the channels of its branches, whose outputs are concatenated.

    Parameters
    ----------
    name : str
        Name in the table above, which its layers' names begin with.
    one : int
        Outputs of the 1×1 branch; 0 where the block has none and halves the resolution.
    three, double : tuple of int
        Channels after the reduction, and outputs, of the 3×3 and of the double 3×3 branch.
    pooled : int
        Outputs of the pooled branch; 0 where it is the maximum pooling alone and keeps the input's channels.
    averages : bool
        Whether the pooled branch averages instead of taking the maximum.
    """

    name: str
    one: int
    three: tuple[int, int]
    double: tuple[int, int]
    pooled: int
    averages: bool = True

    def width(self, width: int) -> int:
        """Return the number of channels that leave the block when ``width`` enter it."""
        return self.one + self.three[1] + self.double[1] + (self.pooled or width)


BLOCKS = (
    Block("3a", 64, (64, 64), (64, 96), 32),
    Block("3b", 64, (64, 96), (64, 96), 64),
    Block("3c", 0, (128, 160), (64, 96), 0),
    Block("4a", 224, (64, 96), (96, 128), 128),
    Block("4b", 192, (96, 128), (96, 128), 128),
    Block("4c", 160, (128, 160), (128, 160), 128),
    Block("4d", 96, (128, 192), (160, 192), 128),
    Block("4e", 0, (128, 192), (192, 256), 0),
    Block("5a", 352, (192, 320), (160, 224), 128),
    Block("5b", 352, (192, 320), (192, 224), 128, averages=False),
)


class BNInception(nn.Module):
    """Inception with batch normalisation, which pools 1024 features from an image.

    Parameters
    ----------
    channels : int
        Channels of the input.
    classes : int or None
        Outputs of the classifier ``fc``; None leaves it out.

    References
    ----------
    Ioffe and Szegedy, *Batch Normalization* (ICML 2015), figure 5.
    Wang et al., *Temporal Segment Networks* (ECCV 2016), whose public weights it takes.
    """

    dim: ClassVar[int] = 1024
    normalisation: ClassVar[Normalisation] = CAFFE
    first: ClassVar[str] = "conv1_7x7_s2.weight"
    head: ClassVar[str] = "fc."
    renames: ClassVar[tuple[tuple[str, str], ...]] = ((r"^(cls_head\.fc_cls|new_fc|last_linear)\.", "fc."),)

    def __init__(self, channels: int = 3, classes: int | None = None) -> None:
        super().__init__()
        self._add("conv1_7x7_s2", channels, 64, 7, stride=2)
        self._add("conv2_3x3_reduce", 64, 64, 1)
        self._add("conv2_3x3", 64, 192, 3)
        width = 192
        for block in BLOCKS:
            self._add_block(block, width)
            width = block.width(width)
        self.fc = nn.Identity() if classes is None else nn.Linear(width, classes)

    def pooled(self, images: Tensor) -> Tensor:
        """Compute pooled features.

        Parameters
        ----------
        images : Tensor, shape (batch, channels, height, width)

        Returns
        -------
        Tensor, shape (batch, 1024)
            Means over the last maps, 7×7 for images of 224×224.
        """
        maps = _halved(self._unit("conv1_7x7_s2", images))
        maps = _halved(self._unit("conv2_3x3", self._unit("conv2_3x3_reduce", maps)))
        for block in BLOCKS:
            maps = self._inception(block, maps)
        return maps.mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Classify images (batch, channels, height, width): scores (batch, classes)."""
        scores: Tensor = self.fc(self.pooled(images))
        return scores

    def _add(self, name: str, width: int, out: int, size: int, stride: int = 1) -> None:
        self.add_module(name, nn.Conv2d(width, out, size, stride, padding=size // 2))
        self.add_module(f"{name}_bn", nn.BatchNorm2d(out))

    def _add_block(self, block: Block, width: int) -> None:
        name, stride = f"inception_{block.name}", 1 if block.one else 2
        if block.one:
            self._add(f"{name}_1x1", width, block.one, 1)
        self._add(f"{name}_3x3_reduce", width, block.three[0], 1)
        self._add(f"{name}_3x3", *block.three, 3, stride)
        self._add(f"{name}_double_3x3_reduce", width, block.double[0], 1)
        self._add(f"{name}_double_3x3_1", *block.double, 3)
        self._add(f"{name}_double_3x3_2", block.double[1], block.double[1], 3, stride)
        if block.pooled:
            self._add(f"{name}_pool_proj", width, block.pooled, 1)

    def _unit(self, name: str, maps: Tensor) -> Tensor:
        return F.relu(self.get_submodule(f"{name}_bn")(self.get_submodule(name)(maps)))

    def _inception(self, block: Block, maps: Tensor) -> Tensor:
        name = f"inception_{block.name}"
        parts = [self._unit(f"{name}_1x1", maps)] if block.one else []
        parts.append(self._unit(f"{name}_3x3", self._unit(f"{name}_3x3_reduce", maps)))
        double = self._unit(f"{name}_double_3x3_1", self._unit(f"{name}_double_3x3_reduce", maps))
        parts.append(self._unit(f"{name}_double_3x3_2", double))
        if not block.pooled:
            parts.append(_halved(maps))
        elif block.averages:
            parts.append(self._unit(f"{name}_pool_proj", F.avg_pool2d(maps, 3, stride=1, padding=1)))
        else:
            parts.append(self._unit(f"{name}_pool_proj", F.max_pool2d(maps, 3, stride=1, padding=1)))
        return torch.cat(parts, dim=1)


def _halved(maps: Tensor) -> Tensor:
    return F.max_pool2d(maps, 3, stride=2, ceil_mode=True)
