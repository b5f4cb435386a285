"""Space-time interest points: Laptev, *On Space-Time Interest Points* (IJCV 2005), section 2.

Several scales at once without a choice among them: Laptev et al., *Learning Realistic Human Actions from Movies*
(CVPR 2008), section 3.1.

Gradients are taken only where the whole Gaussian lies within the clip, and the average over the integration scale is
one of such gradients alone, its weights made to add up to 1 near the borders. So no pixel is invented: under constant
motion the second-moment matrix is singular up to the very borders, where a replicated or mirrored pixel would stop or
turn back.
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
"""s: how many times the variances of smoothing those of the averaging are."""

_NEIGHBOURS = np.ones((3, 3), np.uint8)


def radius(deviation: float) -> int:
    """Samples on each side of a Gaussian's centre."""
    return int(REACH * deviation + 0.5)


def least_length(deviation: float) -> int:
    """Pixels or frames along an axis that its scale needs for one point: a gradient there and at both neighbours."""
    return 2 * (radius(deviation) + 1) + 3


def halo_frames(tau: float) -> int:
    """Frames before and after a frame on which its points depend."""
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
    """(points, 5): x, y, frame, σ and τ of the local maxima above ``threshold``, ordered by frame, y, x, σ, τ.

    frames: grey (time, height, width).
    kept: the frames whose points are wanted, with ``halo_frames`` more on either side unless the clip ends there.
    sigmas, taus: standard deviations of the smoothing in pixels and in frames; every pair is a scale. A scale whose
    ``least_length`` the clip lacks along an axis has no points.
    """
    found = [np.empty((0, 5), np.float32)]
    video: Array = frames.astype(np.float32) / np.float32(255)
    for sigma in sigmas:
        if min(video.shape[1:]) < least_length(sigma):
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
def _weights(length: int, deviation: float) -> Array:
    """(length, length): row i holds the Gaussian around sample i, cut off at the ends and adding up to 1."""
    distance = np.subtract.outer(np.arange(length), np.arange(length))
    gaussian = np.exp(-0.5 * (distance / deviation) ** 2) * (abs(distance) <= radius(deviation))
    weights: Array = (gaussian / gaussian.sum(axis=1, keepdims=True)).astype(np.float32)
    return weights


def _smoothed_in_space(video: Array, sigma: float) -> Array:
    """(time, height - 2·radius, width - 2·radius)."""
    margin = radius(sigma)
    down, right = (_weights(length, sigma)[margin:-margin] for length in video.shape[1:])
    smoothed: Array = down @ (video @ right.T)
    return smoothed


def _response(smoothed: Array, wanted: range, sigma: float, tau: float, k: float) -> Array:
    """H = det μ − k · trace³ μ of the wanted frames, (frames, height, width), a pixel less on each side."""
    moments = _moments(_gradients(smoothed, sigma, tau), wanted, sigma, tau)
    response: Array = np.empty_like(moments[0])
    for frame in range(len(wanted)):  # one at a time: six pictures fit into the cache
        xx, xy, xt, yy, yt, tt = moments[:, frame]
        determinant = xx * (yy * tt - yt * yt) - xy * (xy * tt - yt * xt) + xt * (xy * yt - yy * xt)
        trace = xx + yy + tt
        response[frame] = determinant - np.float32(k) * trace * trace * trace
    return response


def _moments(gradients: Sequence[Array], wanted: range, sigma: float, tau: float) -> Array:
    """μ's xx, xy, xt, yy, yt and tt, (6, frames, height, width), of the wanted frames.

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
    """Scale-normalised σ·L_x, σ·L_y, τ·L_t by central differences, wherever both neighbours are there."""
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
    """Frames, rows and columns of the values above the threshold that none of their 26 neighbours exceeds.

    What has fewer neighbours is none.
    """
    highest = np.stack([cv2.dilate(picture, _NEIGHBOURS) for picture in response])
    highest = np.maximum(np.maximum(highest[:-2], highest[1:-1]), highest[2:])[:, 1:-1, 1:-1]
    inner = response[1:-1, 1:-1, 1:-1]
    t, y, x = np.nonzero((inner == highest) & (inner > threshold))
    return t + 1, y + 1, x + 1
