"""Histograms of optical flow around space-time points: Laptev et al. (CVPR 2008), section 3.1.

The paper names the grid, its size, the number of bins and that the histogram of each cell is normalised. It leaves open
what is decided here: flow is Farnebäck's (SCIA 2003), with the window and polynomials of improved trajectories (Wang
and Schmid, ICCV 2013); the four orientations are right, down, left and up; a pixel votes with its speed, interpolated
linearly between the two orientations nearest to its own as in Dalal and Triggs (CVPR 2005), and one slower than
``STILL_PX`` votes 1 for no motion; a normalised histogram adds up to 1.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

ORIENTATIONS = 4
BINS = ORIENTATIONS + 1
"""Bins of a cell; the last is for no motion."""
STILL_PX = 0.4
"""Least speed of motion, in pixels a frame."""
INNER, OUTER, DEEP = 3, 9, 4
"""Edges of the cells in units of σ, σ and τ: a support of 18σ × 18σ × 8τ in 3 × 3 × 2 cells."""
DIMENSIONS = 3 * 3 * 2 * BINS
"""Length of a descriptor."""


class FlowHistograms:
    """Describes the points of one clip, window after window; flow is computed once a frame pair, where it is needed.

    References
    ----------
    Laptev et al., *Learning Realistic Human Actions from Movies* (CVPR 2008), section 3.1.
    """

    def __init__(self) -> None:
        self.integrals: dict[int, NDArray[np.float64]] = {}

    def __call__(self, frames: NDArray[np.uint8], first: int, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Describe points by the flow around them.

        Parameters
        ----------
        frames : ndarray of uint8, shape (time, height, width)
            A window of the clip, grey.
        first : int
            Index in the clip of the window's first frame.
        points : ndarray of float32, shape (points, 5)
            x, y, index of the frame in the clip, σ and τ.

        Returns
        -------
        ndarray of float32, shape (points, 90)
            Cells in the order of time, y, x, each with right, down, left, up, and no motion. Cells are cut off at the
            borders of the frame and of the window.
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
        """Sum the votes of all pixels before a row and a column over all pairs before: (pairs + 1, h + 1, w + 1, 5)."""
        known = {pair: votes for pair, votes in self.integrals.items() if pair >= first}
        for pair in pairs:
            if pair not in known:
                cast = votes(*frames[pair - first : pair - first + 2])
                known[pair] = np.asarray(cv2.integral(cast, sdepth=cv2.CV_64F), np.float64)
        self.integrals = known
        sums = np.zeros((len(pairs) + 1, *known[pairs.start].shape))
        for number, pair in enumerate(pairs):
            np.add(sums[number], known[pair], out=sums[number + 1])
        return sums


def votes(frame: NDArray[np.uint8], following: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute what each pixel votes for.

    Parameters
    ----------
    frame, following : ndarray of uint8, shape (height, width)
        Consecutive frames, grey.

    Returns
    -------
    ndarray of float32, shape (height, width, 5)
        Votes for right, down, left, up, and no motion.
    """
    no_flow: Any = None
    flow = cv2.calcOpticalFlowFarneback(
        frame, following, no_flow, pyr_scale=0.5, levels=3, winsize=10, iterations=2, poly_n=7, poly_sigma=1.5, flags=0
    )
    speed, angle = cv2.cartToPolar(flow[..., 0], flow[..., 1])
    cast: NDArray[np.float32] = np.empty((*speed.shape, BINS), np.float32)
    moving = speed >= STILL_PX
    speed *= moving
    turn = angle * np.float32(ORIENTATIONS / (2 * np.pi))
    for orientation in range(ORIENTATIONS):
        distance = np.abs(turn - orientation)
        distance = np.minimum(distance, ORIENTATIONS - distance)
        cast[..., orientation] = speed * (1 - distance).clip(0)
    cast[..., ORIENTATIONS] = ~moving
    return cast
