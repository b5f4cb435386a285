"""Histograms of optical flow around space-time points: Laptev et al. (CVPR 2008), section 3.1.

The paper names the grid, its size, the number of bins and that the histogram of each cell is normalised. What it
leaves open: flow is Farnebäck's (SCIA 2003), with the window and polynomials of improved trajectories (Wang and
Schmid, ICCV 2013); the four orientations are right, down, left and up; a pixel votes with its speed, shared linearly
between the two orientations nearest to its own as in Dalal and Triggs (CVPR 2005), and one slower than ``STILL_PX``
votes 1 for no motion; a normalised histogram adds up to 1.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

ORIENTATIONS = 4
BINS = ORIENTATIONS + 1
STILL_PX = 0.4
"""Pixels a frame below which nothing moves."""
INNER, OUTER, DEEP = 3, 9, 4
"""Edges of the cells in units of σ, σ and τ: a support of 18σ × 18σ × 8τ in 3 × 3 × 2 cells."""
DIMENSIONS = 3 * 3 * 2 * BINS


class FlowHistograms:
    """Descriptors of one clip's points, window after window; flow is computed once a frame pair, where it is needed."""

    def __init__(self) -> None:
        self.integrals: dict[int, NDArray[np.float64]] = {}

    def __call__(self, frames: NDArray[np.uint8], first: int, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """(points, 90): cells in the order of time, y, x, each with right, down, left, up, and no motion.

        frames: grey (time, height, width), ``first`` the index of the first of them in the clip.
        points: x, y, index in the clip, σ, τ. Cells end where the frame and ``frames`` do.
        """
        if not len(points):
            return np.empty((0, DIMENSIONS), np.float32)
        height, width = frames.shape[1:]
        x, y, t, sigma, tau = points.astype(np.float64).T
        inner, outer, deep = (np.rint(units * scale) for units, scale in ((INNER, sigma), (OUTER, sigma), (DEEP, tau)))
        across, along = (
            np.stack([centre - outer, centre - inner, centre + inner + 1, centre + outer + 1], axis=1)
            for centre in (x, y)
        )
        rows, columns = along.clip(0, height).astype(int), across.clip(0, width).astype(int)
        times = np.stack([t - deep, t, t + deep], axis=1).clip(first, first + len(frames) - 1).astype(int)
        begin, end = times.min(), times.max()
        sums = self._sums(frames, first, range(begin, end))
        cells = sums[times[:, :, None, None] - begin, rows[:, None, :, None], columns[:, None, None, :]]
        for axis in (1, 2, 3):
            cells = np.diff(cells, axis=axis)
        cells = cells.clip(0)  # of what rounding leaves of an empty bin
        totals = cells.sum(axis=-1, keepdims=True)
        described: NDArray[np.float32] = (cells / totals).reshape(len(points), -1).astype(np.float32)
        return described

    def _sums(self, frames: NDArray[np.uint8], first: int, pairs: range) -> NDArray[np.float64]:
        """(pairs + 1, height + 1, width + 1, 5): votes of all pixels before a row and a column, of all pairs before."""
        known = {pair: votes for pair, votes in self.integrals.items() if pair >= first}
        for pair in pairs:
            if pair not in known:
                given = votes(*frames[pair - first : pair - first + 2])
                known[pair] = np.asarray(cv2.integral(given, sdepth=cv2.CV_64F), np.float64)
        self.integrals = known
        sums = np.zeros((len(pairs) + 1, *known[pairs.start].shape))
        for number, pair in enumerate(pairs):
            np.add(sums[number], known[pair], out=sums[number + 1])
        return sums


def votes(frame: NDArray[np.uint8], following: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(height, width, 5): what each pixel gives to right, down, left, up, and no motion."""
    unknown: Any = None
    flow = cv2.calcOpticalFlowFarneback(
        frame, following, unknown, pyr_scale=0.5, levels=3, winsize=10, iterations=2, poly_n=7, poly_sigma=1.5, flags=0
    )
    speed, angle = cv2.cartToPolar(flow[..., 0], flow[..., 1])
    given: NDArray[np.float32] = np.empty((*speed.shape, BINS), np.float32)
    moving = speed >= STILL_PX
    speed *= moving
    turn = angle * np.float32(ORIENTATIONS / (2 * np.pi))
    for orientation in range(ORIENTATIONS):
        distance = np.abs(turn - orientation)
        distance = np.minimum(distance, ORIENTATIONS - distance)
        given[..., orientation] = speed * (1 - distance).clip(0)
    given[..., ORIENTATIONS] = ~moving
    return given
