"""Tell how long a video is without decoding it."""

from collections.abc import Iterator
from heapq import heappop, heappush
from pathlib import Path

import av
from av.error import FFmpegError

from pipeline.errors import UnusableVideo
from pipeline.files.numbered_pictures import frames
from pipeline.video.clock import RESTART_S, Clock
from pipeline.video.stream import best_stream, frame_rate, opened

_REORDERED = 32
"""Frames at most that come between a frame and those shown after it."""


def duration_s(path: Path, fps: float | None = None) -> float:
    """Return the time from the first frame of a video to the end of its last, in seconds, by its packets.

    Times are taken as ``Clock`` takes those of frames: where the file has none, or its clock begins anew, they go on.
    Of a folder of pictures they are counted, at ``fps`` a second.

    Raises
    ------
    UnusableVideo
        Where the file has no video stream, or no packet in it.
    OSError
        Where the file cannot be read.
    """
    if fps is not None and path.is_dir():
        return len(frames(path)) / fps
    end = 0.0
    try:
        with opened(path) as container:
            stream = best_stream(container)
            clock = Clock(frame_rate(stream))
            for time, length in _shown(container, stream):
                end = clock.time_of(time) + (length or 1 / frame_rate(stream))
    except FFmpegError as error:
        if not end:
            raise UnusableVideo(f"{path.name}: {error.strerror}") from None
    if not end:
        raise UnusableVideo(f"{path.name}: there is no packet of video in it")
    return end


def _shown(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[tuple[float | None, float]]:
    """Yield time and length of each packet, in seconds, in the order in which they are shown."""
    tick, waiting, last = float(stream.time_base or 1), list[tuple[float, float]](), float("-inf")
    for packet in container.demux(stream):
        if not packet.size or packet.is_discard:
            continue
        length = (packet.duration or 0) * tick
        if packet.pts is None:
            yield None, length
            continue
        read = (packet.pts if packet.dts is None else packet.dts) * tick
        while waiting and (len(waiting) > _REORDERED or read < last - RESTART_S):
            yield heappop(waiting)
        heappush(waiting, (packet.pts * tick, length))
        last = read
    while waiting:
        yield heappop(waiting)
