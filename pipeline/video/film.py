"""Decodes a video file once for clips of it that are asked for one after another, such as overlapping windows."""

from collections import deque
from collections.abc import Generator
from pathlib import Path

from pipeline.errors import UnusableVideo
from pipeline.video.presentation import fault_of_file, presented
from pipeline.video.shown import Shown


class Film:
    """Frames of a video file, which is decoded as far as clips of it were asked for.

    The frames from the beginning of the last clip on are kept as libav decoded them, in 8-bit 4:2:0 one and a half
    bytes a pixel: so much memory as the longest clip, however long the file is.

    Parameters
    ----------
    path
        The video file, or a folder of numbered pictures.
    fps
        Of a folder, how many of its frames are shown in a second.
    """

    def __init__(self, path: Path, fps: float | None = None) -> None:
        self._path, self._fps = path, fps
        self._begin()

    def _begin(self) -> None:
        self._decoding, self._from_s = presented(self._path, self._fps), 0.0
        self._first: Shown | None = None
        self._kept: deque[Shown] = deque()
        self._fault: Exception | None = None
        self._seen = 0

    def frames(self, from_s: float) -> Generator[Shown]:
        """Yield the file's first frame, and then those from a time on, in seconds; frames between them may be left out.

        The frames of one call must not be asked for after another call. Where a call begins before the one before it,
        the file is decoded anew.

        Raises
        ------
        UnusableVideo
            Where decoding fails, whenever that frame is reached.
        OSError
            Where the file cannot be read.
        """
        if from_s < self._from_s:
            self.close()
            self._begin()
        self._from_s = from_s
        while self._kept and self._kept[0].time < from_s:
            self._kept.popleft()
        if self._first is not None and (not self._kept or self._kept[0] is not self._first):
            yield self._first
        yield from tuple(self._kept)
        while (shown := self._next()) is not None:
            if shown.time >= from_s:
                self._kept.append(shown)
            yield shown

    def _next(self) -> Shown | None:
        if self._fault is not None:
            raise self._fault
        try:
            shown = next(self._decoding, None)
        except Exception as error:
            self._fault = error  # which stands where it is not the file's fault
            self._fault = UnusableVideo(fault_of_file(error, self._seen))
            raise self._fault from None
        self._first, self._seen = self._first or shown, self._seen + 1
        return shown

    def close(self) -> None:
        """Close the file."""
        self._decoding.close()


class Films:
    """Holds the film of which clips were asked for last."""

    def __init__(self) -> None:
        self._held: tuple[Path, Film] | None = None

    def of(self, path: Path, fps: float | None = None) -> Film:
        """Return the film of a file, or a folder with its frame rate; the one before is closed where it is another."""
        if self._held is not None and self._held[0] == path:
            return self._held[1]
        if self._held is not None:
            self._held[1].close()
        self._held = path, Film(path, fps)
        return self._held[1]
