"""What pictures were made into before published weights saw them."""

from typing import Literal, NamedTuple

Interpolation = Literal["bilinear", "bicubic"]


class Preprocessing(NamedTuple):
    """Sizes and statistics of the pictures that weights were trained or tested on, by their publisher's metadata.

    Parameters
    ----------
    short_side : int
        Length in pixels that a picture's shorter side is scaled to.
    crop : int
        Side in pixels of the central square that the network sees.
    interpolation : str
        How pictures are scaled, always antialiased.
    mean, std : tuple of float
        Mean and standard deviation of red, green and blue, from 0 to 1.
    squashed : bool
        Whether the longer side is scaled to the same length, whatever the proportions.
    """

    short_side: int
    crop: int
    interpolation: Interpolation
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    squashed: bool = False
