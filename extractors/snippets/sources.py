"""Pictures of one clip, from its file or from a row of flow, and snippets of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from extractors.base import Clip, Row
from extractors.clip_reader import ClipReader
from extractors.clock import Clock
from extractors.frames import Interpolation, numbered, scaled
from extractors.pictures import picture

_HELD_BYTES = 2**28
"""Size of a clip's pictures in RGB up to which its frames are held until their number is known.

A larger one is decoded twice.
"""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures of one clip, scaled, which are read on demand.

    Parameters
    ----------
    first_frames : ndarray of int64, shape (pictures,)
        Frame that each picture shows, or the first of the two that a flow lies between, counted within the clip.
    clock : Clock
        When each is shown.
    attributes : dict
        Those of the clip.
    read : callable
        Reads the pictures of rising indices, (height, width, channel) uint8 each.
    """

    first_frames: np.ndarray
    clock: Clock
    attributes: dict[str, float | int | str]
    read: Callable[[Sequence[int]], Iterator[np.ndarray]]

    def snippets(self, starts: np.ndarray, span: int) -> Iterator[np.ndarray]:
        """Read snippets, and of the clip no more than they need.

        Parameters
        ----------
        starts : ndarray of int64, shape (snippets,)
            Rising indices of the first picture of each.
        span : int
            Pictures in a snippet.

        Yields
        ------
        ndarray of uint8, shape (height, width, channel)
            A snippet; the channels of one picture follow those of the one before.
        """
        needed: list[int] = np.unique(starts[:, None] + np.arange(span)).tolist()
        return consecutive(zip(needed, self.read(needed), strict=True), starts.tolist(), span)


def of_video(
    clip: Clip,
    short_side: int | None,
    size_px: tuple[int, int] | None = None,
    every_s: float | None = None,
    interpolation: Interpolation = "area",
) -> Pictures:
    """Decode a clip once to count its frames, and return those that ``Frames`` would choose and scale.

    Parameters
    ----------
    clip : Clip
    short_side : int or None
        Length in pixels that the shorter side is scaled to.
    size_px : tuple of int, optional
        Width and height in pixels instead.
    every_s : float, optional
        Seconds between two frames; None takes all.
    interpolation : str
        How they are scaled.

    Returns
    -------
    Pictures
        Only frames that are read are converted. Those that take little memory are kept; those of a long clip are
        decoded again when they are read.
    """
    reader, numbers, held_bytes = ClipReader(clip, deferred=True), list[int](), 0
    held: list[Any] | None = []
    for number, frame in numbered(reader.blocks(), every_s):
        numbers.append(number)
        held_bytes += frame.nbytes
        if held is not None and held_bytes <= _HELD_BYTES:
            held.append(frame)
        else:
            held = None

    def read(indices: Sequence[int]) -> Iterator[np.ndarray]:
        wanted = set(indices)
        again = ClipReader(clip, deferred=True)
        frames = held if held is not None else (frame for _, frame in numbered(again.blocks(), every_s))
        chosen = (frame for index, frame in enumerate(frames) if index in wanted)
        return (scaled(np.asarray(frame), short_side, size_px, interpolation) for frame in chosen)

    chosen = np.array(numbers, np.int64)
    return Pictures(chosen, Clock(**reader.clock.spans(chosen, chosen)), reader.attributes, read)


def of_flow(row: Row, short_side: int | None) -> Pictures:
    """Return the flows of a row of ``tvl1``, x and y as two channels, scaled to a shorter side of ``short_side``."""

    def flow(index: int) -> np.ndarray:
        return np.stack([scaled(picture(row.arrays, name, index), short_side) for name in ("x", "y")], axis=-1)

    starts = row.arrays["start_frames"]
    return Pictures(starts, Clock.of_row(row), dict(row.attributes), lambda indices: map(flow, indices))


def consecutive(pictures: Iterator[tuple[int, np.ndarray]], starts: list[int], span: int) -> Iterator[np.ndarray]:
    """Stack pictures that pass by once into snippets that may overlap.

    Parameters
    ----------
    pictures : iterator of (int, ndarray of shape (height, width, channel))
        Each picture that a snippet needs, once, in rising order, with its index.
    starts : list of int
        Rising indices of the first picture of each snippet.
    span : int
        Pictures in a snippet.

    Yields
    ------
    ndarray, shape (height, width, span · channel)

    Examples
    --------
    >>> numbered = ((index, np.full((1, 1, 1), index)) for index in range(4))
    >>> [snippet.ravel().tolist() for snippet in consecutive(numbered, [0, 2], 2)]
    [[0, 1], [2, 3]]
    """
    held: dict[int, np.ndarray] = {}
    for start in starts:
        held = {index: shown for index, shown in held.items() if index >= start}
        held.update(islice(pictures, span - len(held)))
        yield np.concatenate([held[start + step] for step in range(span)], axis=-1)
