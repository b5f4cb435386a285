"""Augments training pictures: Wang et al., *Temporal Segment Networks* (ECCV 2016), section 3.2.

The paper crops at four corners and the centre; its public code adds the middles of the four sides and of the four
quadrants, and keeps width and height at most one scale apart. Both are done here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

PLACES = tuple((down, right) for down in range(5) for right in range(5) if (down + right) % 2 == 0)
"""The 13 fixed places of a crop (down, right), in quarters of the height and width that it leaves over."""
_GREY = np.array((0.299, 0.587, 0.114), np.float32)


class Crop(NamedTuple):
    """Rectangle of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def __call__(self, picture: np.ndarray, side: int) -> np.ndarray:
        """Cut the rectangle out of a picture and scale it to a square.

        Parameters
        ----------
        picture : ndarray of uint8, shape (height, width) or (height, width, channel)
        side : int
            Side of the square in pixels.

        Returns
        -------
        ndarray of uint8, shape (side, side) or (side, side, channel)
            Averaged over areas where both sides shrink, and interpolated bilinearly otherwise.
        """
        part = picture[self.top : self.top + self.height, self.left : self.left + self.width]
        shrinks = min(self.height, self.width) > side
        return cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def drawn_crop(height: int, width: int, *, scales: Sequence[float], corners: bool, rng: np.random.Generator) -> Crop:
    """Draw the crop of a training picture.

    Parameters
    ----------
    height, width : int
        Size of the picture in pixels.
    scales : sequence of float
        Falling scales, relative to the picture's short side, that the crop's height and width are drawn from; the two
        are at most one scale apart.
    corners : bool
        Whether the crop lies at one of 13 fixed places instead of anywhere.
    rng : numpy.random.Generator

    Returns
    -------
    Crop
    """
    sizes = [max(1, round(min(height, width) * scale)) for scale in scales]
    pairs = [(high, wide) for i, high in enumerate(sizes) for wide in sizes[max(0, i - 1) : i + 2]]
    high, wide = pairs[rng.integers(len(pairs))]
    down, right = height - high, width - wide
    if not corners:
        return Crop(int(rng.integers(down + 1)), int(rng.integers(right + 1)), high, wide)
    quarters = PLACES[rng.integers(len(PLACES))]
    return Crop(down * quarters[0] // 4, right * quarters[1] // 4, high, wide)


def mirrored(picture: np.ndarray, *, negated: bool) -> np.ndarray:
    """Mirror a picture (height, width[, channel]) uint8 left to right; one of flow in x changes its sign, too."""
    turned = cv2.flip(picture, 1)
    return cv2.bitwise_not(turned) if negated else turned


def colour_jittered(pictures: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Jitter the colours of RGB pictures, all by the same draw.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (..., 3)
    strength : float
        Brightness, contrast and saturation change in random order, each by a factor from 1 − strength to 1 + strength.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of uint8, shape (..., 3)
    """
    pixels = pictures.astype(np.float32)
    for kind in rng.permutation(3):
        factor = np.float32(rng.uniform(1 - strength, 1 + strength))
        grey = (pixels @ _GREY)[..., None]
        towards = (np.float32(0), grey.mean(), grey)[kind]
        pixels = np.clip(towards + factor * (pixels - towards), 0, 255)
    return np.rint(pixels).astype(np.uint8)
