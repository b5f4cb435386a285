"""Local contrast normalisation in space and time: Jarrett et al. (ICCV 2009), section 2, with time added."""

from collections.abc import Iterator

import numpy as np

SIZE = 7
"""Side of the window in pixels and frames."""
MARGIN = SIZE // 2
"""Pixels that a frame loses at each border."""
FLOOR = 1e-2
"""Least contrast in grey levels that is divided by, so that a flat frame becomes 0 instead of amplified rounding."""

_BLOCK_FRAMES = 32
_WINDOW = np.exp(-0.5 * (np.arange(-MARGIN, MARGIN + 1) / (SIZE / 4)) ** 2)
TAPS = _WINDOW / _WINDOW.sum()
"""Weights of the Gaussian window along one axis, (7,), with a standard deviation of 7/4 and a sum of 1."""


def local_contrast(frames: np.ndarray) -> np.ndarray:
    """Normalise the local contrast of grey frames.

    Parameters
    ----------
    frames : ndarray of uint8, shape (time, height, width)

    Returns
    -------
    ndarray of float32, shape (time, height - 6, width - 6)

    Notes
    -----
    With x the grey values and w the Gaussian window, v = x − Σ w·x, σ = √(Σ w·v²) and y = v / max(σ, mean of σ over
    the frame). The first sum is taken only where the window lies in the frame; for the second the border of v is
    replicated, and in time both replicate the first and the last frame.

    References
    ----------
    Jarrett et al., *What is the Best Multi-Stage Architecture for Object Recognition?* (ICCV 2009), section 2.
    """
    time, height, width = frames.shape
    centred = np.empty((time, height - 2 * MARGIN, width - 2 * MARGIN), np.float32)
    for block, around in _blocks(time):
        inside = frames[block, MARGIN:-MARGIN, MARGIN:-MARGIN]
        centred[block] = inside - _weighted_sum(frames[around])
    normalised = np.empty_like(centred)
    for block, around in _blocks(time):
        bordered = np.pad(centred[around], ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)), "edge")
        std = np.sqrt(_weighted_sum(np.square(bordered, dtype=np.float64)))
        floor = np.maximum(std.mean(axis=(1, 2), keepdims=True), FLOOR)
        normalised[block] = centred[block] / np.maximum(std, floor)
    return normalised


def _blocks(time: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield blocks of frames that fit the cache, and their indices with ``MARGIN`` more on either side, replicated."""
    for start in range(0, time, _BLOCK_FRAMES):
        stop = min(start + _BLOCK_FRAMES, time)
        yield slice(start, stop), np.clip(np.arange(start - MARGIN, stop + MARGIN), 0, time - 1)


def _weighted_sum(values: np.ndarray) -> np.ndarray:
    """Sum over 7×7×7 by Gaussian weights in float64, wherever the window fits."""
    for axis in range(3):
        moved = np.moveaxis(values, axis, 0)
        count = len(moved) - 2 * MARGIN
        total = TAPS[MARGIN] * moved[MARGIN : MARGIN + count]
        for offset in range(MARGIN):  # symmetric pairs: a mirrored video gives exactly the mirrored sum
            far = SIZE - 1 - offset
            total += TAPS[offset] * np.add(moved[offset : offset + count], moved[far : far + count], dtype=np.float64)
        values = np.moveaxis(total, 0, axis)
    return values
