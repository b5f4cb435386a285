"""Arithmetic on clips: frame counts to windows, segments and steps; frame sizes to crops.

The rule for short clips: nothing is ever padded. Whatever needs so many consecutive frames (a window, a snippet of
``span`` frames) raises UnusableVideo where the clip has fewer; whatever picks a fixed number of positions repeats some
where there are fewer positions than that, in order.

All indices count from 0.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError, UnusableVideo

Indices = NDArray[np.int64]


def windows(frames: int, length_frames: int, stride_frames: int) -> Indices:
    """First frames of all whole windows: ⌊(frames − length) / stride⌋ + 1 of them.

    Raises UnusableVideo where the clip is shorter than one window.
    """
    _positive(length_frames=length_frames, stride_frames=stride_frames)
    return np.arange(0, _places(frames, length_frames), stride_frames)


def segment_centres(frames: int, snippets: int, span: int = 1) -> Indices:
    """First frames of snippets of ``span`` frames, each in the middle of one of ``snippets`` equal segments.

    ⌊(i + ½) · (frames − span + 1) / snippets⌋: the test sampling of TSN (Wang et al., ECCV 2016). Raises UnusableVideo
    where the clip is shorter than one snippet.
    """
    _positive(snippets=snippets, span=span)
    return (2 * np.arange(snippets) + 1) * _places(frames, span) // (2 * snippets)


def segment_random(frames: int, snippets: int, rng: np.random.Generator, span: int = 1) -> Indices:
    """First frames of snippets of ``span`` frames, drawn uniformly, one from each of ``snippets`` equal segments.

    The training sampling of TSN (Wang et al., ECCV 2016), with segments that together hold every place. Raises
    UnusableVideo where the clip is shorter than one snippet.
    """
    _positive(snippets=snippets, span=span)
    bounds = np.arange(snippets + 1) * _places(frames, span) // snippets
    return rng.integers(bounds[:-1], np.maximum(bounds[1:], bounds[:-1] + 1))


def resample(items: int, steps: int) -> Indices:
    """Which of ``items`` make a sequence of ``steps``: ⌊t (items − 1) / (steps − 1)⌋ for t = 0 … steps − 1.

    Res-LSTM (Lakhal et al., ECCVW 2018, section 3): the first and the last are kept; a single step takes the first.
    """
    _positive(items=items, steps=steps)
    return np.arange(steps) * (items - 1) // max(steps - 1, 1)


def corner_crops(height: int, width: int, size: int) -> Indices:
    """(5, 2): top and left edges of square crops at top left, top right, bottom left, bottom right and centre.

    Raises InputError where the picture is smaller than the crop.
    """
    _positive(size=size)
    down, right = height - size, width - size
    if min(down, right) < 0:
        raise InputError(f"{width}x{height} pixels; crops of {size}x{size} need at least as many either way")
    return np.array([(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)])


def ten_crops(pictures: NDArray[np.generic], size: int) -> NDArray[np.generic]:
    """(..., height, width, channel) to (..., 10, size, size, channel): ``corner_crops``, then their mirrors.

    Mirrors are left to right and leave values as they are: for horizontal flow, the sign is the caller's to turn.
    """
    height, width = pictures.shape[-3:-1]
    places = corner_crops(height, width, size)
    crops = np.stack([pictures[..., y : y + size, x : x + size, :] for y, x in places], axis=-4)
    return np.concatenate([crops, crops[..., ::-1, :]], axis=-4)


def _places(frames: int, length: int) -> int:
    """Where ``length`` consecutive frames can begin."""
    if frames < length:
        raise UnusableVideo(f"{frames} frames; at least {length} are needed", frames)
    return frames - length + 1


def _positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise InputError(f"{name} = {value}: at least 1 is needed")
