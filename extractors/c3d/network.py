"""C3D: Tran et al., *Learning Spatiotemporal Features with 3D Convolutional Networks* (ICCV 2015), section 3.3.

77,995,776 parameters without the classifier, 27,655,936 of them in convolutions, all 3×3×3, padded by 1::

    input                        3 × 16 × 112 × 112
    conv1    64, ReLU           64 × 16 × 112 × 112
    pool1   1×2×2               64 × 16 ×  56 ×  56
    conv2   128, ReLU          128 × 16 ×  56 ×  56
    pool2   2×2×2              128 ×  8 ×  28 ×  28
    conv3a, conv3b  256, ReLU  256 ×  8 ×  28 ×  28
    pool3   2×2×2              256 ×  4 ×  14 ×  14
    conv4a, conv4b  512, ReLU  512 ×  4 ×  14 ×  14
    pool4   2×2×2              512 ×  2 ×   7 ×   7
    conv5a, conv5b  512, ReLU  512 ×  2 ×   7 ×   7
    pool5   2×2×2              512 ×  1 ×   4 ×   4  = 8192
    fc6     ReLU              4096
    fc7     ReLU              4096

Layers are named as in the authors' Caffe model. Its poolings round sizes up, which shows in pool5 alone: the last
window holds only the seventh row or column. Some PyTorch conversions pad pool5 by one on every side instead, so that
the first and last windows hold one row each.
"""

from pathlib import Path
from typing import ClassVar, Literal

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from extractors.weights.state_dicts import adapt, load
from pipeline.errors import InputError
from pipeline.training.precision import deterministic

CLIP_FRAMES = 16
"""Frames of a clip."""

Layer = Literal["fc6", "fc7"]
Pool5 = Literal["ceil", "padded"]

MEAN = (90.25, 97.66, 101.41)
"""Mean of Sports-1M's blue, green and red, from 0 to 255."""

HEIGHT, WIDTH = 128, 171
"""Size in pixels that frames are scaled to."""

SIDE = 112
"""Side in pixels of the central square that the network sees."""
TOP, LEFT = (HEIGHT - SIDE) // 2, (WIDTH - SIDE) // 2

CUBE = (3, CLIP_FRAMES, HEIGHT, WIDTH)
"""Shape of a mean for every pixel: colour (blue first), frame, row, column."""


class C3DNetwork(nn.Module):
    """C3D without the classifier fc8.

    Parameters
    ----------
    pool5 : str
        "ceil": the last pooling rounds sizes up, as in Caffe; "padded": it pads its input by one on every side.

    References
    ----------
    Tran et al., *Learning Spatiotemporal Features with 3D Convolutional Networks* (ICCV 2015), section 3.3.
    """

    head: ClassVar[str] = "fc8."
    renames: ClassVar[tuple[tuple[str, str], ...]] = (
        (r"^cls_head\.fc_cls\.", "fc8."),
        (r"^conv([12])a\.", r"conv\1."),
        (r"^(conv\w+)\.conv\.", r"\1."),
    )

    def __init__(self, pool5: Pool5 = "ceil") -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, 3, padding=1)
        self.conv2 = nn.Conv3d(64, 128, 3, padding=1)
        self.conv3a = nn.Conv3d(128, 256, 3, padding=1)
        self.conv3b = nn.Conv3d(256, 256, 3, padding=1)
        self.conv4a = nn.Conv3d(256, 512, 3, padding=1)
        self.conv4b = nn.Conv3d(512, 512, 3, padding=1)
        self.conv5a = nn.Conv3d(512, 512, 3, padding=1)
        self.conv5b = nn.Conv3d(512, 512, 3, padding=1)
        self.pool1 = nn.MaxPool3d((1, 2, 2))
        self.pool2 = nn.MaxPool3d(2)
        self.pool3 = nn.MaxPool3d(2)
        self.pool4 = nn.MaxPool3d(2)
        self.pool5 = nn.MaxPool3d(2, ceil_mode=True) if pool5 == "ceil" else nn.MaxPool3d(2, padding=(0, 1, 1))
        self.fc6 = nn.Linear(8192, 4096)
        self.fc7 = nn.Linear(4096, 4096)

    def features(self, clips: Tensor, layer: Layer) -> Tensor:
        """Compute the outputs of a fully connected layer.

        Parameters
        ----------
        clips : Tensor, shape (batch, 3, 16, 112, 112)
            Blue, green and red, less their means.
        layer : str
            "fc6" or "fc7".

        Returns
        -------
        Tensor, shape (batch, 4096)
            After the ReLU.
        """
        maps = self.pool1(_rectified(self.conv1, clips))
        maps = self.pool2(_rectified(self.conv2, maps))
        maps = self.pool3(_rectified(self.conv3b, _rectified(self.conv3a, maps)))
        maps = self.pool4(_rectified(self.conv4b, _rectified(self.conv4a, maps)))
        maps = self.pool5(_rectified(self.conv5b, _rectified(self.conv5a, maps)))
        features = _rectified(self.fc6, maps.flatten(1))
        return features if layer == "fc6" else _rectified(self.fc7, features)


def pretrained(weights: Path, pool5: Pool5) -> C3DNetwork:
    """Load the network from a file of weights. Raises InputError where they are another's."""
    with torch.device("meta"):  # 312 MB that nobody draws only to overwrite them
        network = C3DNetwork(pool5)
    network.load_state_dict(adapt(load(weights), network), assign=True)
    return network


def _rectified(layer: nn.Module, maps: Tensor) -> Tensor:
    return F.relu(layer(maps), inplace=True)


class ClipFeatureExtractor:
    """Computes features of clips, the same bits for the same batch.

    Parameters
    ----------
    weights : Path
        File of the network's weights; a classifier in it is left out.
    layer : str
        "fc6" or "fc7", whose outputs are the features.
    pool5 : str
        "ceil" or "padded", as for ``C3DNetwork``.
    mean : Path or None
        File of a mean of shape ``CUBE``, .npy or .safetensors; None takes ``MEAN``.
    device : str
        "cpu" or "cuda".

    Raises
    ------
    InputError
        Where a file holds something else.
    """

    def __init__(self, weights: Path, layer: Layer, pool5: Pool5, mean: Path | None, device: str) -> None:
        self.network = pretrained(weights, pool5).float().eval().to(device)
        self.layer = layer
        self.mean = (torch.tensor(MEAN).view(3, 1, 1, 1) if mean is None else cropped_mean(mean)).to(device)

    @torch.inference_mode()
    def __call__(self, clips: np.ndarray) -> np.ndarray:
        """Compute features.

        Parameters
        ----------
        clips : ndarray of uint8, shape (batch, 16, 112, 112, 3)
            RGB.

        Returns
        -------
        ndarray of float32, shape (batch, 4096)
        """
        pixels = torch.from_numpy(clips).to(self.mean.device).flip(-1).permute(0, 4, 1, 2, 3)
        with deterministic():
            features = self.network.features(pixels.float() - self.mean, self.layer)
        return features.cpu().numpy()


def cropped(frame: np.ndarray) -> np.ndarray:
    """Scale a frame (height, width, 3) uint8 bilinearly to 171×128 pixels and cut out the centre (112, 112, 3)."""
    scaled = cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return np.asarray(scaled)[TOP : TOP + SIDE, LEFT : LEFT + SIDE]


def cropped_mean(path: Path) -> Tensor:
    """Read a mean of shape ``CUBE`` and cut out its centre.

    Parameters
    ----------
    path : Path
        A .npy or .safetensors file.

    Returns
    -------
    Tensor of float32, shape (3, 16, 112, 112)

    Raises
    ------
    InputError
        Where the file is damaged or holds something else.
    """
    if path.suffix == ".npy":
        try:
            means = [torch.from_numpy(np.load(path, allow_pickle=False))]
        except (ValueError, EOFError, TypeError) as error:
            raise InputError(f"{path} is not a complete .npy file of numbers ({error}); save the mean again") from None
    else:
        means = list(load(path).values())
    if len(means) != 1 or tuple(means[0].shape) != CUBE:
        shapes = ", ".join(str(tuple(mean.shape)) for mean in means)
        raise InputError(f"{path} holds {shapes}; a mean of shape {CUBE} is needed: colour, frame, row, column")
    return means[0].float()[:, :, TOP : TOP + SIDE, LEFT : LEFT + SIDE]
