"""Temporal segment networks: features of short snippets, spread over the whole video."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from extractors.base import Clip, Extraction, Extractor, Row
from extractors.frames import Frames, scaled
from extractors.pictures import picture
from extractors.snippets import SNIPPETS
from extractors.tsn_training import Finetuning, FittedTSN, Modality
from extractors.tvl1 import TVL1
from pipeline.config import Config, File
from pipeline.errors import UnusableVideo

if TYPE_CHECKING:
    from extractors.networks.describer import Describer
    from pipeline.video import Block

_BATCH = 50  # crops that are computed at once: five snippets of ten
_HELD_BYTES = 2**28  # up to here a video's frames are held until their number is known; beyond, it is decoded twice


class Backbone(Config):
    """A pretrained image network; ``weights``: a file, or one of the names in ``extractors.weights.SOURCES``."""

    backbone: Literal["resnet50", "bn_inception", "squeezenet1_0"]
    weights: File
    fit: Finetuning | None = Field(None, description="on the training videos; None: the weights are used as they are")
    seed: NonNegativeInt = Field(0, description="of the fine-tuning")


class TSN(Extractor):
    """Wang et al., *Temporal Segment Networks* (ECCV 2016): a snippet of each of ``snippets`` segments (section 3.1).

    A snippet is one frame ("rgb"), five consecutive flows, x and y by turns ("flow"), or the five differences of six
    consecutive frames ("rgb_diff"). None crosses the end of a clip: UnusableVideo is raised where a clip has fewer
    frames or flows. Pictures are scaled to one short side, those of flow, too, whose vectors keep their lengths as in
    the paper's code. A row holds ``features (time, dim)``, of each snippet the pooled features of its centre crop, or
    the mean over ten crops: corners and centre, and their mirror images, in which x-flow changes its sign. ``dim`` is
    2048 with ResNet-50, 1024 with BN-Inception and 512 with SqueezeNet 1.0. ``start_frames (time,)`` is the first
    frame of each snippet: RGB and flow share one count.

    Where the network is fine-tuned, ``scores (time, class)`` are the classifier's, before the softmax, and means over
    crops, too. A classifier in weights that are used as they are is left out.

    snippets: the centres of so many equal segments of the clip. ``stride_frames`` instead: at every so many-th frame.
    """

    name: Literal["tsn"] = "tsn"
    uses_gpu: ClassVar[bool] = True

    modality: Modality = "rgb"
    network: Backbone
    snippets: PositiveInt | None = 25
    stride_frames: PositiveInt | None = None
    crops: Literal[1, 10] = 10
    short_side: PositiveInt = Field(256, description="pixels, of the scaled picture")
    crop: PositiveInt = Field(224, description="pixels, of a crop's sides")
    flow: TVL1 | None = Field(None, description="of modality flow alone, which takes its defaults")
    frames: Frames | None = Field(
        None, description="what RGB or RGB difference is fine-tuned on; None: frames of the same short side"
    )
    dtype: Literal["float16", "float32"] = "float32"

    @model_validator(mode="before")
    @classmethod
    def _implied(cls, table: Any) -> Any:
        """A stride instead of snippets, and the flow's defaults."""
        if not isinstance(table, Mapping):
            return table
        implied: dict[str, Any] = {"snippets": None} if table.get("stride_frames") is not None else {}
        implied |= {"flow": {}} if table.get("modality") == "flow" else {}
        return {**implied, **table}

    @model_validator(mode="after")
    def _fitting_together(self) -> Self:
        if (self.snippets is None) == (self.stride_frames is None):
            raise ValueError("give either snippets or stride_frames")
        if (self.flow is None) == (self.modality == "flow"):
            raise ValueError("modality flow, and no other, needs a table flow")
        if self.flow and self.stride_frames and self.stride_frames % self.flow.stride_frames:
            raise ValueError(f"stride_frames must be a multiple of the flow's, {self.flow.stride_frames}")
        if self.frames and (self.flow or not self.network.fit):
            raise ValueError("frames are for fine-tuning on RGB or RGB difference: leave them out")
        if self.crop > self.short_side:
            raise ValueError(f"a crop of {self.crop} needs a short_side of as many pixels at least")
        if self.network.fit:
            self.network.fit.check(self.modality)
        return self

    @property
    def upstream(self) -> TVL1 | None:
        return self.flow

    @property
    def fitted(self) -> FittedTSN | None:
        network = self.network
        if network.fit is None:
            return None
        return FittedTSN(
            modality=self.modality,
            backbone=network.backbone,
            weights=network.weights,
            crop=self.crop,
            fit=network.fit,
            seed=network.seed,
        )

    @property
    def fitted_on(self) -> TVL1 | Frames | None:
        if self.fitted is None:
            return None
        return self.flow or self.frames or Frames(short_side=self.short_side)

    def build(self, device: str, states: Mapping[str, Path] = {}) -> Extraction:
        """``network.weights`` must be the path of a file. Raises InputError where they are another network's."""
        from extractors.networks.describer import Describer

        if len(states) != (self.fitted is not None):
            raise ValueError(f"tsn needs the file of one trained network where it is fine-tuned, not of {len(states)}")
        backbone, weights = self.network.backbone, Path(self.network.weights)
        if states:
            (state,) = states.values()
            describe = Describer.trained(backbone, self.modality, state, device)
        else:
            describe = Describer.pretrained(backbone, self.modality, weights, device)
        return partial(_of_flow if self.flow else _of_video, self, describe)

    def starts(self, length: int) -> np.ndarray:
        """First pictures (time,) int64, rising, of the snippets of a clip of ``length`` frames or flows."""
        from pipeline.clips import segment_centres, windows

        span = SNIPPETS[self.modality].pictures
        if self.snippets is not None:
            return segment_centres(length, self.snippets, span)
        assert self.stride_frames is not None
        return windows(length, span, self.stride_frames // (self.flow.stride_frames if self.flow else 1))


def _of_video(config: TSN, describe: "Describer", clip: Clip | Sequence[Row]) -> Iterator[Row]:
    if not isinstance(clip, Clip):
        raise TypeError(f"tsn of {config.modality} reads a video file, not rows")
    blocks, length, fps = _survey(clip)
    starts = config.starts(length)
    needed = _needed(starts, SNIPPETS[config.modality].pictures)
    pictures = (scaled(frame, config.short_side) for frame in _chosen(blocks, needed))
    arrays = _described(config, describe, zip(needed, pictures, strict=True), starts)
    yield Row({**arrays, "start_frames": starts}, {"fps": fps, "frames": length})


def _of_flow(config: TSN, describe: "Describer", rows: Clip | Sequence[Row]) -> Iterator[Row]:
    if isinstance(rows, Clip):
        raise TypeError("tsn of flow reads rows of tvl1, not a file")
    span = SNIPPETS[config.modality].pictures
    for row in rows:
        first_frames, frames = row.arrays["start_frames"], int(row.attributes["frames"])
        if len(first_frames) < span:
            given = f"{frames} frames, which give {len(first_frames)} flows"
            raise UnusableVideo(f"{given}; at least {span} flows are needed", frames)
        starts = config.starts(len(first_frames))
        pictures = ((index, _flow(row, index, config.short_side)) for index in _needed(starts, span))
        arrays = _described(config, describe, pictures, starts)
        attributes = {name: row.attributes[name] for name in ("fps", "frames")}
        yield Row({**arrays, "start_frames": first_frames[starts]}, attributes)


def _described(
    config: TSN, describe: "Describer", pictures: Iterator[tuple[int, np.ndarray]], starts: np.ndarray
) -> dict[str, np.ndarray]:
    """Features, and scores where there is a classifier, of the snippets that begin at ``starts``."""
    from pipeline.ahead import ahead, stacks

    snippets = _snippets(pictures, starts.tolist(), SNIPPETS[config.modality].pictures)
    images = (image for snippet in snippets for image in _crops(config, snippet))
    described = np.concatenate([describe(batch) for batch in ahead(stacks(images, _BATCH))])
    features = described.reshape(len(starts), config.crops, -1).mean(axis=1)
    arrays = {"features": features.astype(config.dtype)}
    if config.network.fit:  # the classifier is linear: scores of the mean are the mean of scores
        arrays["scores"] = describe.classify(features).astype(config.dtype)
    return arrays


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


def _needed(starts: np.ndarray, span: int) -> list[int]:
    """The rising numbers of all pictures of snippets, each once."""
    numbers: list[int] = np.unique(starts[:, None] + np.arange(span)).tolist()
    return numbers


def _chosen(blocks: "Iterable[Block]", indices: list[int]) -> Iterator[np.ndarray]:
    """The frames at rising ``indices``, (height, width, 3) each."""
    for block in blocks:
        first, last = np.searchsorted(indices, (block.start, block.start + len(block.frames)))
        yield from (block.frames[index - block.start] for index in indices[first:last])


def _flow(row: Row, index: int, short_side: int) -> np.ndarray:
    """One flow, (height, width, 2)."""
    return np.stack([scaled(picture(row.arrays, name, index), short_side) for name in ("x", "y")], axis=-1)


def _snippets(pictures: Iterator[tuple[int, np.ndarray]], starts: list[int], span: int) -> Iterator[np.ndarray]:
    """Stacks (height, width, channel) of ``span`` pictures from each of the rising ``starts`` on."""
    held: dict[int, np.ndarray] = {}
    for start in starts:
        held = {index: shown for index, shown in held.items() if index >= start}
        held.update(islice(pictures, span - len(held)))
        yield np.concatenate([held[start + step] for step in range(span)], axis=-1)


def _crops(config: TSN, snippet: np.ndarray) -> np.ndarray:
    """(height, width, channel) to (crops, side, side, channel)."""
    from pipeline.clips import corner_crops, ten_crops

    if config.crops == 10:
        crops = ten_crops(snippet, config.crop)
        if config.modality == "flow":
            crops[5:, ..., ::2] = 255 - crops[5:, ..., ::2]  # to the left is to the right in a mirror
        return crops
    height, width = snippet.shape[:2]
    top, left = corner_crops(height, width, config.crop)[-1]
    return snippet[None, top : top + config.crop, left : left + config.crop]
