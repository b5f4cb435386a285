"""What a skeleton file holds before its points become the body's joints."""

from dataclasses import dataclass, field

import numpy as np

from pipeline.errors import UnusableVideo

MAX_FRAMES = 200_000
"""Largest number of frames from the first number of a file to its last: two hours at 30 frames a second."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Points of consecutive frames.

    Parameters
    ----------
    points : ndarray of float64, shape (time, point, 3)
        Zero throughout in frames without a body.
    notes : dict of str to int or str
        What is out of the ordinary, as attributes of rows.
    """

    points: np.ndarray
    notes: dict[str, int | str] = field(default_factory=dict)


def part(count: int, frames: tuple[int, int] | None, first: int = 0) -> slice:
    """Return the place of a range of frames among so many, of which the first has a number.

    Raises
    ------
    UnusableVideo
        Where the range is empty, or not all of it is there.
    """
    start, stop = frames or (first, first + count)
    if not first <= start < stop <= first + count:
        counted = f", numbered {first} to {first + count - 1}" if first else ""
        raise UnusableVideo(f"{count} frames{counted}; they do not contain the range {start} to {stop}", count)
    return slice(start - first, stop - first)


def by_number(points: np.ndarray, numbers: np.ndarray, frames: tuple[int, int] | None) -> Recording:
    """Put frames to their numbers, so that time runs evenly; of several of one number the first counts.

    Parameters
    ----------
    points : ndarray of float64, shape (line, point, 3)
    numbers : ndarray of int64, shape (line,)
        Number of each line's frame, which never falls.
    frames : (int, int), optional
        Half-open range of numbers; None for all, from the first to the last.

    Raises
    ------
    UnusableVideo
        Where the numbers are too far apart, or do not contain the range.
    """
    first, count = int(numbers[0]), int(numbers[-1] - numbers[0]) + 1
    if count > MAX_FRAMES:
        raise UnusableVideo(
            f"frame numbers {first} to {numbers[-1]}; a recording has at most {MAX_FRAMES} frames", len(points)
        )
    taken = part(count, frames, first)
    places, lines, repetitions = np.unique(numbers - first, return_index=True, return_counts=True)
    dense = np.zeros((count, *points.shape[1:]))
    dense[places] = points[lines]
    repeated = int(((repetitions > 1) & (places >= taken.start) & (places < taken.stop)).sum())
    return Recording(dense[taken], {"repeated_frames": repeated} if repeated else {})
