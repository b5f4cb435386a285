"""Local contrast normalisation in space and time: Jarrett et al. (ICCV 2009), section 2, with a third dimension."""

from collections.abc import Iterator

import numpy as np

SIZE = 7
MARGIN = SIZE // 2
FLOOR = 1e-2
"""Grey levels: less contrast than that is none, so that a flat frame becomes 0 instead of amplified rounding."""

_BLOCK_FRAMES = 32
_WINDOW = np.exp(-0.5 * (np.arange(-MARGIN, MARGIN + 1) / (SIZE / 4)) ** 2)
TAPS = _WINDOW / _WINDOW.sum()
"""One dimension of the Gaussian over 7×7×7, which is their outer product; its standard deviation is 7/4."""


def local_contrast(frames: np.ndarray) -> np.ndarray:
    """Grey frames (time, height, width) -> float32 (time, height - 6, width - 6).

    v = x − Σ w·x,  σ = √(Σ w·v²),  y = v / max(σ, mean of σ over the frame). The first sum is valid in space, the
    second replicates the border to keep the size; in time both replicate the first and the last frame.
    """
    time, height, width = frames.shape
    centred = np.empty((time, height - 2 * MARGIN, width - 2 * MARGIN), np.float32)
    for block, around in _blocks(time):
        inside = frames[block, MARGIN:-MARGIN, MARGIN:-MARGIN]
        centred[block] = inside - _weighted_sum(frames[around])
    normalised = np.empty_like(centred)
    for block, around in _blocks(time):
        bordered = np.pad(centred[around], ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)), "edge")
        deviation = np.sqrt(_weighted_sum(np.square(bordered, dtype=np.float64)))
        floor = np.maximum(deviation.mean(axis=(1, 2), keepdims=True), FLOOR)
        normalised[block] = centred[block] / np.maximum(deviation, floor)
    return normalised


def _blocks(time: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Some frames, and the same with ``MARGIN`` more on either side, replicated at the ends; few fit the cache."""
    for start in range(0, time, _BLOCK_FRAMES):
        stop = min(start + _BLOCK_FRAMES, time)
        yield slice(start, stop), np.clip(np.arange(start - MARGIN, stop + MARGIN), 0, time - 1)


def _weighted_sum(values: np.ndarray) -> np.ndarray:
    """Gaussian-weighted sum over 7×7×7 wherever that fits, in float64."""
    for axis in range(3):
        moved = np.moveaxis(values, axis, 0)
        count = len(moved) - 2 * MARGIN
        total = TAPS[MARGIN] * moved[MARGIN : MARGIN + count]
        for offset in range(MARGIN):  # symmetric pairs: a mirrored video gives exactly the mirrored sum
            far = SIZE - 1 - offset
            total += TAPS[offset] * np.add(moved[offset : offset + count], moved[far : far + count], dtype=np.float64)
        values = np.moveaxis(total, 0, axis)
    return values
