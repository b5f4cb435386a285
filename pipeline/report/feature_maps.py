"""Draws the feature maps of a convolutional network's first layer over the frame that they answer to."""

from dataclasses import dataclass

import numpy as np

from pipeline.report.thumbnails import image

ENLARGED = 4
"""A pixel of the network's input is so many of the picture."""
_GREY, _CONTRAST = 185, 28
"""The local mean, and a deviation of 1: light, so that the maps' answers stand out on paper without colours, too."""
_TINT = (190, 35, 0)
_OPACITY = 3
"""The power of an answer, as a share of its map's strongest, that is the opacity of its colour."""


@dataclass(frozen=True, slots=True)
class FirstMaps:
    """Feature maps of one test video.

    label: its (first) class; frame: which of the clip it is; pictures: HTML elements, of the frame and then of each
    map over it.
    """

    video: str
    label: str
    frame: int
    pictures: tuple[str, ...]


def pictures(frame: np.ndarray, maps: np.ndarray) -> tuple[str, ...]:
    """Draw a contrast-normalised frame (height, width), and each rectified map (map, height, width) over it.

    Maps are smaller than the frame by what a valid convolution takes from every side, and lie in its middle.
    """
    grey = np.clip(_GREY + _CONTRAST * frame, 0, 255)
    return tuple(image(_enlarged(picture)) for picture in (_coloured(grey), *(_over(grey, each) for each in maps)))


def _over(grey: np.ndarray, answers: np.ndarray) -> np.ndarray:
    top, left = ((whole - part) // 2 for whole, part in zip(grey.shape, answers.shape, strict=True))
    cover = np.zeros((*grey.shape, 1))
    cover[top : top + len(answers), left : left + answers.shape[1], 0] = (
        answers / max(answers.max(), 1e-9)
    ) ** _OPACITY
    blended: np.ndarray = cover * _TINT + (1 - cover) * _coloured(grey)
    return blended


def _coloured(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def _enlarged(picture: np.ndarray) -> np.ndarray:
    return np.repeat(np.repeat(np.rint(picture).astype(np.uint8), ENLARGED, axis=0), ENLARGED, axis=1)
