"""Reads a clip's frames once, and knows its length, rate and times when they have been read."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from extractors.base import Clip
from extractors.clock import Clock

if TYPE_CHECKING:
    from pipeline.video.decode import Block, Image


class ClipReader:
    """Decode a clip once, in blocks or frame by frame, and count what has gone by.

    Parameters
    ----------
    clip
        The file, and the range of its frames.
    **options
        Those of ``pipeline.video.decode.decode``: ``colour``, ``block_frames`` and ``deferred``.

    Attributes
    ----------
    length
        Frames so far: of the whole clip once it has been read.
    fps
        Frames a second, 0 before the first.
    notes
        What was done to the frames so far, by the names of ``pipeline.video.notes``.
    """

    def __init__(self, clip: Clip, **options: Any) -> None:
        self.clip, self.options = clip, options
        self.length, self.fps = 0, 0.0
        self.notes: Mapping[str, str | int] = {}
        self._times: list[np.ndarray] = []
        self._end = 0.0

    def blocks(self) -> "Iterator[Block]":
        """Yield consecutive frames together; raises as ``decode`` does."""
        for block in self._decoded():
            self.length += len(block.frames)
            yield block

    def frames(self) -> "Iterator[Image]":
        """Yield one frame after another; raises as ``decode`` does."""
        for block in self._decoded():
            for frame in block.frames:
                self.length += 1
                yield frame

    @property
    def clock(self) -> Clock:
        """Times of the frames, once the clip has been read; each ends where the next begins."""
        times = np.concatenate(self._times)
        return Clock(times, np.append(times[1:], self._end))

    @property
    def attributes(self) -> dict[str, float | int | str]:
        """Attributes of a row of this clip, once it has been read.

        They are ``fps``, ``frames``, ``start_s`` and ``end_s``, between which it lies in the file, and ``notes``.
        """
        span = {"start_s": float(self._times[0][0]), "end_s": self._end} if self._times else {}
        return {"fps": self.fps, "frames": self.length, **span, **self.notes}

    def _decoded(self) -> "Iterator[Block]":
        from pipeline.video.decode import decode

        clip = self.clip
        part = {"frames": clip.frames, "span_s": clip.span_s, "film": clip.film, "fps": clip.fps}
        for block in decode(clip.path, **part, **self.options):  # type: ignore[call-overload]
            self.fps, self.notes, self._end = block.fps, block.notes, block.end
            self._times.append(block.times)
            yield block
