"""Layout of trajectories: the grid they begin on, their length, and the cells in which they are described."""

from typing import NamedTuple

BINS = {"hog": 8, "hof": 9, "mbh_x": 8, "mbh_y": 8}
"""Number of bins of a cell for each descriptor; HOF's last is for no motion."""


class Layout(NamedTuple):
    """Sizes that tracking and describing need; the fields of ``Trajectories`` say what each is.

    Lengths are in frames, strides and patches in pixels of each scale.

    Examples
    --------
    >>> layout = Layout(length_frames=15, stride_px=5, scales=8, patch_px=32, cells_xy=2, cells_t=3)
    >>> layout.widths, sum(layout.widths)
    ((30, 96, 108, 96, 96), 426)
    >>> layout.sizes(120, 160)
    [(120, 160), (85, 113), (60, 80), (42, 57)]
    """

    length_frames: int
    stride_px: int
    scales: int
    patch_px: int
    cells_xy: int
    cells_t: int

    @property
    def patch_dims(self) -> int:
        """Length of the descriptors of a patch in one frame."""
        return self.cells_xy**2 * sum(BINS.values())

    @property
    def widths(self) -> tuple[int, ...]:
        """Lengths of what lies side by side in ``features``: shape, and the descriptors of ``BINS``."""
        return 2 * self.length_frames, *(self.cells_t * self.cells_xy**2 * bins for bins in BINS.values())

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return (height, width) of the scales in pixels; none for a frame smaller than a patch."""
        factors = [2 ** (step / 2) for step in range(self.scales)]
        kept = [factor for factor in factors if min(height, width) >= self.patch_px * factor]
        return [(round(height / factor), round(width / factor)) for factor in kept]
