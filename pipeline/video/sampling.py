"""Choose which frames of a clip are used (windows, segments, steps), and which crops of a frame.

Short clips are never padded. A function that needs consecutive frames (a window, a snippet of ``span`` frames) raises
UnusableVideo where the clip has fewer; one that picks a fixed number of positions repeats some, in order, where there
are fewer positions than that.

All indices count from 0.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError, UnusableVideo

Indices = NDArray[np.int64]


def windows(frames: int, length_frames: int, stride_frames: int) -> Indices:
    """Return the first frames of all windows that fit into a clip.

    Parameters
    ----------
    frames
        Length of the clip.
    length_frames, stride_frames
        Length of a window, and distance from one window to the next, in frames.

    Returns
    -------
    int64 array, shape (⌊(frames − length_frames) / stride_frames⌋ + 1,)
        First frames, rising.

    Raises
    ------
    UnusableVideo
        Where the clip is shorter than one window.

    Examples
    --------
    >>> windows(40, length_frames=16, stride_frames=8)
    array([ 0,  8, 16, 24])
    """
    _positive(length_frames=length_frames, stride_frames=stride_frames)
    return np.arange(0, _places(frames, length_frames), stride_frames)


def segment_centres(frames: int, snippets: int, span: int = 1) -> Indices:
    """Return the first frames of snippets, one in the middle of each of several equal segments of a clip.

    Snippet i begins at frame ⌊(i + ½) · (frames − span + 1) / snippets⌋: the test sampling of TSN.

    Parameters
    ----------
    frames
        Length of the clip.
    snippets
        Number of segments, and of snippets.
    span
        Length of a snippet, in frames.

    Returns
    -------
    int64 array, shape (snippets,)
        First frames, in order.

    Raises
    ------
    UnusableVideo
        Where the clip is shorter than one snippet.

    References
    ----------
    Wang et al., *Temporal Segment Networks* (ECCV 2016).

    Examples
    --------
    >>> segment_centres(30, snippets=3)
    array([ 5, 15, 25])
    >>> segment_centres(6, snippets=4, span=5)
    array([0, 0, 1, 1])
    """
    _positive(snippets=snippets, span=span)
    return (2 * np.arange(snippets) + 1) * _places(frames, span) // (2 * snippets)


def segment_random(frames: int, snippets: int, rng: np.random.Generator, span: int = 1) -> Indices:
    """Draw the first frames of snippets, one from each of several equal segments of a clip.

    This is the training sampling of TSN, with segments that together cover every position.

    Parameters
    ----------
    frames
        Length of the clip.
    snippets
        Number of segments, and of snippets.
    rng
        Generator to draw with.
    span
        Length of a snippet, in frames.

    Returns
    -------
    int64 array, shape (snippets,)
        First frames, in order.

    Raises
    ------
    UnusableVideo
        Where the clip is shorter than one snippet.

    References
    ----------
    Wang et al., *Temporal Segment Networks* (ECCV 2016).

    Examples
    --------
    >>> segment_random(30, snippets=3, rng=np.random.default_rng(0)) // 10
    array([0, 1, 2])
    """
    _positive(snippets=snippets, span=span)
    bounds = np.arange(snippets + 1) * _places(frames, span) // snippets
    return rng.integers(bounds[:-1], np.maximum(bounds[1:], bounds[:-1] + 1))


def resample(items: int, steps: int) -> Indices:
    """Return which of ``items`` make a sequence of ``steps``, evenly spaced.

    Step t takes item ⌊t (items − 1) / (steps − 1)⌋, so the first and the last are kept; a single step takes the first.

    Parameters
    ----------
    items
        Length of the sequence to sample from.
    steps
        Length of the sequence wanted, shorter or longer.

    Returns
    -------
    int64 array, shape (steps,)
        Indices, in order.

    References
    ----------
    Lakhal et al., *Residual Stacked RNNs for Action Recognition* (ECCV Workshops 2018), section 3.

    Examples
    --------
    >>> resample(9, steps=5)
    array([0, 2, 4, 6, 8])
    >>> resample(2, steps=4)
    array([0, 0, 0, 1])
    """
    _positive(items=items, steps=steps)
    return np.arange(steps) * (items - 1) // max(steps - 1, 1)


def corner_crops(height: int, width: int, size: int) -> Indices:
    """Return the places of five square crops: at top left, top right, bottom left, bottom right and in the centre.

    Parameters
    ----------
    height, width
        Size of the picture, in pixels.
    size
        Side of a crop, in pixels.

    Returns
    -------
    int64 array, shape (5, 2)
        Top and left edge of each crop.

    Raises
    ------
    InputError
        Where the picture is smaller than the crop.

    Examples
    --------
    >>> corner_crops(height=256, width=340, size=224).tolist()
    [[0, 0], [0, 116], [32, 0], [32, 116], [16, 58]]
    """
    _positive(size=size)
    down, right = height - size, width - size
    if min(down, right) < 0:
        raise InputError(f"{width}x{height} pixels; crops of {size}x{size} need at least as many either way")
    return np.array([(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)])


def ten_crops(pictures: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Cut the five crops of ``corner_crops`` from pictures, and mirror each left to right.

    Mirrors keep their values: where these are horizontal flow, the caller inverts them.

    Parameters
    ----------
    pictures : uint8 array, shape (..., height, width, channel)
    size
        Side of a crop, in pixels.

    Returns
    -------
    uint8 array, shape (..., 10, size, size, channel)
        Five crops, then their mirror images.

    Examples
    --------
    >>> ten_crops(np.zeros((25, 256, 340, 3), np.uint8), size=224).shape
    (25, 10, 224, 224, 3)
    """
    import cv2

    *leading, height, width, channels = pictures.shape
    places = corner_crops(height, width, size).tolist()
    crops = np.empty((*leading, 10, size, size, channels), pictures.dtype)
    single, tens = pictures.reshape(-1, height, width, channels), crops.reshape(-1, *crops.shape[-4:])
    for picture, ten in zip(single, tens, strict=True):
        mirrored = cv2.flip(picture, 1).reshape(picture.shape)  # once, as NumPy's mirror of each crop takes far longer
        for number, (top, left) in enumerate(places):
            right = width - left - size
            ten[number] = picture[top : top + size, left : left + size]
            ten[number + 5] = mirrored[top : top + size, right : right + size]
    return crops


def _places(frames: int, length: int) -> int:
    """Return the number of frames at which ``length`` consecutive ones can begin."""
    if frames < length:
        raise UnusableVideo(f"{frames} frames; at least {length} are needed", frames)
    return frames - length + 1


def _positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise InputError(f"{name} = {value}: at least 1 is needed")
