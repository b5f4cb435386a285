"""Measures time by movement: by how far along its path a body is."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from extractors.skeleton.body import HIP_CENTRE

SMOOTHING_FRAMES = 2.0
"""Standard deviation in frames of the Gaussian that keeps the jitter of resting joints out of the path's length."""


def along_path(joints: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the times at which shares of the path have passed instead of shares of the time.

    Parameters
    ----------
    joints : ndarray of float64, shape (time, 20, 3)
    times : ndarray of float64, shape (n,)
        Times in frames, from 0 to time − 1.

    Returns
    -------
    ndarray of float64, shape (n,)
        Times in frames; ``times`` themselves for a body that never moves.

    Notes
    -----
    The length of the path is the sum of all joints' movements relative to the hip centre, smoothed. So a curve is
    parametrised by its arc length, and the speed along it does not matter.
    """
    last = len(joints) - 1
    smoothed = gaussian_filter1d(joints - joints[:, HIP_CENTRE, None], SMOOTHING_FRAMES, axis=0, mode="nearest")
    steps = np.linalg.norm(np.diff(smoothed, axis=0), axis=2).sum(axis=1)  # (time - 1,)
    if not steps.any():
        return times
    path = np.concatenate([[0], np.cumsum(steps)])
    return np.asarray(np.interp(times / last * path[-1], path, np.arange(last + 1)))
