"""The frames store: decoded frames for random access, which training on snippets and thumbnails need."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveInt

from extractors.base import Clip, Extraction, Extractor, Row
from extractors.pictures import Spool


class Frames(Extractor):
    """Every frame of a video, scaled and encoded on its own.

    A row holds the pictures ``frames``, RGB, in the layout of ``extractors.pictures``, and ``start_frames (time,)``.
    Memory does not grow with the video.
    """

    name: Literal["frames"] = "frames"
    version: ClassVar[int] = 2

    short_side: PositiveInt | None = Field(256, description="pixels; None keeps the video's own size")
    encoding: Literal["jpeg", "raw"] = "jpeg"
    quality: int = Field(95, ge=1, le=100, description="of JPEG")

    def build(self, device: str, states: Mapping[str, Path] = {}) -> Extraction:
        """Runs on the CPU whatever the device."""
        return partial(_extract, self)


def scaled(frame: np.ndarray, short_side: int) -> np.ndarray:
    """(height, width, 3) uint8 with its shorter side ``short_side`` pixels long, and the other in proportion.

    Shrunk by averaging over areas, which does not alias; enlarged bilinearly.
    """
    import cv2

    height, width = frame.shape[:2]
    shorter = min(height, width)
    if shorter == short_side:
        return frame
    size = (round(width * short_side / shorter), round(height * short_side / shorter))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if shorter > short_side else cv2.INTER_LINEAR)


def _extract(config: Frames, clip: Clip | Sequence[Row]) -> Iterator[Row]:
    from pipeline.video import decode

    if not isinstance(clip, Clip):
        raise TypeError("frames reads a video file, not rows")
    spool = Spool("frames", config.encoding, config.quality)
    for block in decode(clip.path, frames=clip.frames):
        for frame in block.frames:
            spool.add(frame if config.short_side is None else scaled(frame, config.short_side))
    starts = np.arange(len(spool), dtype=np.int64)
    yield Row({**spool.arrays(), "start_frames": starts}, {"fps": block.fps, "frames": len(spool)})
