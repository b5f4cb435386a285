"""Reads a clip's frames once, and knows its length and rate when they have been read."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from extractors.base import Clip

if TYPE_CHECKING:
    from pipeline.video.decode import Block, Image


class ClipReader:
    """Decode a clip once, in blocks or frame by frame, and count what has gone by.

    Parameters
    ----------
    clip
        The file, and the range of its frames.
    **options
        Those of ``pipeline.video.decode.decode``: ``colour`` and ``block_frames``.

    Attributes
    ----------
    length
        Frames so far: of the whole clip once it has been read.
    fps
        Frames a second, 0 before the first.
    """

    def __init__(self, clip: Clip, **options: Any) -> None:
        self.clip, self.options = clip, options
        self.length, self.fps = 0, 0.0

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
    def attributes(self) -> dict[str, float | int | str]:
        """Attributes of a row of this clip, once it has been read: ``fps`` and ``frames``."""
        return {"fps": self.fps, "frames": self.length}

    def _decoded(self) -> "Iterator[Block]":
        from pipeline.video.decode import decode

        for block in decode(self.clip.path, frames=self.clip.frames, **self.options):
            self.fps = block.fps
            yield block
