"""Temporal segment networks: features of single frames, spread over the whole video."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import PositiveInt, model_validator

from extractors.base import Clip, Extraction, Extractor, Row
from extractors.frames import scaled
from pipeline.config import Config, File

if TYPE_CHECKING:
    from pipeline.video import Block

SHORT_SIDE = 256
CROP = 224
_BATCH = 50  # images that are computed at once: five frames of ten crops
_HELD_BYTES = 2**28  # up to here a video's frames are held until their number is known; beyond, it is decoded twice


class Backbone(Config):
    """A pretrained image network; ``weights``: a file, or one of the names in ``extractors.weights.SOURCES``."""

    backbone: Literal["resnet50", "squeezenet1_0"]
    weights: File


class TSN(Extractor):
    """Wang et al., *Temporal Segment Networks* (ECCV 2016), section 3: one frame of each of ``snippets`` segments.

    Frames are scaled to a short side of 256 pixels; each gives the pooled features of its centre crop, 224×224, or the
    mean over ten crops: corners and centre, and their mirror images. A row holds ``features (time, dim)``, 2048 wide
    with ResNet-50 and 512 with SqueezeNet 1.0, and ``start_frames (time,)``.

    snippets: the centres of so many equal segments of the clip. ``stride_frames`` instead: every so many-th frame.
    """

    name: Literal["tsn"] = "tsn"
    uses_gpu: ClassVar[bool] = True

    modality: Literal["rgb"] = "rgb"
    network: Backbone
    snippets: PositiveInt | None = 25
    stride_frames: PositiveInt | None = None
    crops: Literal[1, 10] = 10
    dtype: Literal["float16", "float32"] = "float32"

    @model_validator(mode="before")
    @classmethod
    def _stride_instead_of_snippets(cls, table: Any) -> Any:
        dense = isinstance(table, Mapping) and table.get("stride_frames") is not None
        return {"snippets": None, **table} if dense else table

    @model_validator(mode="after")
    def _one_sampling(self) -> Self:
        if (self.snippets is None) == (self.stride_frames is None):
            raise ValueError("give either snippets or stride_frames")
        return self

    def build(self, device: str, states: Mapping[str, Path] = {}) -> Extraction:
        """``network.weights`` must be the path of a file. Raises InputError where they are another network's."""
        from extractors.networks.backbones import Describer

        return partial(_extract, self, Describer(self.network.backbone, Path(self.network.weights), device))

    def starts(self, length: int) -> np.ndarray:
        """The frames (time,) int64, rising, of a clip of ``length`` frames that are looked at."""
        from pipeline.clips import segment_centres

        if self.snippets is None:
            return np.arange(0, length, self.stride_frames, dtype=np.int64)
        return segment_centres(length, self.snippets)


def _extract(config: TSN, describe: Callable[[np.ndarray], np.ndarray], clip: Clip | Sequence[Row]) -> Iterator[Row]:
    if not isinstance(clip, Clip):
        raise TypeError("tsn reads a video file, not rows")
    blocks, length, fps = _survey(clip)
    starts = config.starts(length)
    images = (image for frame in _chosen(blocks, starts) for image in _crops(frame, config.crops))
    described = np.concatenate([describe(batch) for batch in _batches(images)])
    features = described.reshape(len(starts), config.crops, -1).mean(axis=1)
    yield Row({"features": features.astype(config.dtype), "start_frames": starts}, {"fps": fps, "frames": length})


def _survey(clip: Clip) -> "tuple[Iterable[Block], int, float]":
    """The clip's blocks, to be gone through once; its frames, which nothing but decoding tells; and their rate."""
    from pipeline.video import decode

    held: list[Block] | None = []
    length = held_bytes = 0
    for block in decode(clip.path, frames=clip.frames):
        length += len(block.frames)
        held_bytes += block.frames.nbytes
        if held is not None and held_bytes <= _HELD_BYTES:
            held.append(block)
        else:
            held = None
    return decode(clip.path, frames=clip.frames) if held is None else held, length, block.fps


def _chosen(blocks: "Iterable[Block]", indices: np.ndarray) -> Iterator[np.ndarray]:
    """The frames at rising ``indices``, (height, width, 3) each, as often as they are named."""
    for block in blocks:
        first, last = np.searchsorted(indices, (block.start, block.start + len(block.frames)))
        yield from (block.frames[index - block.start] for index in indices[first:last])


def _crops(frame: np.ndarray, crops: int) -> np.ndarray:
    """(height, width, 3) to (crops, 224, 224, 3)."""
    from pipeline.clips import corner_crops, ten_crops

    frame = scaled(frame, SHORT_SIDE)
    if crops == 10:
        return ten_crops(frame, CROP)
    height, width = frame.shape[:2]
    top, left = corner_crops(height, width, CROP)[-1]
    return frame[None, top : top + CROP, left : left + CROP]


def _batches(images: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    while batch := list(islice(images, _BATCH)):
        yield np.stack(batch)
