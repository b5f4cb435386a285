"""Configurations of HOG3D's boxes: what is computed in each, and where they lie."""

from typing import Literal

import numpy as np
from pydantic import Field

from pipeline.config import MAX_SIZE, Config, Count, Few


class Descriptor(Config):
    """Histograms of quantised gradients that describe one box in space and time.

    Notes
    -----
    The defaults are the authors' setting for KTH, 1000 numbers a box. The paper's own is cells_xy 4,
    cells_t 3, sub_blocks 3 and full orientation, 960 numbers a box.

    References
    ----------
    Kläser, Marszałek, Schmid, *A Spatio-Temporal Descriptor Based on 3D-Gradients* (BMVC 2008), section 2.

    Examples
    --------
    >>> Descriptor().dims
    1000
    >>> Descriptor(cells_xy=4, cells_t=3, sub_blocks=3, orientation="full").dims
    960
    """

    cells_xy: Few = Field(5, description="number of cells along each side of a box")
    cells_t: Few = Field(4, description="number of cells along the duration of a box")
    sub_blocks: Few = Field(4, description="number of sub-blocks along each of the three axes of a cell")
    sigma_support: float = Field(16, gt=0, le=1000, description="side of a box in units of σ")
    tau_support: float = Field(4, gt=0, le=1000, description="duration of a box in units of τ")
    solid: Literal["icosahedron", "dodecahedron"] = Field(
        "icosahedron", description="polyhedron on whose faces gradients are quantised"
    )
    orientation: Literal["half", "full"] = Field("half", description="half: opposite directions share a bin")
    normalisation: Literal["cell", "global"] = Field(
        "cell",
        description="cell: each cell by its own norm; global: all together, clipped at 0.25 and normalised again",
    )

    @property
    def bins(self) -> int:
        """Number of bins of a cell's histogram."""
        faces = {"icosahedron": 20, "dodecahedron": 12}[self.solid]
        return faces if self.orientation == "full" else faces // 2

    @property
    def dims(self) -> int:
        """Length of a box's descriptor: column, row and time of the cell, then bin; the last varies fastest."""
        return self.cells_xy**2 * self.cells_t * self.bins

    def side_px(self, sigma_px: float) -> float:
        """Return the side of a square box in pixels; a sub-block is at least a pixel large.

        Examples
        --------
        >>> Descriptor().side_px(1.25), Descriptor().side_px(2.5)
        (20.0, 40.0)
        """
        return max(float(self.sub_blocks * self.cells_xy), self.sigma_support * sigma_px)

    def length_frames(self, tau_frames: float) -> float:
        """Return the duration of a box in frames; a sub-block is at least a frame long.

        Examples
        --------
        >>> Descriptor().length_frames(4)
        16.0
        """
        return max(float(self.sub_blocks * self.cells_t), self.tau_support * tau_frames)


class Grid(Config):
    """Dense grid of boxes around points at multiples of a stride, as far as they lie wholly inside the frame.

    Notes
    -----
    With the default descriptor the defaults give adjacent boxes of 20, 28.3 and 40 pixels over 16 frames.

    Examples
    --------
    Boxes of each scale in a frame of 160×120 pixels, 56 altogether:

    >>> [f"{len(lefts)}×{len(tops)}" for tops, lefts, side in Grid().places(Descriptor(), 120, 160)]
    ['7×5', '5×3', '3×2']
    """

    stride_px: float = Field(20, ge=0.1, le=MAX_SIZE, description="pixels between the centres of the smallest boxes")
    sigma_px: float = Field(1.25, gt=0, le=1000, description="σ of the smallest boxes in pixels")
    scales: Few = Field(
        3, description="number of sizes of boxes, each √2 times as large, and as far apart, as the one before"
    )
    tau_frames: float = Field(4, gt=0, le=1000, description="τ of all boxes in frames")
    stride_frames: Count = Field(1, description="frames between the first frames of boxes")

    def places(self, descriptor: Descriptor, height: int, width: int) -> list[tuple[list[float], list[float], float]]:
        """Place the boxes of each scale in a frame.

        Parameters
        ----------
        descriptor : Descriptor
        height, width : int
            Size of the frame in pixels.

        Returns
        -------
        list of (tops, lefts, side)
            Upper and left borders and side in pixels, a tuple for each scale; a box lies at every combination of a top
            and a left.
        """
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

    def min_side_px(self, descriptor: Descriptor) -> int:
        """Return the side in pixels of the smallest square frame that holds a box.

        Examples
        --------
        >>> Grid().min_side_px(Descriptor())
        30
        """
        side = 1
        while not any(tops for tops, _, _ in self.places(descriptor, side, side)):
            side += 1
        return side


def _inside(centre: float, side: float, size: int) -> bool:
    return centre >= side / 2 and centre + side / 2 <= size
