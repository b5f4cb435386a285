"""Tell how long a video is without decoding it."""

import math
from pathlib import Path

import av
from av.error import FFmpegError

from pipeline.errors import UnusableVideo
from pipeline.video.stream import best_stream


def duration_s(path: Path) -> float:
    """Return the time from the first frame of a video to the end of its last, in seconds, by its packets' times.

    Raises
    ------
    UnusableVideo
        Where the file has no video stream, or none whose times are known.
    OSError
        Where the file cannot be read.
    """
    first, end = math.inf, -math.inf
    try:
        with path.open("rb") as file, av.open(file, "r", metadata_errors="replace") as container:
            stream = best_stream(container)
            rate = stream.average_rate or stream.guessed_rate
            for packet in container.demux(stream):
                if packet.pts is not None and packet.time_base and not packet.is_discard:
                    time = float(packet.pts * packet.time_base)
                    length = float(packet.duration * packet.time_base) if packet.duration else 1 / float(rate or 25)
                    first, end = min(first, time), max(end, time + length)
    except FFmpegError as error:
        if end <= first:
            raise UnusableVideo(f"{path.name}: {error.strerror}") from None
    if end <= first:
        raise UnusableVideo(f"{path.name}: no packet of it has a time")
    return end - first
