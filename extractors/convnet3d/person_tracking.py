"""Tracks the moving person by background subtraction with a box of fixed size that follows the foreground."""

from itertools import pairwise

import cv2
import numpy as np

BACKGROUND_SHARE = 0.5
"""Share of frames above which a colour is a pixel's background; MOG2's own 0.9 takes waving arms for background."""


def track(frames: np.ndarray, *, window_frames: int, min_foreground: float) -> tuple[np.ndarray, np.ndarray]:
    """Track the person through a clip.

    Parameters
    ----------
    frames : ndarray of uint8, shape (time, height, width)
        Grey.
    window_frames : int
        Frames around each that centroids are averaged over, always as many before as after, so fewer at the ends of
        the clip. Where nothing moves the centre is interpolated, or held at the ends.
    min_foreground : float
        Least share of the frame that must be foreground for a centroid to count. A person is present from one such
        frame to the next if they are at most ``window_frames`` apart.

    Returns
    -------
    centres : ndarray of float64, shape (time,)
        Horizontal centre of the person in pixels.
    present : ndarray of bool, shape (time,)
        Whether there is a person.
    """
    centroids, found = _centroids(frames, min_foreground)
    centres = _smoothed(centroids, found, window_frames // 2)
    return centres, _closed(found, window_frames)


def cut(frames: np.ndarray, centres: np.ndarray, width: int) -> np.ndarray:
    """Cut boxes of full height around ``centres`` out of frames, and keep them within the frame.

    Parameters
    ----------
    frames : ndarray, shape (time, height, frame width)
        Frames narrower than the box are padded by their outermost columns.
    centres : ndarray of float64, shape (time,)
        Horizontal centres in pixels.
    width : int
        Width of the box in pixels.

    Returns
    -------
    ndarray, shape (time, height, width)
    """
    missing = max(0, width - frames.shape[2])
    padded = np.pad(frames, ((0, 0), (0, 0), (missing // 2, missing - missing // 2)), "edge")
    lefts = np.rint(centres + missing // 2 - (width - 1) / 2).astype(int).clip(0, padded.shape[2] - width)
    return np.take_along_axis(padded, (lefts[:, None] + np.arange(width))[:, None], axis=2)


def foreground(frames: np.ndarray) -> np.ndarray:
    """Find the moving pixels: MOG2 learns the background from the clip, then judges each frame.

    Parameters
    ----------
    frames : ndarray of uint8, shape (time, height, width)
        Grey.

    Returns
    -------
    ndarray of bool, shape (time, height, width)

    Notes
    -----
    There are two passes, because in a single one whatever the first frames show becomes background. Every frame has
    the same weight in the first, and the second learns nothing.
    """
    subtractor = cv2.createBackgroundSubtractorMOG2(history=len(frames), detectShadows=False)
    subtractor.setBackgroundRatio(BACKGROUND_SHARE)
    for number, frame in enumerate(frames, 1):
        subtractor.apply(frame, learningRate=1 / number)
    masks = [subtractor.apply(frame, learningRate=0) for frame in frames]
    return np.array([cv2.medianBlur(mask, 3) for mask in masks], dtype=bool)


def _centroids(frames: np.ndarray, min_foreground: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute the horizontal centroid of each frame's foreground, and whether there is enough of it; each (time,)."""
    columns = foreground(frames).sum(axis=1)  # (time, width)
    areas = columns.sum(axis=1)
    centroids = columns @ np.arange(columns.shape[1]) / np.maximum(areas, 1)
    return centroids, areas >= max(1, min_foreground * frames[0].size)


def _smoothed(centroids: np.ndarray, found: np.ndarray, reach: int) -> np.ndarray:
    """Average the centroids found within ``reach`` frames; interpolate where there are none."""
    time = len(centroids)
    if not found.any():
        return centroids
    sums = np.concatenate(([0.0], np.cumsum(np.where(found, centroids, 0.0))))
    counts = np.concatenate(([0], np.cumsum(found)))
    frame = np.arange(time)
    around = np.minimum(reach, np.minimum(frame, time - 1 - frame))
    inside = counts[frame + around + 1] - counts[frame - around]
    total = sums[frame + around + 1] - sums[frame - around]
    known = inside > 0
    centres: np.ndarray = np.interp(frame, frame[known], total[known] / inside[known])
    return centres


def _closed(found: np.ndarray, gap_frames: int) -> np.ndarray:
    """Close gaps of at most ``gap_frames`` between frames in which the person was found."""
    present = found.copy()
    for first, second in pairwise(np.flatnonzero(found)):
        if second - first <= gap_frames:
            present[first:second] = True
    return present
