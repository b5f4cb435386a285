"""Yields the frames of a video as libav decodes them, in the order and with the times in which they are shown.

A file is read through Python's own file object, so what the disk does raises its OSError, and whatever libav complains
of is the video's own fault.
"""

import errno
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.error import FFmpegError

from pipeline.errors import UnusableVideo
from pipeline.video.clock import Clock
from pipeline.video.completeness import missing_end, missing_length
from pipeline.video.deinterlace import deinterlaced
from pipeline.video.image_sequence import sequence
from pipeline.video.shown import Shown
from pipeline.video.stream import best_stream, frame_rate


def presented(path: Path, fps: float | None = None) -> Generator[Shown]:
    """Yield every frame that decodes.

    Parameters
    ----------
    path
        A video file, or a folder of pictures, which are its frames.
    fps
        Of a folder, how many of its frames are shown in a second; a file says it itself.

    Raises
    ------
    OSError
        Where a file cannot be read.
    FFmpegError, UnusableVideo
        Where its content is at fault.
    InputError
        Where the frame rate of a folder is not given.
    """
    yield from sequence(path, fps) if path.is_dir() else _of_file(path)


def _of_file(path: Path) -> Generator[Shown]:
    file = path.open("rb")
    if not path.stat().st_size:
        raise UnusableVideo("an empty file")
    with file, av.open(file, "r", metadata_errors="replace") as container:
        stream = best_stream(container)
        stream.codec_context.thread_count = 1
        fps = frame_rate(stream)
        number = None if stream is container.streams.video[0] else stream.index
        clock = Clock(fps)
        aspect, codec = stream.sample_aspect_ratio, stream.codec_context
        follows = codec.sample_aspect_ratio == aspect  # else the container knows better than its pictures
        for place, (frame, interlaced) in enumerate(deinterlaced(_frames(container, stream, file))):
            time = clock.time_of(frame.time)
            shape = codec.sample_aspect_ratio if follows else aspect
            yield Shown(frame, place, interlaced, time, fps, shape, number, clock.restarts)


def fault_of_file(error: Exception, seen: int) -> str:
    """Say what is wrong with a file whose decoding failed after some frames; raise the error where it is none of that.

    Parameters
    ----------
    error
        What ``presented`` raised, or libav when it converted a frame.
    seen
        Number of frames that were decoded.
    """
    why: str | None
    match error:
        case UnusableVideo():
            return error.reason
        case MemoryError() if isinstance(error, FFmpegError) and _memory_for_libav():
            why = "it asks for more memory than libav allows"
        case OSError(errno=errno.EINVAL) if not isinstance(error, FFmpegError):
            why = "it refers to places that the file does not have"  # the file's answer to one before its beginning
        case FFmpegError() if not isinstance(error, MemoryError):
            why = error.strerror
        case _:
            raise error
    return f"decoding fails after {seen} frames: {why}"


def _memory_for_libav() -> bool:
    """Return whether the most that libav allocates at once is free: then a damaged file has asked for more."""
    try:
        np.empty(2**31, np.uint8)
    except MemoryError:
        return False
    return True


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
