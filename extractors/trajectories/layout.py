"""Layout of trajectories: where they begin, how long they are, and the cells in which they are described."""

from typing import NamedTuple

BINS = {"hog": 8, "hof": 9, "mbh_x": 8, "mbh_y": 8}
"""Of a cell, for each descriptor; HOF's last is for what stands still."""


class Layout(NamedTuple):
    """Sizes that tracking and describing need; ``Trajectories`` documents them.

    Lengths are in frames, strides and patches in pixels of each scale.
    """

    length_frames: int
    stride_px: int
    scales: int
    patch_px: int
    cells_xy: int
    cells_t: int

    @property
    def patch_dims(self) -> int:
        """Of what describes a patch of one frame."""
        return self.cells_xy**2 * sum(BINS.values())

    @property
    def widths(self) -> tuple[int, ...]:
        """Of what lies side by side in ``features``: shape, and the descriptors of ``BINS``."""
        return 2 * self.length_frames, *(self.cells_t * self.cells_xy**2 * bins for bins in BINS.values())

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """(height, width) of the scales; none for a frame smaller than a patch."""
        factors = [2 ** (step / 2) for step in range(self.scales)]
        kept = [factor for factor in factors if min(height, width) >= self.patch_px * factor]
        return [(round(height / factor), round(width / factor)) for factor in kept]
