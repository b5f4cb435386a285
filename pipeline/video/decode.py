"""Decode video files to frames with their times.

Frames are decoded in order, without seeking: headers lie about counts, seeking is by time. One thread decodes and
converts, each frame while it is in that core's cache: a second thread took as much as it gave, from 320×240 to
1920×1080, and is better spent on another video.
A file is read through Python's own file object, so what the disk does raises its OSError, and whatever libav complains
of is the video's own fault.

Colours: swscale converts by the frame's own matrix (BT.601, BT.709, BT.2020, SMPTE 240M, FCC) and range (limited or
full); a frame that names no matrix is taken as BT.601, no range as limited. 8-bit 4:2:0 takes swscale's fast path,
within three levels of the exact value, as OpenCV's VideoCapture does; other formats are within one.
Grey is OpenCV's RGB2GRAY of the RGB frame, 0.299 R + 0.587 G + 0.114 B. Rotation noted in the file is applied, to the
nearest multiple of 90 degrees.
"""

import errno
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from pipeline.errors import InputError, UnusableVideo

Image = NDArray[np.uint8]
"""Pixels, (height, width, 3) RGB or (height, width) grey, or frames of them along a first axis."""
Colour = Literal["rgb", "grey"]

# Without these swscale halves the chroma's width, which costs 4:2:0 nothing, and rounds by table.
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_DEFAULT_FPS = 25
_MIN_OF_HEADER = 0.9  # headers lie by a few frames in either direction
_MAX_BLOCK_BYTES = 64 * 2**20
_MIN_STEP_S = 1e-6


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
        Presentation times in the file, in seconds, strictly increasing; they need not begin at 0. A time that is
        missing or runs backwards (AVI notes none) becomes the one before plus 1 / fps.
    fps
        The stream's average frame rate; where the header has none libav's guess, and else 25.
    """

    frames: Image
    start: int
    times: NDArray[np.float64]
    fps: float


def decode(
    path: Path, *, colour: Colour = "rgb", frames: tuple[int, int] | None = None, block_frames: int = 8
) -> Iterator[Block]:
    """Decode a clip in order, block by block.

    Every frame that decodes is delivered before anything is raised. Frames that a decoder still holds back when it
    fails are not delivered: there would be a gap before them. Damage that a decoder conceals goes unnoticed, and so
    does a Matroska file's missing end.

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
        Where the file holds no frame, fails in the middle, changes its frame size, is cut off (within a frame, or more
        than a tenth of the frames in its header are missing), or ends before the range does. Its ``frames_decoded`` is
        the number of the clip's frames delivered.
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
    seen, blocks, fault = 0, _Blocks(colour, block_frames), ""
    try:
        with closing(_decoded(path)) as decoded:
            for frame, time, fps in decoded:
                seen += 1
                if seen > first:
                    if blocks.full:
                        yield blocks.take()
                    blocks.add(frame, time, fps, seen - 1)
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
    return Block(
        np.concatenate([block.frames for block in blocks]),
        0,
        np.concatenate([block.times for block in blocks]),
        blocks[0].fps,
    )


def _decoded(path: Path) -> Generator[tuple[av.VideoFrame, float, float]]:
    """Yield every frame that decodes, its time in seconds and the frame rate.

    Raises OSError where the file cannot be read, FFmpegError or UnusableVideo where its content is at fault.
    """
    try:
        file = path.open("rb")
    except IsADirectoryError:
        raise UnusableVideo("a folder, not a video file") from None
    if not path.stat().st_size:
        raise UnusableVideo("an empty file")
    with file, av.open(file, "r", metadata_errors="replace") as container:
        if not container.streams.video:
            raise UnusableVideo("no video stream in it")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise UnusableVideo("libav has no decoder for its codec")
        stream.codec_context.thread_count = 1
        fps = float(stream.average_rate or stream.guessed_rate or _DEFAULT_FPS)
        time: float | None = None
        for frame in _frames(container, stream):
            if time is None:
                time = frame.time or 0.0
            elif frame.time is None or frame.time < time + _MIN_STEP_S:
                time += 1 / fps
            else:
                time = frame.time
            yield frame, time, fps


def _frames(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    packets, partial = 0, False
    for packet in container.demux(stream):  # the last one is empty, and flushes the decoder
        if packet.size:
            packets, partial = packets + 1, packet.is_corrupt
        yield from packet.decode()
    if partial:
        raise UnusableVideo("cut off: its last frame is incomplete")
    if packets < _MIN_OF_HEADER * stream.frames:
        raise UnusableVideo(f"cut off or damaged: its header announces {stream.frames} frames, but it has {packets}")


def _memory_for_libav() -> bool:
    """Return whether the most that libav allocates at once is free: then a damaged file has asked for more."""
    try:
        np.empty(2**31, np.uint8)
    except MemoryError:
        return False
    return True


@dataclass
class _Blocks:
    """Collects converted frames until a block is full."""

    colour: Colour
    block_frames: int
    start: int = 0
    count: int = 0
    shape: tuple[int, ...] = ()
    fps: float = 0.0
    frames: Image = field(init=False)
    times: NDArray[np.float64] = field(init=False)
    reformatter: VideoReformatter = field(default_factory=VideoReformatter)

    @property
    def full(self) -> bool:
        return self.count > 0 and self.count == len(self.frames)

    def add(self, frame: av.VideoFrame, time: float, fps: float, index: int) -> None:
        """Convert the file's frame ``index``. Raises UnusableVideo where its size differs from those before."""
        picture = self._picture(frame)
        if picture.shape != self.shape:
            if self.shape:
                sizes = [f"{width}x{height}" for height, width, *_ in (self.shape, picture.shape)]
                raise UnusableVideo(f"the frame size changes from {sizes[0]} to {sizes[1]} after {index} frames")
            self.shape, self.fps = picture.shape, fps
        if not self.count:
            size = min(self.block_frames, max(1, _MAX_BLOCK_BYTES // picture.nbytes))
            self.frames, self.times = np.empty((size, *self.shape), np.uint8), np.empty(size)
        self.frames[self.count] = picture
        self.times[self.count] = time
        self.count += 1

    def take(self) -> Block:
        """Return the frames collected so far as a block, and begin another."""
        block = Block(self.frames[: self.count], self.start, self.times[: self.count], self.fps)
        self.start, self.count = self.start + self.count, 0
        return block

    def _picture(self, frame: av.VideoFrame) -> Image:
        flags = None if frame.format.name in ("yuv420p", "yuvj420p") else _EXACT
        (plane,) = self.reformatter.reformat(frame, format="rgb24", interpolation=flags, threads=1).planes
        lines = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        rgb = lines[:, : 3 * plane.width].reshape(plane.height, plane.width, 3)  # no copy yet: the block takes one
        picture: Image = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) if self.colour == "grey" else rgb  # type: ignore[assignment]
        turns = round(frame.rotation / 90)  # anticlockwise
        return np.rot90(picture, turns) if turns else picture
