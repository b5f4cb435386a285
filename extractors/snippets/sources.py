"""What snippets are made of: the pictures of one clip, from its file or from a row of flow."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from extractors.base import Clip, Row
from extractors.clip_reader import ClipReader
from extractors.frames import numbered, scaled
from extractors.pictures import picture

_HELD_BYTES = 2**28  # up to here a video's frames are held until their number is known; beyond, it is decoded twice


@dataclass(frozen=True, slots=True)
class Pictures:
    """All that may be part of a snippet of one clip, and are read when they are asked for.

    first_frames: (pictures,) int64, of each the frame that it shows, or the first of two, counted within the clip.
    attributes: "fps" and "frames" of the clip.
    read: those of rising indices, (height, width, channel) uint8 each, scaled.
    """

    first_frames: np.ndarray
    attributes: dict[str, float | int | str]
    read: Callable[[Sequence[int]], Iterator[np.ndarray]]

    def snippets(self, starts: np.ndarray, span: int) -> Iterator[np.ndarray]:
        """Stacks (height, width, channel) of ``span`` pictures from each of the rising ``starts`` on."""
        needed: list[int] = np.unique(starts[:, None] + np.arange(span)).tolist()
        return consecutive(zip(needed, self.read(needed), strict=True), starts.tolist(), span)


def of_video(
    clip: Clip, short_side: int | None, size_px: tuple[int, int] | None = None, every_s: float | None = None
) -> Pictures:
    """Frames, as ``Frames`` chooses and scales them. What nothing but decoding tells, their number, is found out."""
    reader, numbers, held_bytes = ClipReader(clip), list[int](), 0
    held: list[np.ndarray] | None = []
    for number, frame in numbered(reader.blocks(), every_s):
        numbers.append(number)
        held_bytes += frame.nbytes
        if held is not None and held_bytes <= _HELD_BYTES:
            held.append(frame)
        else:
            held = None

    def read(indices: Sequence[int]) -> Iterator[np.ndarray]:
        wanted = set(indices)
        frames = held if held is not None else (frame for _, frame in numbered(ClipReader(clip).blocks(), every_s))
        chosen = (frame for index, frame in enumerate(frames) if index in wanted)
        return (scaled(frame, short_side, size_px) for frame in chosen)

    return Pictures(np.array(numbers, np.int64), reader.attributes, read)


def of_flow(row: Row, short_side: int | None) -> Pictures:
    """Flows of a row of ``tvl1``, x and y each."""

    def flow(index: int) -> np.ndarray:
        return np.stack([scaled(picture(row.arrays, name, index), short_side) for name in ("x", "y")], axis=-1)

    attributes = {name: row.attributes[name] for name in ("fps", "frames")}
    return Pictures(row.arrays["start_frames"], attributes, lambda indices: map(flow, indices))


def consecutive(pictures: Iterator[tuple[int, np.ndarray]], starts: list[int], span: int) -> Iterator[np.ndarray]:
    """Stacks of ``span`` pictures from each of the rising ``starts`` on; each picture comes once, with its index."""
    held: dict[int, np.ndarray] = {}
    for start in starts:
        held = {index: shown for index, shown in held.items() if index >= start}
        held.update(islice(pictures, span - len(held)))
        yield np.concatenate([held[start + step] for step in range(span)], axis=-1)
