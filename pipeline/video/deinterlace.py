"""Make whole pictures of the two fields of interlaced frames."""

from collections.abc import Iterator

import av
from av.error import BlockingIOError as MoreNeeded
from av.error import EOFError as Ended
from av.error import FFmpegError
from av.filter import Graph

from pipeline.errors import UnusableVideo


def deinterlaced(frames: Iterator[av.VideoFrame]) -> Iterator[tuple[av.VideoFrame, bool]]:
    """Yield every frame, and whether it was deinterlaced; one comes out for each that goes in, at its time.

    Frames that are flagged as interlaced go through libavfilter's bwdif, and so do those after the first of them, which
    it leaves as they are. Where ``frames`` fails, those that the filter still holds come first.
    """
    graph: _Deinterlacer | None = None
    try:
        for frame in frames:
            if graph is not None and not graph.takes(frame):
                yield from graph.rest()
                graph = None
            if graph is None and frame.interlaced_frame:
                graph = _Deinterlacer(frame)
            if graph is None:
                yield frame, False
            else:
                yield from graph.add(frame)
    except (FFmpegError, UnusableVideo, OSError):
        if graph is not None:
            yield from graph.rest()
        raise
    if graph is not None:
        yield from graph.rest()


class _Deinterlacer:
    """bwdif for frames of one size and format; it holds the last one back, for its neighbours."""

    def __init__(self, frame: av.VideoFrame) -> None:
        self.kind = _kind(frame)
        self.interlaced: list[bool] = []
        self.graph = Graph()
        self.graph.threads = 1  # libavfilter would start one for each core
        source = self.graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        bwdif = self.graph.add("bwdif", "mode=send_frame:deint=interlaced")
        sink = self.graph.add("buffersink")
        source.link_to(bwdif)
        bwdif.link_to(sink)
        self.graph.configure()

    def takes(self, frame: av.VideoFrame) -> bool:
        return _kind(frame) == self.kind

    def add(self, frame: av.VideoFrame) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Add a frame, and yield those that are ready."""
        self.interlaced.append(frame.interlaced_frame)
        self.graph.vpush(frame)
        yield from self._ready()

    def rest(self) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Yield what is held back."""
        self.graph.vpush(None)
        yield from self._ready()

    def _ready(self) -> Iterator[tuple[av.VideoFrame, bool]]:
        while True:
            try:
                frame = self.graph.vpull()
            except (MoreNeeded, Ended):
                return
            yield frame, self.interlaced.pop(0)


def _kind(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
