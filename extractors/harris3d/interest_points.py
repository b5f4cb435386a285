"""Space-time interest points: Laptev, *On Space-Time Interest Points* (IJCV 2005), section 2.

Several scales at once without a choice among them: Laptev et al., *Learning Realistic Human Actions from Movies*
(CVPR 2008), section 3.1.

Gradients are taken only where the whole Gaussian lies within the clip, and only such gradients are averaged over the
integration scale, with weights that add up to 1 near the borders, too. So no pixel is invented: under constant motion
the second-moment matrix is singular up to the very borders, where a replicated or mirrored pixel would stop or turn
back.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations_with_replacement

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

REACH = 3
"""Standard deviations at which a sampled Gaussian ends."""
INTEGRATION = 2
"""The factor s by which the variances of the averaging exceed those of the smoothing."""

_NEIGHBOURS = np.ones((3, 3), np.uint8)


def radius(std: float) -> int:
    """Return the number of samples on each side of the centre of a Gaussian with standard deviation ``std``."""
    return int(REACH * std + 0.5)


def min_length(std: float) -> int:
    """Return the least length of an axis, in pixels or frames, at which its scale can have a point.

    There must be a gradient at the point and at both of its neighbours.

    Examples
    --------
    >>> min_length(2.0)
    17
    """
    return 2 * (radius(std) + 1) + 3


def halo_frames(tau: float) -> int:
    """Return the number of frames before and after a frame on which its points depend.

    Examples
    --------
    >>> halo_frames(2.0)
    16
    """
    return radius(tau) + 1 + radius(INTEGRATION**0.5 * tau) + 1


def interest_points(
    frames: NDArray[np.uint8],
    kept: range,
    *,
    sigmas: Sequence[float],
    taus: Sequence[float],
    k: float,
    threshold: float,
) -> Array:
    """Detect space-time interest points.

    Parameters
    ----------
    frames : ndarray of uint8, shape (time, height, width)
        A window of a clip, grey.
    kept : range
        Frames whose points are wanted; the window holds ``halo_frames`` more on either side unless the clip ends.
    sigmas, taus : sequence of float
        Standard deviations of the smoothing in pixels and in frames; every pair is a scale. A scale has no points
        where an axis is shorter than its ``min_length``.
    k : float
        Factor of the cubed trace in H = det μ − k · trace³ μ.
    threshold : float
        Value that H exceeds at a point.

    Returns
    -------
    ndarray of float32, shape (points, 5)
        x, y, frame, σ and τ of the local maxima of H, ordered by frame, y, x, σ, τ.

    References
    ----------
    Laptev, *On Space-Time Interest Points* (IJCV 2005), section 2.
    """
    found = [np.empty((0, 5), np.float32)]
    video: Array = frames.astype(np.float32) / np.float32(255)
    for sigma in sigmas:
        if min(video.shape[1:]) < min_length(sigma):
            continue
        smoothed = _smoothed_in_space(video, sigma)
        for tau in taus:
            first = max(kept.start - 1, radius(tau) + 1)
            stop = min(kept.stop + 1, len(video) - radius(tau) - 1)
            if stop - first < 3:
                continue
            t, y, x = _maxima(_response(smoothed, range(first, stop), sigma, tau, k), threshold)
            margin = radius(sigma) + 1
            scale = np.broadcast_to([sigma, tau], (len(t), 2))
            found.append(np.column_stack([x + margin, y + margin, t + first, scale]).astype(np.float32))
    points = np.concatenate(found)
    x, y, t, sigma, tau = points.T
    return points[np.lexsort((tau, sigma, x, y, t))]


@lru_cache(maxsize=64)
def _weights(length: int, std: float) -> Array:
    """Return a matrix (length, length) whose row i is the Gaussian around sample i, cut off at the ends, with sum 1."""
    distance = np.subtract.outer(np.arange(length), np.arange(length))
    gaussian = np.exp(-0.5 * (distance / std) ** 2) * (abs(distance) <= radius(std))
    weights: Array = (gaussian / gaussian.sum(axis=1, keepdims=True)).astype(np.float32)
    return weights


def _smoothed_in_space(video: Array, sigma: float) -> Array:
    """Smooth a video (time, height, width) to (time, height - 2·radius, width - 2·radius)."""
    margin = radius(sigma)
    down, right = (_weights(length, sigma)[margin:-margin] for length in video.shape[1:])
    smoothed: Array = down @ (video @ right.T)
    return smoothed


def _response(smoothed: Array, wanted: range, sigma: float, tau: float, k: float) -> Array:
    """Compute H = det μ − k · trace³ μ of the wanted frames, with a pixel less on each side of the smoothed ones."""
    moments = _moments(_gradients(smoothed, sigma, tau), wanted, sigma, tau)
    response: Array = np.empty_like(moments[0])
    for frame in range(len(wanted)):  # one at a time: six pictures fit into the cache
        xx, xy, xt, yy, yt, tt = moments[:, frame]
        determinant = xx * (yy * tt - yt * yt) - xy * (xy * tt - yt * xt) + xt * (xy * yt - yy * xt)
        trace = xx + yy + tt
        response[frame] = determinant - np.float32(k) * trace * trace * trace
    return response


def _moments(gradients: Sequence[Array], wanted: range, sigma: float, tau: float) -> Array:
    """Compute xx, xy, xt, yy, yt and tt of μ at the wanted frames, (6, frames, height, width).

    Averages are matrix products, first over time, which leaves only the wanted frames to those over space.
    """
    time, height, width = gradients[0].shape
    offset = radius(tau) + 1  # the frame of the first gradient
    over_time = _weights(time, INTEGRATION**0.5 * tau)[wanted.start - offset : wanted.stop - offset]
    down, right = (_weights(length, INTEGRATION**0.5 * sigma) for length in (height, width))
    moments = np.empty((6, len(wanted), height, width), np.float32)
    for moment, (one, other) in zip(moments, combinations_with_replacement(gradients, 2), strict=True):
        averaged = (over_time @ (one * other).reshape(time, -1)).reshape(-1, width) @ right.T
        np.matmul(down, averaged.reshape(moment.shape), out=moment)
    return moments


def _gradients(smoothed: Array, sigma: float, tau: float) -> tuple[Array, Array, Array]:
    """Compute scale-normalised σ·L_x, σ·L_y, τ·L_t by central differences, wherever both neighbours exist."""
    time, height, width = smoothed.shape
    over_time = _weights(time, tau)[radius(tau) : time - radius(tau)]
    level = (over_time @ smoothed.reshape(time, -1)).reshape(-1, height, width)
    inside = slice(1, -1)
    half = np.float32(sigma / 2)
    return (
        half * (level[inside, inside, 2:] - level[inside, inside, :-2]),
        half * (level[inside, 2:, inside] - level[inside, :-2, inside]),
        np.float32(tau / 2) * (level[2:, inside, inside] - level[:-2, inside, inside]),
    )


def _maxima(response: Array, threshold: float) -> tuple[NDArray[np.int64], ...]:
    """Find frames, rows and columns of the values above the threshold that none of their 26 neighbours exceeds.

    Values with fewer neighbours are no maxima.
    """
    highest = np.stack([cv2.dilate(picture, _NEIGHBOURS) for picture in response])
    highest = np.maximum(np.maximum(highest[:-2], highest[1:-1]), highest[2:])[:, 1:-1, 1:-1]
    inner = response[1:-1, 1:-1, 1:-1]
    t, y, x = np.nonzero((inner == highest) & (inner > threshold))
    return t + 1, y + 1, x + 1
