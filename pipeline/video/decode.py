"""Decode video files, and folders of pictures, to the pictures that a player shows, with their times.

Frames are decoded in order, without seeking: headers lie about counts, seeking is by time. One thread decodes and
converts, each frame while it is in that core's cache: a second thread took as much as it gave, from 320×240 to
1920×1080, and is better spent on another video.

Colours: swscale converts by the frame's own matrix (BT.601, BT.709, BT.2020, SMPTE 240M, FCC) and range (limited or
full); a frame that names no matrix is taken as BT.601, no range as limited. 8-bit 4:2:0 takes swscale's fast path,
within three levels of the exact value, as OpenCV's VideoCapture does; other formats are within one. PQ and HLG are
brought to BT.709 (``pipeline.video.light``). Transparency is left out.
Grey is OpenCV's RGB2GRAY of the RGB frame, 0.299 R + 0.587 G + 0.114 B.
Interlaced frames are deinterlaced, samples that are not square are scaled in width, and the orientation noted in the
file is applied, to the nearest of the eight that keep the sides; frames of another size are brought to the first's.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, overload

import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from pipeline.errors import InputError, UnusableVideo
from pipeline.video.film import Film
from pipeline.video.picture import Colour, Deferred, Image, Pictures
from pipeline.video.presentation import fault_of_file, presented
from pipeline.video.shown import Shown

__all__ = ["Block", "Colour", "DeferredBlock", "Image", "Part", "decode", "read"]

_MAX_BLOCK_BYTES = 64 * 2**20
Frames = TypeVar("Frames")


@dataclass(frozen=True, slots=True)
class Part(Generic[Frames]):
    """Consecutive frames of a clip.

    Attributes
    ----------
    frames
        The pictures, in order.
    start
        Index of the first frame within the clip.
    times : float64 array, shape (time,)
        Presentation times, in seconds from the file's first frame on, strictly increasing (``pipeline.video.clock``).
    end
        Time at which the last frame ends: its own plus its duration, which is 1 / fps where the file says none.
    fps
        The stream's average frame rate; where the header has none libav's guess, and else 25.
    notes
        What was done to the clip's frames so far, and which of several streams they come from: only what is out of the
        ordinary, by the names of ``pipeline.video.notes``.
    """

    frames: Image
    start: int
    times: NDArray[np.float64]
    end: float
    fps: float
    notes: Mapping[str, str | int]


class Block(Part[Image]):
    """Consecutive frames, (time, height, width, 3) RGB or (time, height, width) grey."""

    __slots__ = ()


class DeferredBlock(Part[list[Image | Deferred]]):
    """Consecutive frames, most of which are converted when they are asked for."""

    __slots__ = ()


@overload
def decode(
    path: Path,
    *,
    colour: Colour = ...,
    frames: tuple[int, int] | None = ...,
    span_s: tuple[float, float] | None = ...,
    film: Film | None = ...,
    fps: float | None = ...,
    block_frames: int = ...,
    deferred: Literal[False] = ...,
) -> Iterator[Block]: ...
@overload
def decode(
    path: Path,
    *,
    colour: Colour = ...,
    frames: tuple[int, int] | None = ...,
    span_s: tuple[float, float] | None = ...,
    film: Film | None = ...,
    fps: float | None = ...,
    block_frames: int = ...,
    deferred: Literal[True],
) -> Iterator[DeferredBlock]: ...
def decode(
    path: Path,
    *,
    colour: Colour = "rgb",
    frames: tuple[int, int] | None = None,
    span_s: tuple[float, float] | None = None,
    film: Film | None = None,
    fps: float | None = None,
    block_frames: int = 8,
    deferred: bool = False,
) -> Iterator[Block] | Iterator[DeferredBlock]:
    """Decode a clip in order, block by block.

    Every frame that decodes is delivered before anything is raised. Frames that a decoder still holds back when it
    fails are not delivered: there would be a gap before them. Damage that a decoder conceals is counted.

    Parameters
    ----------
    path
        The video file, or a folder of numbered pictures, which are its frames.
    colour
        "rgb" or "grey".
    frames
        The clip: a half-open range of the file's frames, counted from 0; None for all. Decoding ends where it does.
    span_s
        Instead of that, a half-open range of times in seconds from the file's first frame on: the clip is the frames
        that begin in it. It may end beyond the file.
    film
        The same file, of which other clips have been decoded; None opens it.
    fps
        Of a folder, how many of its frames are shown in a second; a file says it itself.
    block_frames
        Largest number of frames in a block. Blocks have at most 64 MiB, but one frame at least.
    deferred
        Convert a frame only when ``numpy.asarray`` asks for its picture, and keep it as it was decoded until then. What
        is said of the file is the same, and so are the pictures: for readers that look at few of many frames.

    Yields
    ------
    Block or, where deferred, DeferredBlock
        Consecutive frames, in new arrays.

    Raises
    ------
    UnusableVideo
        Where the file holds no frame, fails in the middle, is cut off (``pipeline.video.completeness``), or ends before
        the range does, or before the span begins. Its ``frames_decoded`` is the number of the clip's frames delivered.
    InputError
        Where the range is empty, ``block_frames`` is below 1, or the frame rate of a folder is not given.
    OSError
        Where the file cannot be read.
    """
    first, end = frames or (0, None)
    since, until = span_s or (0.0, math.inf)
    if first < 0 or (end is not None and end <= first) or not 0 <= since < until or block_frames < 1:
        part = f"seconds {span_s}" if span_s else f"frames {frames}"
        raise InputError(f"{part} in blocks of {block_frames}: 0 <= first < end and blocks of 1 or more are needed")
    seen, blocks, fault = 0, _Blocks(Pictures(colour), block_frames, deferred), ""
    try:
        with closing(presented(path, fps) if film is None else film.frames(since)) as shown_frames:
            for shown in shown_frames:
                if not seen:
                    blocks.pictures.begin(shown.frame, shown.sample_aspect)
                if shown.time >= until:
                    break
                seen = shown.number + 1
                if seen > first and shown.time >= since:
                    if blocks.full:
                        yield blocks.take()
                    blocks.add(shown)
                if seen == end:
                    break
    except (FFmpegError, MemoryError, UnusableVideo, OSError) as error:
        fault = fault_of_file(error, seen)
    if blocks.count:
        yield blocks.take()
    if not fault and end is not None and seen < end:
        fault = f"there are {seen} frames, and the range {first}-{end} ends beyond them"
    if not fault and seen and not blocks.start:
        fault = f"no frame in it begins between {since:g} and {until:g} s"
    if fault or not seen:
        raise UnusableVideo(f"{path.name}: {fault or 'no frame in it decodes'}", blocks.start)


def read(
    path: Path, *, colour: Colour = "rgb", frames: tuple[int, int] | None = None, fps: float | None = None
) -> Block:
    """Decode a whole clip into memory.

    Parameters
    ----------
    path, colour, frames, fps
        As for ``decode``.

    Returns
    -------
    Block
        All frames of the clip.

    Raises
    ------
    UnusableVideo, InputError, OSError
        As ``decode`` does.
    """
    blocks = list(decode(path, colour=colour, frames=frames, fps=fps))
    pixels = np.concatenate([block.frames for block in blocks])
    times = np.concatenate([block.times for block in blocks])
    return replace(blocks[-1], frames=pixels, start=0, times=times)


class _Blocks:
    """Collects the pictures of frames until a block is full."""

    def __init__(self, pictures: Pictures, block_frames: int, deferred: bool) -> None:
        self.pictures, self.block_frames, self.deferred = pictures, block_frames, deferred
        self.convert = pictures.deferred if deferred else pictures.picture
        self.frames: Any  # an array, or where deferred a list
        self.start = self.count = 0
        self.deinterlaced = self.damaged = 0

    @property
    def full(self) -> bool:
        return self.count > 0 and self.count == len(self.frames)

    def add(self, shown: Shown) -> None:
        """Add a frame's picture."""
        picture = self.convert(shown.frame, shown.sample_aspect)
        if not self.count:
            size = min(self.block_frames, max(1, _MAX_BLOCK_BYTES // picture.nbytes))
            self.frames = [picture] * size if self.deferred else np.empty((size, *picture.shape), np.uint8)  # type: ignore[union-attr]
            self.times = np.empty(size)
        self.frames[self.count] = picture
        self.times[self.count] = shown.time
        self.last = shown
        self.deinterlaced += shown.was_interlaced
        self.damaged += shown.frame.is_corrupt
        self.count += 1

    def take(self) -> Any:
        """Return the frames collected so far as a block, and begin another."""
        frames, times = self.frames[: self.count], self.times[: self.count]
        counted = {"stream": self.last.stream, "deinterlaced_frames": self.deinterlaced or None}
        counted |= {"damaged_frames": self.damaged or None, "clock_restarts": self.last.restarts or None}
        notes = {name: value for name, value in counted.items() if value is not None} | self.pictures.notes
        kind: type[Part[Any]] = DeferredBlock if self.deferred else Block
        block = kind(frames, self.start, times, self.last.end, self.last.fps, notes)
        self.start, self.count = self.start + self.count, 0
        return block
