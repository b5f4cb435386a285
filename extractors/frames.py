"""Configuration of stored frames, for the random access that training on snippets and thumbnails need."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from extractors.base import Clip, Extract, Extractor, Row
from extractors.clip_reader import ClipReader
from extractors.pictures import Spool
from pipeline.config import Positive, Size

if TYPE_CHECKING:
    from pipeline.video.decode import Part

Interpolation = Literal["area", "bilinear", "bicubic"]
"""Ways to scale a picture."""
_TIME_TOLERANCE_S = 1e-6


class Frames(Extractor):
    """Frames of a video, all or one every so many seconds, each scaled and encoded on its own.

    Notes
    -----
    A row holds

    - the pictures ``frames``, RGB, in the layout of ``extractors.pictures``;
    - ``start_frames`` (time,), int64: number of each in the clip;
    - ``times`` and ``ends`` (time,), float64: when each is shown, in seconds.

    Memory does not grow with the video.
    """

    name: Literal["frames"] = "frames"
    version: ClassVar[int] = 2
    added: ClassVar[frozenset[str]] = frozenset({"size_px", "every_s"})

    short_side: Size | None = Field(
        256, description="length in pixels that the shorter side is scaled to; None keeps the video's own size"
    )
    size_px: tuple[Size, Size] | None = Field(
        None, description="width and height in pixels that frames are scaled to instead, whatever the video's"
    )
    every_s: Positive | None = Field(None, description="seconds between two stored frames; None stores every frame")
    encoding: Literal["jpeg", "raw"] = Field("jpeg", description="format of the stored pictures")
    quality: int = Field(95, ge=1, le=100, description="quality of JPEG")

    @property
    def gives(self) -> frozenset[str]:
        return frozenset()

    @model_validator(mode="before")
    @classmethod
    def _size_instead_of_short_side(cls, table: Any) -> Any:
        return one_size(table)

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        """Prepare to run on the CPU, whatever the device."""
        return partial(_extract, self)


def one_size(table: Any) -> Any:
    """Set ``short_side`` of a configuration's table to None where it has ``size_px``. Raise ValueError for both.

    Examples
    --------
    >>> one_size({"size_px": (340, 256)})
    {'size_px': (340, 256), 'short_side': None}
    """
    if not isinstance(table, Mapping) or table.get("size_px") is None:
        return table
    if table.get("short_side") is not None:
        raise ValueError("give either short_side or size_px")
    return {**table, "short_side": None}


def scaled(
    picture: np.ndarray,
    short_side: int | None,
    size_px: tuple[int, int] | None = None,
    interpolation: Interpolation = "area",
) -> np.ndarray:
    """Scale a picture.

    Parameters
    ----------
    picture : ndarray of uint8, shape (height, width) or (height, width, channel)
    short_side : int or None
        Length in pixels of the shorter side; the proportions are kept. None keeps the size.
    size_px : tuple of int, optional
        Width and height in pixels instead.
    interpolation : str
        "area": shrunk by averaging over areas, which does not alias, or enlarged bilinearly; "bilinear" or "bicubic":
        antialiased, as torchvision does, which rounds sizes down.

    Returns
    -------
    ndarray of uint8
    """
    from pipeline.video.resize import antialiased, resized

    height, width = picture.shape[:2]
    if size_px is None and short_side is not None:
        whole = round if interpolation == "area" else int
        shorter = min(height, width)
        size_px = (whole(width * short_side / shorter), whole(height * short_side / shorter))
    if size_px is None:
        return picture
    return resized(picture, size_px) if interpolation == "area" else antialiased(picture, size_px, interpolation)


def numbered(blocks: "Iterable[Part[Any]]", every_s: float | None) -> Iterator[tuple[int, Any]]:
    """Choose frames by their times.

    Parameters
    ----------
    blocks : iterable of Block or DeferredBlock
    every_s : float or None
        Seconds, counted from the first frame's time, at or after which a frame is chosen; None chooses all.

    Yields
    ------
    number : int
        The frame's number in the clip.
    frame : ndarray of uint8, shape (height, width, 3)
        Of a deferred block, what ``numpy.asarray`` makes it of.
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
    numbers = np.array(starts, np.int64)
    arrays = {**spool.arrays(), "start_frames": numbers, **reader.clock.spans(numbers, numbers)}
    yield Row(arrays, reader.attributes)
