"""I3D: Carreira and Zisserman, *Quo Vadis, Action Recognition?* (CVPR 2017), figure 3 and section 2.4.

Inception-v1 (Szegedy et al., CVPR 2015, table 1) whose kernels have a third dimension, time; its 5×5 branches are
3×3×3, as in the authors' code. 12,287,264 parameters of RGB without the classifier. Layers are named as in the public
PyTorch conversion. Channels of the branches that are concatenated, for 16 frames of 224×224::

              size         1×1×1   3×3×3         3×3×3        pooled
    1a        8×112×112     64 (7×7×7, stride 2)
    2b, 2c    8× 56× 56     64 (1×1×1), 192 (3×3×3), after a maximum of 1×3×3, stride 1×2×2
    3b        8× 28× 28     64      96 → 128     16 →  32      32
    3c        8× 28× 28    128     128 → 192     32 →  96      64
    4b        4× 14× 14    192      96 → 208     16 →  48      64
    4c        4× 14× 14    160     112 → 224     24 →  64      64
    4d        4× 14× 14    128     128 → 256     24 →  64      64
    4e        4× 14× 14    112     144 → 288     32 →  64      64
    4f        4× 14× 14    256     160 → 320     32 → 128     128
    5b        2×  7×  7    256     160 → 320     32 → 128     128
    5c        2×  7×  7    384     192 → 384     48 → 128     128

Every convolution but the classifier is followed by batch normalisation and a ReLU. Padding is TensorFlow's "SAME": an
output has ⌈size / stride⌉ places, and what is padded for that, with zeros, lies half before and half after, the odd one
after.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from extractors.kinetics import CLASSES, KineticsFeatureExtractor
from extractors.weights.state_dicts import adapt, load

DIM = 1024
"""Number of features."""
_EPSILON = 1e-3


class Block(NamedTuple):
    """An inception block: the channels that enter it, and those of its branches, whose outputs are concatenated."""

    name: str
    width: int
    one: int
    first: tuple[int, int]
    second: tuple[int, int]
    pooled: int


BLOCKS = (
    Block("Mixed_3b", 192, 64, (96, 128), (16, 32), 32),
    Block("Mixed_3c", 256, 128, (128, 192), (32, 96), 64),
    Block("Mixed_4b", 480, 192, (96, 208), (16, 48), 64),
    Block("Mixed_4c", 512, 160, (112, 224), (24, 64), 64),
    Block("Mixed_4d", 512, 128, (128, 256), (24, 64), 64),
    Block("Mixed_4e", 512, 112, (144, 288), (32, 64), 64),
    Block("Mixed_4f", 528, 256, (160, 320), (32, 128), 128),
    Block("Mixed_5b", 832, 256, (160, 320), (32, 128), 128),
    Block("Mixed_5c", 832, 384, (192, 384), (48, 128), 128),
)
POOLED_BEFORE = {
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}
"""Size and stride of the maximum pooling before a block."""


def same_padded(maps: Tensor, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Pad maps (batch, channels, time, height, width) with zeros by TensorFlow's rule "SAME".

    Examples
    --------
    >>> same_padded(torch.ones(1, 1, 1, 1, 4), (1, 1, 3), (1, 1, 2)).flatten().tolist()
    [1.0, 1.0, 1.0, 1.0, 0.0]
    """
    pads: list[int] = []
    for places, kernel, step in zip(maps.shape[:1:-1], size[::-1], stride[::-1], strict=True):  # the last axis first
        missing = max((-(-places // step) - 1) * step + kernel - places, 0)
        pads += [missing // 2, missing - missing // 2]
    return F.pad(maps, pads)


class Unit(nn.Module):
    """A convolution with batch normalisation and a ReLU."""

    def __init__(self, width: int, out: int, side: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(width, out, side, stride, bias=False)
        self.bn = nn.BatchNorm3d(out, eps=_EPSILON)

    def forward(self, maps: Tensor) -> Tensor:
        padded = same_padded(maps, self.conv3d.kernel_size, self.conv3d.stride)
        return F.relu(self.bn(self.conv3d(padded)), inplace=True)


class Mixed(nn.Module):
    """An inception block."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.b0 = Unit(block.width, block.one)
        self.b1a, self.b1b = Unit(block.width, block.first[0]), Unit(*block.first, 3)
        self.b2a, self.b2b = Unit(block.width, block.second[0]), Unit(*block.second, 3)
        self.b3b = Unit(block.width, block.pooled)

    def forward(self, maps: Tensor) -> Tensor:
        branches = self.b0(maps), self.b1b(self.b1a(maps)), self.b2b(self.b2a(maps)), self.b3b(_pooled(maps, (3, 3, 3)))
        return torch.cat(branches, dim=1)


class I3DNetwork(nn.Module):
    """I3D with its classifier of Kinetics-400.

    Parameters
    ----------
    channels : int
        3 for RGB, 2 for flow.

    References
    ----------
    Carreira and Zisserman, *Quo Vadis, Action Recognition?* (CVPR 2017), figure 3 and section 2.4.
    """

    head = "logits."
    renames: tuple[tuple[str, str], ...] = ()

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(channels, 64, 7, 2)
        self.Conv3d_2b_1x1 = Unit(64, 64)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        for block in BLOCKS:
            self.add_module(block.name, Mixed(block))
        self.logits = nn.ModuleDict({"conv3d": nn.Conv3d(DIM, CLASSES, 1)})

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Compute features and scores.

        Parameters
        ----------
        clips : Tensor, shape (batch, channels, frames, 224, 224)
            From −1 to 1, at least nine frames.

        Returns
        -------
        features : Tensor, shape (batch, 1024)
            Means over the last maps.
        scores : Tensor, shape (batch, 400)
            Before the softmax, averaged over time.
        """
        maps = _pooled(self.Conv3d_1a_7x7(clips), (1, 3, 3), (1, 2, 2))
        maps = self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(maps))
        for block in BLOCKS:
            if block.name in POOLED_BEFORE:
                maps = _pooled(maps, *POOLED_BEFORE[block.name])
            maps = self.get_submodule(block.name)(maps)
        features = F.avg_pool3d(maps, (2, 7, 7), stride=1).mean(dim=(2, 3, 4), keepdim=True)
        scores: Tensor = self.logits["conv3d"](features)  # linear: scores of the mean are the mean of scores
        return features.flatten(1), scores.flatten(1)


def _pooled(maps: Tensor, size: tuple[int, ...], stride: tuple[int, ...] = (1, 1, 1)) -> Tensor:
    return F.max_pool3d(same_padded(maps, size, stride), size, stride)


def pretrained(channels: int, weights: Path) -> dict[str, Tensor]:
    """Load a file of weights under the network's keys. Raises InputError where they are another's."""
    with torch.device("meta"):
        network = I3DNetwork(channels)
    return adapt(load(weights), network)


def feature_extractor(channels: int, weights: Path, device: str) -> KineticsFeatureExtractor:
    """Make the network ready for windows of pictures.

    Parameters
    ----------
    channels : int
        3 for RGB, 2 for flow.
    weights : Path
        File of the network's weights.
    device : str
        "cpu" or "cuda".

    Returns
    -------
    KineticsFeatureExtractor
        Of windows (batch, frames, 224, 224, channels) uint8, of which 0 becomes −1, and 255 becomes 1.

    Raises
    ------
    InputError
        Where the file holds something else.
    """
    return KineticsFeatureExtractor(I3DNetwork(channels), pretrained(channels, weights), _clips, device)


def _clips(windows: Tensor) -> Tensor:
    return windows.permute(0, 4, 1, 2, 3).float().mul_(2 / 255).sub_(1)
