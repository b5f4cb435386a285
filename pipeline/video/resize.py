"""Bring pictures to another size."""

import cv2
import numpy as np
from numpy.typing import NDArray


def resized(picture: NDArray[np.uint8], size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture at another width and height: shrunk by averaging, which does not alias, or enlarged bilinearly.

    Parameters
    ----------
    picture : uint8 array, shape (height, width) or (height, width, channel)
        The picture.
    size_px
        Width and height.
    """
    height, width = picture.shape[:2]
    if size_px == (width, height):
        return picture
    shrinks = size_px[0] < width or size_px[1] < height
    return cv2.resize(picture, size_px, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)  # type: ignore[return-value]
