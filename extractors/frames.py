"""The frames store: decoded frames for random access, which training on snippets and thumbnails need."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from extractors.base import Clip, Extract, Extractor, Row
from extractors.clip_reader import ClipReader
from extractors.pictures import Spool

if TYPE_CHECKING:
    from pipeline.video.decode import Block

_TIME_TOLERANCE_S = 1e-6


class Frames(Extractor):
    """Every frame of a video, or one every so many seconds, scaled and encoded on its own.

    A row holds the pictures ``frames``, RGB, in the layout of ``extractors.pictures``, and ``start_frames (time,)``,
    the number of each in the clip. Memory does not grow with the video.
    """

    name: Literal["frames"] = "frames"
    version: ClassVar[int] = 2
    added: ClassVar[frozenset[str]] = frozenset({"size_px", "every_s"})

    short_side: PositiveInt | None = Field(256, description="pixels, in proportion; None keeps the video's own size")
    size_px: tuple[PositiveInt, PositiveInt] | None = Field(
        None, description="width and height instead, whatever the video's"
    )
    every_s: PositiveFloat | None = Field(None, description="seconds between frames; None: every frame")
    encoding: Literal["jpeg", "raw"] = "jpeg"
    quality: int = Field(95, ge=1, le=100, description="of JPEG")

    @model_validator(mode="before")
    @classmethod
    def _size_instead_of_short_side(cls, table: Any) -> Any:
        return one_size(table)

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        """Runs on the CPU whatever the device."""
        return partial(_extract, self)


def one_size(table: Any) -> Any:
    """A configuration's table, without ``short_side`` where it has ``size_px``. Raises ValueError where it has both."""
    if not isinstance(table, Mapping) or table.get("size_px") is None:
        return table
    if table.get("short_side") is not None:
        raise ValueError("give either short_side or size_px")
    return {**table, "short_side": None}


def scaled(picture: np.ndarray, short_side: int | None, size_px: tuple[int, int] | None = None) -> np.ndarray:
    """(height, width[, channel]) uint8 of a width and height, or with its shorter side of a length, in proportion.

    Shrunk by averaging over areas, which does not alias; enlarged bilinearly. Without either it stays as it is.
    """
    import cv2

    height, width = picture.shape[:2]
    if size_px is None and short_side is not None:
        shorter = min(height, width)
        size_px = (round(width * short_side / shorter), round(height * short_side / shorter))
    if size_px is None or size_px == (width, height):
        return picture
    shrinks = size_px[0] < width or size_px[1] < height
    return cv2.resize(picture, size_px, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def numbered(blocks: "Iterable[Block]", every_s: float | None) -> Iterator[tuple[int, np.ndarray]]:
    """Frames (height, width, 3) with their numbers in the clip: all, or the first at or after every so many seconds.

    The seconds count from the first frame's time.
    """
    due: float | None = None
    for block in blocks:
        for place, time in enumerate(block.times.tolist()):
            if every_s is None:
                yield block.start + place, block.frames[place]
            elif due is None or time >= due - _TIME_TOLERANCE_S:
                past = 0.0 if due is None else (time - due + _TIME_TOLERANCE_S) // every_s
                due = (time if due is None else due) + every_s * (1 + past)
                yield block.start + place, block.frames[place].copy()  # the rest of its block is free to go


def _extract(config: Frames, clip: Clip) -> Iterator[Row]:
    spool, reader = Spool("frames", config.encoding, config.quality), ClipReader(clip)
    starts = []
    for number, frame in numbered(reader.blocks(), config.every_s):
        spool.add(scaled(frame, config.short_side, config.size_px))
        starts.append(number)
    yield Row({**spool.arrays(), "start_frames": np.array(starts, np.int64)}, reader.attributes)
