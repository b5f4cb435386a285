"""Time measured by movement: where along its path a body is, instead of when."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from extractors.skeleton.file import HIP_CENTRE

SMOOTHING_FRAMES = 2.0
"""Deviation of the Gaussian that keeps the jitter of resting joints out of the path's length."""


def along_path(joints: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Joints (time, 20, 3) and times from 0 to time − 1 -> the times when as large a share of the path has passed.

    The path's length is the sum of all joints' movements relative to the hip centre, smoothed; a body that never moves
    keeps its times. As a curve is parametrised by its arc length: how fast it is passed through is forgotten.
    """
    last = len(joints) - 1
    smoothed = gaussian_filter1d(joints - joints[:, HIP_CENTRE, None], SMOOTHING_FRAMES, axis=0, mode="nearest")
    steps = np.linalg.norm(np.diff(smoothed, axis=0), axis=2).sum(axis=1)  # (time - 1,)
    if not steps.any():
        return times
    passed = np.concatenate([[0], np.cumsum(steps)])
    return np.asarray(np.interp(times / last * passed[-1], passed, np.arange(last + 1)))
