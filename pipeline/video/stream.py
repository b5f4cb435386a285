"""Open a file, and choose the video stream where it has several, or something else that libav takes for one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.stream import Disposition

from pipeline.errors import UnusableVideo

_DEFAULT_FPS = 25
_NO_FILM = Disposition.attached_pic | Disposition.timed_thumbnails


@contextmanager
def opened(path: Path) -> Iterator[av.container.InputContainer]:
    """Open a file for the block, whatever bytes the texts in it are of.

    Raises OSError where it cannot be read, FFmpegError where libav knows no such format.
    """
    with path.open("rb") as file, av.open(file, "r", metadata_errors="replace") as container:
        yield container


def frame_rate(stream: av.VideoStream) -> float:
    """Return the average number of frames a second: where the header has none libav's guess, and else 25."""
    return float(stream.average_rate or stream.guessed_rate or _DEFAULT_FPS)


def films(container: av.container.InputContainer) -> list[av.VideoStream]:
    """Return the video streams that move: pictures attached to a file, such as the cover of a sound file, do not."""
    return [stream for stream in container.streams.video if not stream.disposition & _NO_FILM]


def best_stream(container: av.container.InputContainer) -> av.VideoStream:
    """Return the stream that a player would show.

    Of ``films`` those come first that the file marks as default, then the one with the largest frames, then the first.

    Raises
    ------
    UnusableVideo
        Where there is none, or libav cannot decode it.
    """
    streams = films(container)
    if not streams:
        raise UnusableVideo("no video stream in it")
    stream = max(streams, key=_rank)
    if stream.codec_context is None:
        raise UnusableVideo("libav has no decoder for its codec")
    return stream


def _rank(stream: av.VideoStream) -> tuple[bool, float]:
    # no preview takes the place of a film whose frames cannot be measured for want of a decoder
    pixels = float("inf") if stream.codec_context is None else stream.width * stream.height
    return bool(stream.disposition & Disposition.default), pixels
