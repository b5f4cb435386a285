"""Boxes of HOG3D: what is computed in one, and where they lie."""

from typing import Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from pipeline.config import Config


class Descriptor(Config):
    """What is computed in a box: Kläser, Marszałek, Schmid (BMVC 2008), section 2.

    The defaults are the authors' setting for KTH, 1000 numbers a box. The paper's own is cells_xy 4,
    cells_t 3, sub_blocks 3 and full orientation, 960 numbers a box.
    """

    cells_xy: PositiveInt = Field(5, description="along each side of a box")
    cells_t: PositiveInt = Field(4, description="along its duration")
    sub_blocks: PositiveInt = Field(4, description="along each of the three directions of a cell")
    sigma_support: PositiveFloat = Field(16, description="side of a box in σ")
    tau_support: PositiveFloat = Field(4, description="duration of a box in τ")
    solid: Literal["icosahedron", "dodecahedron"] = "icosahedron"
    orientation: Literal["half", "full"] = Field("half", description="half: opposite directions share a bin")
    normalisation: Literal["cell", "global"] = Field(
        "cell", description="cell: each by its own norm; global: all together, clipped at 0.25 and normalised again"
    )

    @property
    def bins(self) -> int:
        """Of a cell's histogram."""
        faces = {"icosahedron": 20, "dodecahedron": 12}[self.solid]
        return faces if self.orientation == "full" else faces // 2

    @property
    def dims(self) -> int:
        """Of a box: column, row and time of the cell, then bin; the last runs fastest."""
        return self.cells_xy**2 * self.cells_t * self.bins

    def side_px(self, sigma_px: float) -> float:
        """A box is as wide as high, and a sub-block no smaller than a pixel."""
        return max(float(self.sub_blocks * self.cells_xy), self.sigma_support * sigma_px)

    def length_frames(self, tau_frames: float) -> float:
        """A sub-block is no shorter than a frame."""
        return max(float(self.sub_blocks * self.cells_t), self.tau_support * tau_frames)


class Grid(Config):
    """Where boxes are: around points at multiples of a stride in space, as far as they lie wholly inside the frame.

    The defaults give, with the default descriptor, adjacent boxes of 20, 28.3 and 40 pixels over 16 frames: on 160×120
    pixels 7×5 + 5×3 + 3×2 = 56 of them.
    """

    stride_px: PositiveFloat = Field(20, description="between the centres of the smallest boxes")
    sigma_px: PositiveFloat = Field(1.25, description="of the smallest boxes")
    scales: PositiveInt = Field(3, description="sizes of boxes: each √2 times as large, and as far apart, as the last")
    tau_frames: PositiveFloat = 4
    stride_frames: PositiveInt = Field(1, description="between the first frames of boxes")

    def places(self, descriptor: Descriptor, height: int, width: int) -> list[tuple[list[float], list[float], float]]:
        """Tops, lefts and side of the boxes of each scale, in pixels."""
        places = []
        for step in range(self.scales):
            scale = 2 ** (step / 2)
            side, stride = descriptor.side_px(self.sigma_px * scale), self.stride_px * scale
            tops, lefts = (
                [centre - side / 2 for centre in np.arange(0, size, stride).tolist() if _inside(centre, side, size)]
                for size in (height, width)
            )
            places.append((tops, lefts, side))
        return places

    def least_side_px(self, descriptor: Descriptor) -> int:
        """Of a square frame that holds one box at least."""
        side = 1
        while not any(tops for tops, _, _ in self.places(descriptor, side, side)):
            side += 1
        return side


def _inside(centre: float, side: float, size: int) -> bool:
    return centre >= side / 2 and centre + side / 2 <= size
