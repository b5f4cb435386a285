"""How training pictures vary: Wang et al., *Temporal Segment Networks* (ECCV 2016), section 3.2.

The paper crops at four corners and the centre; its public code adds the middles of the four sides and of the four
quadrants, and keeps width and height at most one scale apart. Both are done here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

PLACES = tuple((down, right) for down in range(5) for right in range(5) if (down + right) % 2 == 0)
"""The 13, in quarters of the room that a crop leaves in height and in width."""
_GREY = np.array((0.299, 0.587, 0.114), np.float32)


class Crop(NamedTuple):
    """Part of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def __call__(self, picture: np.ndarray, side: int) -> np.ndarray:
        """(height, width[, channel]) to (side, side[, channel]): averages over areas where both sides shrink."""
        part = picture[self.top : self.top + self.height, self.left : self.left + self.width]
        shrinks = min(self.height, self.width) > side
        return cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def drawn_crop(height: int, width: int, *, scales: Sequence[float], corners: bool, rng: np.random.Generator) -> Crop:
    """A crop with sides of falling ``scales`` of the short side, at one of 13 places or, without ``corners``, any."""
    sizes = [max(1, round(min(height, width) * scale)) for scale in scales]
    pairs = [(high, wide) for i, high in enumerate(sizes) for wide in sizes[max(0, i - 1) : i + 2]]
    high, wide = pairs[rng.integers(len(pairs))]
    down, right = height - high, width - wide
    if not corners:
        return Crop(int(rng.integers(down + 1)), int(rng.integers(right + 1)), high, wide)
    quarters = PLACES[rng.integers(len(PLACES))]
    return Crop(down * quarters[0] // 4, right * quarters[1] // 4, high, wide)


def mirrored(pictures: np.ndarray, *, flow: bool) -> np.ndarray:
    """(..., height, width, channel) uint8, left to right; of flow, whose first channel is x, that changes its sign."""
    turned = pictures[..., ::-1, :].copy()
    if flow:
        turned[..., 0] = 255 - turned[..., 0]
    return turned


def colour_jittered(pictures: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """(..., 3) uint8 RGB, all alike: brightness, contrast, saturation, in random order, times 1 ± strength at most."""
    pixels = pictures.astype(np.float32)
    for kind in rng.permutation(3):
        factor = np.float32(rng.uniform(1 - strength, 1 + strength))
        grey = (pixels @ _GREY)[..., None]
        towards = (np.float32(0), grey.mean(), grey)[kind]
        pixels = np.clip(towards + factor * (pixels - towards), 0, 255)
    return np.rint(pixels).astype(np.uint8)
