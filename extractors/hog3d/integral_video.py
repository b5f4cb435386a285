"""Sums of a video's gradient over many blocks, from integral images: Kläser et al. (BMVC 2008), section 2.1.

The gradient consists of forward differences, 0 at the last column, row and frame. Its sum over a block telescopes along
the direction of the difference, so that only integrals of the grey values themselves are needed: in y for g_x, in x for
g_y, in both for g_t. They are computed in integers, hence exactly, for frames of up to 8.4 million pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Slices:
    """Integral images of n ranges of frames, int32.

    Parameters
    ----------
    down : Tensor, shape (n, height + 1, width)
        Integrals in y, summed over the frames of a range.
    across : Tensor, shape (n, height, width + 1)
        Integrals in x, summed over the frames of a range.
    change : Tensor, shape (n, height + 1, width + 1)
        Integral in x and y of the frame after a range less that of its first.
    """

    down: Tensor
    across: Tensor
    change: Tensor

    def vectors(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Sum the gradient over blocks.

        Parameters
        ----------
        rows, columns : Tensor of int64, shape (boxes, blocks + 1)
            Borders of the blocks, between 0 and the frame's size.

        Returns
        -------
        Tensor of int32, shape (3, n, boxes·blocks, boxes·blocks)
            Sums of g_x, g_y and g_t in grey levels.
        """
        height, width = self.across.shape[1], self.down.shape[2]
        x = _differences(_differences(self.down, rows, 1), columns.clamp(max=width - 1), 2)
        y = _differences(_differences(self.across, rows.clamp(max=height - 1), 1), columns, 2)
        t = _differences(_differences(self.change, rows, 1), columns, 2)
        return torch.stack((x, y, t))


class IntegralVideo:
    """Integral images of consecutive frames, uint8 (time, height, width)."""

    def __init__(self, frames: Tensor) -> None:
        grey = frames.to(torch.int32)
        down, across = (grey.cumsum(axis, dtype=torch.int32) for axis in (1, 2))
        self.down = F.pad(down, (0, 0, 1, 0))
        self.across = F.pad(across, (1, 0))
        self.both = F.pad(down.cumsum(2, dtype=torch.int32), (1, 0, 1, 0))

    def slices(self, ranges: Tensor) -> Slices:
        """Return integrals over half-open ranges of frames (n, 2); an end may be one beyond the last frame."""
        first, last = ranges[:, 0], ranges[:, 1]
        down, across = self.down[first], self.across[first]
        for further in range(1, int((last - first).max())):
            reached = last - first > further
            down[reached] += self.down[first[reached] + further]
            across[reached] += self.across[first[reached] + further]
        change = self.both[last.clamp(max=len(self.both) - 1)] - self.both[first]
        return Slices(down, across, change)


def _differences(table: Tensor, borders: Tensor, axis: int) -> Tensor:
    """Subtract entries at neighbouring borders (boxes, blocks + 1) of each box, box after box along the axis."""
    picked = table.index_select(axis, borders.flatten()).unflatten(axis, borders.shape)
    blocks = borders.shape[1] - 1
    differences: Tensor = picked.narrow(axis + 1, 1, blocks) - picked.narrow(axis + 1, 0, blocks)
    return differences.flatten(axis, axis + 1)
