"""Parameters of TV-L1, what the paper leaves open of it, and the sizes of its pyramid."""

from typing import NamedTuple

import cv2

_MIN_PX = 16

Shape = tuple[int, int]


class Reading(NamedTuple):
    """What the paper leaves open.

    first: where in a pixel its value stands when an image is resized, 0.5 for the middle; cubic: the parameter of
    bicubic interpolation; border: OpenCV's name of what lies outside; median: the filter's side, 0 for none; filters
    and iterations: at most so many a warp, and so many after each filter; sparse: not every change is looked at.
    """

    first: float
    cubic: float
    border: int
    median: int
    filters: int
    iterations: int
    sparse: bool


READINGS = {
    "opencv-cpu": Reading(0.5, -0.75, cv2.BORDER_CONSTANT, median=5, filters=10, iterations=30, sparse=False),
    "opencv-cuda": Reading(0.0, -0.5, cv2.BORDER_REPLICATE, median=0, filters=1, iterations=300, sparse=True),
}


class Parameters(NamedTuple):
    """Numbers of the algorithm, which ``TVL1`` documents, and the name of a reading."""

    tau: float
    attachment: float
    theta: float
    scales: int
    scale_step: float
    warps: int
    epsilon: float
    semantics: str

    @property
    def reading(self) -> Reading:
        """What the paper leaves open, as ``semantics`` has it."""
        return READINGS[self.semantics]


def shapes(parameters: Parameters, height: int, width: int) -> list[Shape]:
    """Height and width of the pyramid's images, the finest first."""
    found = [(height, width)]
    while len(found) < parameters.scales:
        height, width = round(height * parameters.scale_step), round(width * parameters.scale_step)
        if min(height, width) < _MIN_PX:
            break
        found.append((height, width))
    return found
