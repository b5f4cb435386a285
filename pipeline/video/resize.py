"""Bring pictures to another size."""

from typing import Literal

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


def antialiased(
    picture: NDArray[np.uint8], size_px: tuple[int, int], interpolation: Literal["bilinear", "bicubic"]
) -> NDArray[np.uint8]:
    """Return a picture at another width and height, filtered while it is shrunk, as torchvision and Pillow do it.

    Parameters
    ----------
    picture : uint8 array, shape (height, width, channel)
        The picture.
    size_px
        Width and height.
    interpolation
        Kernel of the filter.
    """
    import torch
    from torch.nn import functional as F

    if size_px == (picture.shape[1], picture.shape[0]):
        return picture
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    scaled = F.interpolate(pixels, size_px[::-1], mode=interpolation, align_corners=False, antialias=True)
    rounded: NDArray[np.uint8] = scaled[0].clamp(0, 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    return rounded
