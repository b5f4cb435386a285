"""Pick single pictures from a long video without decoding it."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import av
from av.error import FFmpegError

from pipeline.errors import UnusableVideo
from pipeline.video.picture import Image, Pictures
from pipeline.video.stream import best_stream


def keyframes(path: Path, times_s: Iterable[float]) -> Iterator[Image]:
    """Yield, for each time, the picture with which decoding begins there: up to some seconds before it.

    Parameters
    ----------
    path
        The video file.
    times_s
        Times in seconds from the video's first frame on.

    Yields
    ------
    uint8 array, shape (height, width, 3)
        RGB. A time that the file does not lead to has none, and a file that cannot be read has none at all.

    Raises
    ------
    OSError
        Where the file cannot be opened.
    """
    with path.open("rb") as file, suppress(FFmpegError, UnusableVideo), av.open(file, "r") as container:
        stream = best_stream(container)
        pictures = Pictures("rgb")
        for place, time_s in enumerate(times_s):
            with suppress(FFmpegError, StopIteration):
                container.seek((stream.start_time or 0) + round(time_s / (stream.time_base or 1)), stream=stream)
                frame = next(container.decode(stream))
                aspect = stream.sample_aspect_ratio
                if not place:
                    pictures.begin(frame, aspect)
                yield pictures.picture(frame, aspect)
