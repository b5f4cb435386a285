"""Pick single pictures from a long video without decoding all of it."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import av
from av.error import FFmpegError

from pipeline.errors import UnusableVideo
from pipeline.video.image_sequence import stills_of
from pipeline.video.picture import Image, Pictures
from pipeline.video.stream import best_stream, opened

_MAX_DECODED = 300
"""Frames at most that are decoded on the way to a picture."""


def stills(path: Path, times_s: Iterable[float], fps: float | None = None) -> Iterator[Image]:
    """Yield the pictures of a video at some times.

    Decoding begins at the key frame before a time. Where key frames are rare, a picture may be some seconds early.

    Parameters
    ----------
    path
        The video file, or a folder of numbered pictures.
    times_s
        Times in seconds from the video's first frame on.
    fps
        Of a folder, how many of its frames are shown in a second.

    Yields
    ------
    uint8 array, shape (height, width, 3)
        RGB. A time that the file does not lead to has none, and a file that cannot be read has none at all.

    Raises
    ------
    OSError
        Where the file cannot be opened.
    """
    if fps is not None and path.is_dir():
        with suppress(UnusableVideo):
            yield from stills_of(path, fps, times_s)
        return
    with suppress(FFmpegError, UnusableVideo), opened(path) as container:
        stream = best_stream(container)
        pictures: Pictures | None = None
        for time_s in times_s:
            with suppress(FFmpegError):
                frame = _frame_at(container, stream, time_s)
                if frame is None:
                    continue
                if pictures is None:
                    pictures = Pictures("rgb")
                    pictures.begin(frame, stream.sample_aspect_ratio)
                yield pictures.picture(frame, stream.sample_aspect_ratio)


def _frame_at(container: av.container.InputContainer, stream: av.VideoStream, time_s: float) -> av.VideoFrame | None:
    due = (stream.start_time or 0) + round(time_s / (stream.time_base or 1))
    container.seek(due, stream=stream)
    found = None
    for frame in islice(container.decode(stream), _MAX_DECODED):
        if found is not None and frame.pts is not None and frame.pts > due:
            break
        found = frame
    return found
