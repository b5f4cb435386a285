"""Histograms of gradients, flow and motion boundaries around tracked points, from integral images.

Wang, Kläser, Schmid, Liu, *Dense Trajectories and Motion Boundary Descriptors for Action Recognition* (IJCV 2013),
section 4. A pixel votes with its magnitude, interpolated linearly between the two of eight orientations that are
nearest to its own.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from extractors.trajectories.layout import BINS
from pipeline.numba_loops import compiled

Array = NDArray[np.float32]

ORIENTATIONS = BINS["hog"]
STILL_PX = 0.4
"""Speed in pixels a frame up to which flow votes 1 for no motion."""
FLOOR = np.float32(0.05)
"""Constant added to each bin of a patch before they are normalised."""


def integrals(grey: NDArray[np.uint8], flow: Array) -> tuple[Array, ...]:
    """Sum the votes of all pixels above and to the left.

    Parameters
    ----------
    grey : ndarray of uint8, shape (height, width)
    flow : ndarray of float32, shape (height, width, 2)
        x and y in pixels from this frame to the next.

    Returns
    -------
    tuple of ndarray of float32, shape (height + 1, width + 1, bins)
        Integral images of HOG, HOF and both MBH, in the order of ``BINS``.

    Notes
    -----
    Gradients are central differences, mirrored at the border.
    """
    x, y = np.ascontiguousarray(flow[..., 0]), np.ascontiguousarray(flow[..., 1])
    fields = [_gradient(grey), (x, y), _gradient(x), _gradient(y)]
    stills = (-1.0, STILL_PX, -1.0, -1.0)
    return tuple(
        _integral(*field, bins, still) for field, bins, still in zip(fields, BINS.values(), stills, strict=True)
    )


def describe(
    sums: Array, parts: NDArray[np.int64], points: Array, votes: tuple[Array, ...], side_px: int, cells: int
) -> None:
    """Describe the patches around points in one frame, and add the descriptors to ``sums`` in place.

    Parameters
    ----------
    sums : ndarray of float32, shape (points, cells_t, dims)
        Sums of descriptors: descriptor, cell along x, cell along y, bin.
    parts : ndarray of int64, shape (points,)
        Which of its cells in time each point is in.
    points : ndarray of float32, shape (points, 2)
        x and y in pixels.
    votes : tuple of ndarray
        What ``integrals`` returned.
    side_px : int
        Side of a patch; one that reaches beyond the border is moved inside.
    cells : int
        Cells along each side of a patch.

    Notes
    -----
    A descriptor is the square root of the bins of all cells of a patch, each plus ``FLOOR``, divided by their sum.
    """
    _describe(sums, parts, points, *votes, side_px, cells)


def split(described: Array, cells: int) -> list[Array]:
    """Split descriptors (…, dims) into HOG, HOF and both MBH."""
    ends = np.cumsum([cells**2 * bins for bins in BINS.values()])
    return np.split(described, ends[:-1], axis=-1)


def _gradient(image: NDArray[np.uint8] | Array) -> tuple[Array, Array]:
    x: Any = cv2.Sobel(image, cv2.CV_32F, 1, 0, ksize=1)
    y: Any = cv2.Sobel(image, cv2.CV_32F, 0, 1, ksize=1)
    return x, y


def _integral(x: Array, y: Array, bins: int, still: float) -> Array:
    magnitude, angle = cv2.cartToPolar(x, y, angleInDegrees=True)
    height, width = x.shape
    sums = np.empty((height + 1, width + 1, bins), np.float32)
    _accumulate(magnitude, angle, np.float32(still), sums)
    return sums


@compiled
def _accumulate(magnitude, angle, still, sums):  # type: ignore[no-untyped-def]
    height, width = magnitude.shape
    bins = sums.shape[2]
    row = np.empty(bins, np.float32)
    sums[0] = 0
    for y in range(height):
        row[:] = 0
        sums[y + 1, 0] = 0
        for x in range(width):
            if magnitude[y, x] <= still:
                row[bins - 1] += 1
            else:
                place = angle[y, x] * np.float32(ORIENTATIONS / 360)
                lower = int(place)
                vote = magnitude[y, x] * (place - lower)
                row[lower % ORIENTATIONS] += magnitude[y, x] - vote
                row[(lower + 1) % ORIENTATIONS] += vote
            for b in range(bins):
                sums[y + 1, x + 1, b] = sums[y, x + 1, b] + row[b]


@compiled
def _describe(sums, parts, points, hog, hof, mbh_x, mbh_y, side, cells):  # type: ignore[no-untyped-def]
    height, width, stride = hog.shape[0] - 1, hog.shape[1] - 1, side // cells
    bins = np.empty(sums.shape[2], np.float32)
    for n in range(len(points)):
        left = min(max(int(np.rint(points[n, 0])) - side // 2, 0), width - side)
        top = min(max(int(np.rint(points[n, 1])) - side // 2, 0), height - side)
        end = 0
        for votes in (hog, hof, mbh_x, mbh_y):
            first = end
            total = np.float32(0)
            for x in range(left, left + side, stride):
                for y in range(top, top + side, stride):
                    for b in range(votes.shape[2]):
                        within = votes[y + stride, x + stride, b] - votes[y, x + stride, b]
                        within += votes[y, x, b] - votes[y + stride, x, b]
                        bins[end] = max(within, np.float32(0)) + FLOOR
                        total += bins[end]
                        end += 1
            for place in range(first, end):
                sums[n, parts[n], place] += np.sqrt(bins[place] / total)
