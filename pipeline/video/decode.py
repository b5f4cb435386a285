"""Decode video files to the pictures that a player shows, with their times.

Frames are decoded in order, without seeking: headers lie about counts, seeking is by time. One thread decodes and
converts, each frame while it is in that core's cache: a second thread took as much as it gave, from 320×240 to
1920×1080, and is better spent on another video.
A file is read through Python's own file object, so what the disk does raises its OSError, and whatever libav complains
of is the video's own fault.

Colours: swscale converts by the frame's own matrix (BT.601, BT.709, BT.2020, SMPTE 240M, FCC) and range (limited or
full); a frame that names no matrix is taken as BT.601, no range as limited. 8-bit 4:2:0 takes swscale's fast path,
within three levels of the exact value, as OpenCV's VideoCapture does; other formats are within one. PQ and HLG are
brought to BT.709 (``pipeline.video.light``). Transparency is left out.
Grey is OpenCV's RGB2GRAY of the RGB frame, 0.299 R + 0.587 G + 0.114 B.
Interlaced frames are deinterlaced, samples that are not square are scaled in width, and the orientation noted in the
file is applied, to the nearest of the eight that keep the sides; frames of another size are brought to the first's.
"""

import errno
import math
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from pipeline.errors import InputError, UnusableVideo
from pipeline.video.clock import Clock
from pipeline.video.completeness import missing_end, missing_length
from pipeline.video.deinterlace import deinterlaced
from pipeline.video.picture import Colour, Image, Pictures
from pipeline.video.stream import best_stream

__all__ = ["Block", "Colour", "Image", "decode", "read"]

_DEFAULT_FPS = 25
_MAX_BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive frames of a clip.

    Attributes
    ----------
    frames : uint8 array, shape (time, height, width, 3) RGB or (time, height, width) grey
        The pixels.
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


def decode(
    path: Path, *, colour: Colour = "rgb", frames: tuple[int, int] | None = None, block_frames: int = 8
) -> Iterator[Block]:
    """Decode a clip in order, block by block.

    Every frame that decodes is delivered before anything is raised. Frames that a decoder still holds back when it
    fails are not delivered: there would be a gap before them. Damage that a decoder conceals is counted.

    Parameters
    ----------
    path
        The video file.
    colour
        "rgb" or "grey".
    frames
        The clip: a half-open range of the file's frames, counted from 0; None for all. Decoding ends where it does.
    block_frames
        Largest number of frames in a block. Blocks have at most 64 MiB, but one frame at least.

    Yields
    ------
    Block
        Consecutive frames, in new arrays.

    Raises
    ------
    UnusableVideo
        Where the file holds no frame, fails in the middle, is cut off (``pipeline.video.completeness``), or ends before
        the range does. Its ``frames_decoded`` is the number of the clip's frames delivered.
    InputError
        Where the range is empty, or ``block_frames`` is below 1.
    OSError
        Where the file cannot be read.
    """
    first, end = frames or (0, None)
    if first < 0 or (end is not None and end <= first) or block_frames < 1:
        raise InputError(
            f"frames {frames} in blocks of {block_frames}: 0 <= first < end and blocks of 1 or more are needed"
        )
    seen, blocks, fault = 0, _Blocks(Pictures(colour), block_frames), ""
    try:
        with closing(_presented(path)) as presented:
            for shown in presented:
                if not seen:
                    blocks.pictures.begin(shown.frame, shown.sample_aspect)
                seen += 1
                if seen > first:
                    if blocks.full:
                        yield blocks.take()
                    blocks.add(shown)
                if seen == end:
                    break
    except MemoryError as error:
        if not isinstance(error, FFmpegError) or not _memory_for_libav():
            raise
        fault = f"decoding fails after {seen} frames: it asks for more memory than libav allows"
    except FFmpegError as error:
        fault = f"decoding fails after {seen} frames: {error.strerror}"
    except UnusableVideo as error:
        fault = error.reason
    except OSError as error:
        if error.errno != errno.EINVAL:  # which is what the file answers to a place before its beginning
            raise
        fault = f"decoding fails after {seen} frames: it refers to places that the file does not have"
    if blocks.count:
        yield blocks.take()
    if not fault and end is not None and seen < end:
        fault = f"there are {seen} frames, and the range {first}-{end} ends beyond them"
    if fault or not seen:
        raise UnusableVideo(f"{path.name}: {fault or 'no frame in it decodes'}", blocks.start)


def read(path: Path, *, colour: Colour = "rgb", frames: tuple[int, int] | None = None) -> Block:
    """Decode a whole clip into memory.

    Parameters
    ----------
    path, colour, frames
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
    blocks = list(decode(path, colour=colour, frames=frames))
    pixels = np.concatenate([block.frames for block in blocks])
    times = np.concatenate([block.times for block in blocks])
    return replace(blocks[-1], frames=pixels, start=0, times=times)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A decoded frame with what the file says of it; times in seconds, from the first frame on."""

    frame: av.VideoFrame
    was_interlaced: bool
    time: float
    fps: float
    sample_aspect: Fraction | None
    stream: int | None  # its number, where others come before it
    restarts: int  # of the file's clock, so far

    @property
    def end(self) -> float:
        duration, base = self.frame.duration, self.frame.time_base
        return self.time + (float(duration * base) if duration and base else 1 / self.fps)


def _presented(path: Path) -> Generator[_Shown]:
    """Yield every frame that decodes.

    Raises OSError where the file cannot be read, FFmpegError or UnusableVideo where its content is at fault.
    """
    try:
        file = path.open("rb")
    except IsADirectoryError:
        raise UnusableVideo("a folder, not a video file") from None
    if not path.stat().st_size:
        raise UnusableVideo("an empty file")
    with file, av.open(file, "r", metadata_errors="replace") as container:
        stream = best_stream(container)
        stream.codec_context.thread_count = 1
        fps = float(stream.average_rate or stream.guessed_rate or _DEFAULT_FPS)
        number = None if stream is container.streams.video[0] else stream.index
        clock = Clock(fps)
        aspect, codec = stream.sample_aspect_ratio, stream.codec_context
        follows = codec.sample_aspect_ratio == aspect  # else the container knows better than its pictures
        for frame, interlaced in deinterlaced(_frames(container, stream, file)):
            time = clock.time_of(frame.time)
            shape = codec.sample_aspect_ratio if follows else aspect
            yield _Shown(frame, interlaced, time, fps, shape, number, clock.restarts)


def _length_s(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Return the length that the header states, in seconds; 0 where it states none."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def _frames(container: av.container.InputContainer, stream: av.VideoStream, file: BinaryIO) -> Iterator[av.VideoFrame]:
    """Yield the frames that decode; raise UnusableVideo where the file turns out to be cut off."""
    extent, partial, damaged = _Extent(), False, False
    for packet in container.demux():  # the last one of each stream is empty, and flushes its decoder
        if packet.size:
            extent.add(packet)
        if packet.stream is stream:
            if packet.size:
                partial, damaged = packet.is_corrupt, False
            for frame in stream.decode(packet):  # the last packet's is not the last that is shown
                damaged = damaged or frame.is_corrupt
                yield frame
    if partial or damaged:
        raise UnusableVideo(f"cut off: the frame of its last packet is {'incomplete' if partial else 'damaged'}")
    kind = container.format.name.split(",")[0]
    last_byte = max((entry.pos + entry.size for entry in stream.index_entries), default=0) if kind == "mov" else 0
    fault = missing_end(file, kind, last_byte)
    if fault is None:
        fault = missing_length(kind, _length_s(container, stream), extent.first, extent.end)
    if fault:
        raise UnusableVideo(f"cut off: {fault}")


@dataclass
class _Extent:
    """Times between which a file's packets of all streams lie, in seconds."""

    first: float = math.inf
    end: float = -math.inf
    ticks: dict[int, float] = field(default_factory=dict)  # by stream: libav's fractions take longer than its demuxer

    def add(self, packet: "av.Packet[Any]") -> None:
        time = packet.dts if packet.pts is None else packet.pts
        if time is not None:
            if (tick := self.ticks.get(packet.stream_index)) is None:
                tick = self.ticks[packet.stream_index] = float(packet.time_base)
            self.first = min(self.first, time * tick)
            self.end = max(self.end, (time + (packet.duration or 0)) * tick)


def _memory_for_libav() -> bool:
    """Return whether the most that libav allocates at once is free: then a damaged file has asked for more."""
    try:
        np.empty(2**31, np.uint8)
    except MemoryError:
        return False
    return True


class _Blocks:
    """Collects the pictures of frames until a block is full."""

    def __init__(self, pictures: Pictures, block_frames: int) -> None:
        self.pictures, self.block_frames = pictures, block_frames
        self.start = self.count = 0
        self.deinterlaced = self.damaged = 0

    @property
    def full(self) -> bool:
        return self.count > 0 and self.count == len(self.frames)

    def add(self, shown: _Shown) -> None:
        """Convert a frame."""
        picture = self.pictures.picture(shown.frame, shown.sample_aspect)
        if not self.count:
            size = min(self.block_frames, max(1, _MAX_BLOCK_BYTES // picture.nbytes))
            self.frames, self.times = np.empty((size, *picture.shape), np.uint8), np.empty(size)
        self.frames[self.count] = picture
        self.times[self.count] = shown.time
        self.last = shown
        self.deinterlaced += shown.was_interlaced
        self.damaged += shown.frame.is_corrupt
        self.count += 1

    def take(self) -> Block:
        """Return the frames collected so far as a block, and begin another."""
        frames, times = self.frames[: self.count], self.times[: self.count]
        counted = {"stream": self.last.stream, "deinterlaced_frames": self.deinterlaced or None}
        counted |= {"damaged_frames": self.damaged or None, "clock_restarts": self.last.restarts or None}
        notes = {name: value for name, value in counted.items() if value is not None} | self.pictures.notes
        block = Block(frames, self.start, times, self.last.end, self.last.fps, notes)
        self.start, self.count = self.start + self.count, 0
        return block
