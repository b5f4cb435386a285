"""The 3D-ConvNet: Baccouche et al., *Sequential Deep Learning for Human Action Recognition* (HBU 2011), section 2.

17,169 parameters for six classes::

    input                                     9 × 54 × 34
    C1   5×7×7                        7 maps of 5 × 48 × 28
    R1   absolute value
    S1   2×2 in space                 7 maps of 5 × 24 × 14
    C2   3×5×5, 14 + 21 maps         35 maps of 3 × 20 × 10
    R2   absolute value
    S2   2×2 in space                35 maps of 3 × 10 × 5
    C3   3×3×3                        5 maps of 1 × 8 × 3    = 120 features
    N1   50 units
    N2   one unit a class

C1 and C2 are y = g·tanh(conv + b) with a gain g for each map, as in the coding layer of Jarrett et al., *What is the
Best Multi-Stage Architecture for Object Recognition?* (ICCV 2009): the paper does not write the gains down, but only
they lead to its number of parameters. S1 and S2 are w·mean + b, one weight and one bias a map, and linear. C3 and N1
are tanh, N2 is linear: its outputs are logits, trained by cross-entropy.
"""

from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.training.losses import loss
from pipeline.training.precision import deterministic
from pipeline.training.weights_file import load_state

FEATURES = 120
"""Outputs of C3, which are the features of a window."""
_MAPS = 7  # of C1
_PAIRS = tuple(combinations(range(_MAPS), 2))


class FirstConvolution(nn.Module):
    """C1 and R1: |tanh(conv + b)|; the gain is left to the subsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(_MAPS, 5, 7, 7))  # (map, time, height, width)
        self.bias = nn.Parameter(torch.zeros(_MAPS))
        _initialise(self.weight, fan_in=5 * 7 * 7)

    def forward(self, windows: Tensor) -> Tensor:
        """Map windows (batch, 9, 54, 34) to (batch, 7, 5, 48, 28)."""
        # Five frames are five channels of a 2D convolution, channels last: three times as fast as a 3D one on a CPU.
        frames = windows.unfold(1, 5, 1).flatten(0, 1).permute(0, 3, 1, 2)  # (batch·5, 5, 54, 34)
        maps: Tensor = F.conv2d(frames, self.weight, self.bias).tanh().abs().unflatten(0, (-1, 5))
        return maps.transpose(1, 2)


class SecondConvolution(nn.Module):
    """C2 and R2: |tanh(conv + b)|; the gain is left to the subsampling.

    Notes
    -----
    Each map of S1 feeds two maps of its own (0..13), and each pair of them one more (14..34, in lexicographic order).

    References
    ----------
    Garcia and Delakis, *Convolutional Face Finder* (PAMI 2004), for these connections.
    """

    own: Tensor
    first: Tensor
    second: Tensor

    def __init__(self) -> None:
        super().__init__()
        # (map of S1, output, time, height, width); outputs: its own two, then one for each other map in order.
        self.weight = nn.Parameter(torch.empty(_MAPS, 2 + _MAPS - 1, 3, 5, 5))
        self.bias = nn.Parameter(torch.zeros(2 * _MAPS + len(_PAIRS)))
        _initialise(self.weight[:, :2], fan_in=3 * 5 * 5)
        _initialise(self.weight[:, 2:], fan_in=2 * 3 * 5 * 5)
        self.register_buffer("own", _places([(i, output) for i in range(_MAPS) for output in (0, 1)]), False)
        self.register_buffer("first", _places([(i, 1 + j) for i, j in _PAIRS]), False)
        self.register_buffer("second", _places([(j, 2 + i) for i, j in _PAIRS]), False)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, 7, 5, 24, 14) to (batch, 35, 3, 20, 10)."""
        frames = maps.unfold(2, 3, 1).permute(1, 0, 2, 5, 3, 4).flatten(1, 2)  # (7, batch·3, 3, 24, 14)
        # One convolution for each map of S1 computes the 56 kernels there are, not the 245 of a masked dense one.
        parts = torch.cat([F.conv2d(*one) for one in zip(frames, self.weight, strict=True)], 1)  # (batch·3, 56, 20, 10)
        pairs = parts.index_select(1, self.first) + parts.index_select(1, self.second)
        sums = torch.cat([parts.index_select(1, self.own), pairs], 1)
        rectified: Tensor = (sums + self.bias[:, None, None]).tanh().abs().unflatten(0, (-1, 3))
        return rectified.transpose(1, 2)


class Subsampling(nn.Module):
    """S1 and S2, with the gains g of C1 and C2: w·mean(|g·maps|) + b over 2×2 pixels."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(maps))
        self.weight = nn.Parameter(torch.ones(maps))
        self.bias = nn.Parameter(torch.zeros(maps))

    def forward(self, maps: Tensor) -> Tensor:
        """Map rectified maps (batch, map, time, 2h, 2w) to (batch, map, time, h, w)."""
        means = F.avg_pool2d(maps.transpose(1, 2).flatten(0, 1), 2)
        # |g·tanh| = |g|·|tanh|, so that the gain is applied where there are a quarter of the values.
        scale, bias = (self.weight * self.gain.abs())[:, None, None], self.bias[:, None, None]
        subsampled: Tensor = (scale * means + bias).unflatten(0, (-1, maps.shape[2]))
        return subsampled.transpose(1, 2)


class ConvNet(nn.Module):
    """The 3D-ConvNet, which computes 120 features and the logits of a window of nine frames.

    Parameters
    ----------
    classes : int
        Number of logits.

    Notes
    -----
    Weights are drawn from torch's global generator, normal with standard deviation fan-in^-½; biases start at 0, gains
    and subsampling weights at 1 (LeCun et al., *Efficient BackProp*, 1998).

    References
    ----------
    Baccouche et al., *Sequential Deep Learning for Human Action Recognition* (HBU 2011), section 2.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.c1 = FirstConvolution()
        self.s1 = Subsampling(_MAPS)
        self.c2 = SecondConvolution()
        self.s2 = Subsampling(2 * _MAPS + len(_PAIRS))
        self.c3 = nn.Conv3d(35, 5, 3)
        self.n1 = nn.Linear(FEATURES, 50)
        self.n2 = nn.Linear(50, classes)
        for layer in (self.c3, self.n1, self.n2):
            _initialise(layer.weight, fan_in=layer.weight[0].numel())
            nn.init.zeros_(layer.get_parameter("bias"))

    def features(self, windows: Tensor) -> Tensor:
        """Compute features.

        Parameters
        ----------
        windows : Tensor, shape (batch, 9, 54, 34)

        Returns
        -------
        Tensor, shape (batch, 120)
            Outputs of C3: map, then row, then column.
        """
        maps = self.s2(self.c2(self.s1(self.c1(windows))))  # (batch, 35, 3, 10, 5)
        return torch.tanh(self.c3(maps)).flatten(1)

    def classify(self, features: Tensor) -> Tensor:
        """Classify features (batch, 120): logits (batch, classes)."""
        logits: Tensor = self.n2(torch.tanh(self.n1(features)))
        return logits

    def forward(self, windows: Tensor, lengths: Tensor) -> Tensor:
        """Compute the logits (batch, classes) of windows; their lengths are unused, since all are 9 frames long."""
        return self.classify(self.features(windows))

    def loss(self, windows: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean loss of the batch and the logits; targets as ``pipeline.training.losses`` takes them."""
        scores = self(windows, lengths)
        return loss(scores, targets), scores


def load(state: Path, device: str) -> ConvNet:
    """Load a trained network from a safetensors file, in evaluation mode on ``device``."""
    weights = load_state(state, device)
    network = ConvNet(classes=len(weights["n2.bias"]))
    network.load_state_dict(weights)
    return network.to(device).eval()


@torch.inference_mode()
def describe(network: ConvNet, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute features and logits of windows, the same bits for the same batch.

    Parameters
    ----------
    network : ConvNet
    windows : ndarray of float32, shape (batch, 9, 54, 34)

    Returns
    -------
    features : ndarray of float32, shape (batch, 120)
    logits : ndarray of float32, shape (batch, classes)
    """
    with deterministic():
        features = network.features(torch.from_numpy(windows).to(network.n2.weight.device))
        logits = network.classify(features)
    return features.cpu().numpy(), logits.cpu().numpy()


@torch.inference_mode()
def first_maps(network: ConvNet, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute what the first convolution sees of a window.

    Parameters
    ----------
    network : ConvNet
    window : ndarray of float32, shape (9, 54, 34)

    Returns
    -------
    frame : ndarray of float32, shape (54, 34)
        The middle frame.
    maps : ndarray of float32, shape (7, 48, 28)
        Rectified outputs of C1 for the five frames around it.
    """
    maps = network.c1(torch.from_numpy(window)[None].to(network.n2.weight.device))[0].cpu().numpy()
    return window[len(window) // 2], maps[:, maps.shape[1] // 2]


def _initialise(weight: Tensor, fan_in: int) -> None:
    with torch.no_grad():
        weight.normal_(std=fan_in**-0.5)


def _places(outputs: list[tuple[int, int]]) -> Tensor:
    """Return the index of each (map of S1, output) among the 56 maps that all kernels compute."""
    return torch.tensor([i * (2 + _MAPS - 1) + output for i, output in outputs])
