"""HOG3D: Kläser, Marszałek, Schmid, *A Spatio-Temporal Descriptor Based on 3D-Gradients* (BMVC 2008), section 2.

A box is cut into cells, a cell into sub-blocks. The mean gradient of each sub-block is quantised on the faces of a
polyhedron, and a cell's histogram is the sum over its sub-blocks. Borders are rounded to whole pixels and frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from extractors.hog3d.grid import Descriptor
from extractors.hog3d.integral_video import IntegralVideo
from extractors.hog3d.polyhedra import Quantiser

_MIN_GRADIENT = 0.1  # least sum of the norms of a box's cells; with less it counts as empty
_NORM_OFFSET = 0.02  # for each sub-block of a cell
_CLIP = 0.25
_GREY_LEVELS = 255


@dataclass(frozen=True, slots=True)
class Lattice:
    """Boxes of one size, at every combination of a row and a column.

    Parameters
    ----------
    rows, columns : Tensor of int64, shape (boxes, sub-blocks + 1)
        Borders of the sub-blocks in pixels.
    """

    rows: Tensor
    columns: Tensor

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)


class BoxDescriptors:
    """Computes descriptors of boxes from quantised gradients.

    Parameters
    ----------
    config : Descriptor
    device : str
        "cpu" or "cuda".

    References
    ----------
    Kläser, Marszałek, Schmid, *A Spatio-Temporal Descriptor Based on 3D-Gradients* (BMVC 2008), section 2.
    """

    def __init__(self, config: Descriptor, device: str) -> None:
        self.config = config
        self.device = device
        self.quantise = Quantiser(config.solid, config.orientation, device)

    def lattice(self, tops: Sequence[float], lefts: Sequence[float], side: float, height: int, width: int) -> Lattice:
        """Lay out boxes.

        Parameters
        ----------
        tops, lefts : sequence of float
            Upper and left borders in pixels.
        side : float
            Side of a box in pixels.
        height, width : int
            Size of the frame, at whose borders the boxes are cut off.
        """
        parts = self.config.cells_xy * self.config.sub_blocks
        rows, columns = (
            np.clip(borders(np.asarray(starts), side, parts), 0, size)
            for starts, size in ((tops, height), (lefts, width))
        )
        return Lattice(*(torch.from_numpy(places).to(self.device) for places in (rows, columns)))

    def planes(self, frames: Tensor, ranges: np.ndarray, lattices: Sequence[Lattice]) -> Tensor:
        """Compute the histogram of each cell's area in each range of frames.

        Parameters
        ----------
        frames : Tensor of uint8, shape (time, height, width)
        ranges : ndarray of int64, shape (n, 2)
            First frame of each range, and the one after its last.
        lattices : sequence of Lattice

        Returns
        -------
        Tensor of float32, shape (n, boxes, cells_xy², bins)
            Boxes of all lattices, row by row; cells column by column.
        """
        slices = IntegralVideo(frames).slices(torch.from_numpy(ranges).to(self.device))
        planes = []
        for lattice in lattices:
            vectors = slices.vectors(lattice.rows, lattice.columns)
            votes = self.quantise(vectors.flatten(1).float().div_(_GREY_LEVELS))
            planes.append(self._pooled(votes.unflatten(1, vectors.shape[1:])))
        return torch.cat(planes, dim=1)

    def descriptors(self, cells: Tensor) -> Tensor:
        """Normalise cells (n, cells_t, boxes, cells_xy², bins) to descriptors (n, boxes, dims)."""
        cells = cells.permute(0, 2, 3, 1, 4).contiguous()
        norms = cells.square().sum(-1, keepdim=True).sqrt_()
        filled = norms.sum((2, 3)) >= _MIN_GRADIENT  # (n, boxes, 1)
        if self.config.normalisation == "cell":
            normalised = cells.div_(norms.add_(_NORM_OFFSET * self.config.sub_blocks**3)).flatten(2)
        else:
            normalised = F.normalize(F.normalize(cells.flatten(2), dim=2).clamp_(max=_CLIP), dim=2)
        return normalised.mul_(filled)

    def _pooled(self, votes: Tensor) -> Tensor:
        """Sum over the sub-blocks of each cell: to (n, rows·columns, cells_xy², bins).

        From (bins, n, rows·cells_xy·sub_blocks, columns·cells_xy·sub_blocks).
        """
        cells, sub_blocks = self.config.cells_xy, self.config.sub_blocks
        pooled: Tensor = votes.unflatten(2, (-1, sub_blocks)).sum(3).unflatten(3, (-1, sub_blocks)).sum(4)
        pooled = pooled.unflatten(3, (-1, cells)).unflatten(2, (-1, cells))  # (bins, n, rows, iy, columns, ix)
        return pooled.permute(1, 2, 4, 5, 3, 0).flatten(3, 4).flatten(1, 2)


def borders(starts: np.ndarray, size: float, parts: int) -> np.ndarray:
    """Divide boxes into equal parts along one axis.

    Parameters
    ----------
    starts : ndarray of float64, shape (n,)
        First borders in pixels or frames.
    size : float
        Length of a box.
    parts : int

    Returns
    -------
    ndarray of int64, shape (n, parts + 1)
        Borders, rounded half away from zero.

    Examples
    --------
    >>> borders(np.array([0.0, 1.5]), 5, 2)
    array([[0, 3, 5],
           [2, 4, 7]])
    """
    places = starts[:, None] + np.arange(parts + 1) * size / parts
    return np.copysign(np.floor(np.abs(places) + 0.5), places).astype(np.int64)
