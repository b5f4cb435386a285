"""Parameters of TV-L1, the semantics that its paper leaves open, and the sizes of its pyramid."""

from typing import NamedTuple

import cv2

_MIN_PX = 16

Shape = tuple[int, int]
"""Height and width in pixels."""


class Semantics(NamedTuple):
    """Decisions that the paper leaves open.

    Parameters
    ----------
    first : float
        Place of a pixel's value within the pixel when an image is resized; 0.5 is the middle.
    cubic : float
        Parameter a of bicubic interpolation.
    border : int
        OpenCV's constant for what lies outside an image.
    median : int
        Side of the median filter in pixels; 0 for none.
    filters, iterations : int
        Largest number of filters in a warp, and of iterations after each.
    sparse : bool
        Whether convergence is not checked after every iteration.
    """

    first: float
    cubic: float
    border: int
    median: int
    filters: int
    iterations: int
    sparse: bool


SEMANTICS = {
    "opencv-cpu": Semantics(0.5, -0.75, cv2.BORDER_CONSTANT, median=5, filters=10, iterations=30, sparse=False),
    "opencv-cuda": Semantics(0.0, -0.5, cv2.BORDER_REPLICATE, median=0, filters=1, iterations=300, sparse=True),
}
"""Decisions of OpenCV's two implementations, by the names that ``TVL1.semantics`` gives them."""


class Parameters(NamedTuple):
    """Parameters of the algorithm; the fields of ``TVL1`` say what each is."""

    tau: float
    attachment: float
    theta: float
    scales: int
    scale_step: float
    warps: int
    epsilon: float
    semantics: str

    @property
    def decisions(self) -> Semantics:
        """Decisions that ``semantics`` names."""
        return SEMANTICS[self.semantics]


def shapes(parameters: Parameters, height: int, width: int) -> list[Shape]:
    """Return (height, width) of the pyramid's images in pixels, the finest first.

    Examples
    --------
    >>> parameters = Parameters(0.25, 0.15, 0.3, 5, scale_step=0.5, warps=5, epsilon=0.01, semantics="opencv-cpu")
    >>> shapes(parameters, 120, 160)
    [(120, 160), (60, 80), (30, 40)]
    """
    found = [(height, width)]
    while len(found) < parameters.scales:
        height, width = round(height * parameters.scale_step), round(width * parameters.scale_step)
        if min(height, width) < _MIN_PX:
            break
        found.append((height, width))
    return found
