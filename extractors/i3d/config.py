"""Configuration of I3D: features of windows of frames or of flow."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from extractors.base import Clip, Extract, Extractor, NetworkExtraction, Prepared, Row
from extractors.clip_reader import ClipReader
from extractors.frames import scaled
from extractors.snippets.sources import Pictures, of_flow
from extractors.tvl1.config import TVL1, pixels, quantised
from extractors.windows import described, windowed
from pipeline.config import MAX_SIZE, Count, File
from pipeline.errors import UnusableVideo
from pipeline.training.prefetch import stacks

SIDE = 224
"""Side in pixels of the central square that the network sees."""
BOUND_PX = 20.0
"""Largest component of flow in pixels, which the network sees as 1."""
_AT_ONCE = 4
MIN_FRAMES = 9
"""Pictures in a window at least: the last pooling covers two places in time."""


class I3D(Extractor):
    """Features of windows by I3D, of frames or of optical flow, and its scores of the classes of Kinetics-400.

    Raises
    ------
    UnusableVideo
        Where the video is shorter than a window.

    Notes
    -----
    A row holds, for each window,

    - ``features`` (time, 1024), of type ``dtype``: means over the last maps;
    - ``kinetics_scores`` (time, 400), of type ``dtype``: the classifier's scores before the softmax;
    - ``start_frames`` (time,), int64: first frame of the window;
    - ``times`` and ``ends`` (time,), float64: when the window begins and ends, in seconds.

    Pictures are scaled to a short side, and the network sees the central square of 224 pixels. RGB goes from −1 to 1;
    so does flow from −20 to 20 pixels, whose vectors keep their lengths as pictures are scaled.

    References
    ----------
    Carreira and Zisserman, *Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset* (CVPR 2017), sections
    2.4 and 2.5, where windows have 64 frames in training, and all of a video's at test time.
    """

    name: Literal["i3d"] = "i3d"
    uses_gpu: ClassVar[bool] = True

    modality: Literal["rgb", "flow"] = Field("rgb", description="what the network sees: frames, or optical flow")
    weights: File = Field(
        "",
        description="file of the network's weights, in the layout of rgb_imagenet.pt and flow_imagenet.pt, or a known "
        "name; by default kinetics-i3d-rgb or kinetics-i3d-flow",
    )
    window_frames: int = Field(16, ge=MIN_FRAMES, le=1024, description="frames or flows of a window")
    stride_frames: Count = Field(8, description="frames or flows between the first ones of two windows")
    short_side: int = Field(256, ge=SIDE, le=MAX_SIZE, description="shorter side of the scaled picture in pixels")
    flow: TVL1 | None = Field(None, description="optical flow; modality flow has it by default, rgb does not take it")
    dtype: Literal["float16", "float32"] = Field("float32", description="type of the stored features and scores")

    @property
    def title(self) -> str:
        return f"I3D {'RGB' if self.modality == 'rgb' else 'flow'}"

    @model_validator(mode="before")
    @classmethod
    def _implied(cls, table: Any) -> Any:
        """Fill in the weights of the modality, and the flow's defaults."""
        if not isinstance(table, Mapping):
            return table
        modality = table.get("modality", "rgb")
        implied: dict[str, Any] = {"weights": f"kinetics-i3d-{modality}"}
        return {**implied, **({"flow": {}} if modality == "flow" else {}), **table}

    @model_validator(mode="after")
    def _flow_where_it_is_seen(self) -> Self:
        if (self.flow is None) == (self.modality == "flow"):
            raise ValueError("modality flow needs a table flow, and rgb takes none")
        return self

    @property
    def upstream(self) -> TVL1 | None:
        return self.flow

    @property
    def channels(self) -> int:
        """Channels of the network's input."""
        return 3 if self.modality == "rgb" else 2

    def check_files(self) -> None:
        from extractors.i3d.network import pretrained

        super().check_files()
        pretrained(self.channels, Path(self.weights))

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        """Load ``weights``, which must be a path."""
        from extractors.i3d.network import feature_extractor

        network = feature_extractor(self.channels, Path(self.weights), device)
        return NetworkExtraction(partial(_prepare, self), network, partial(described, self.dtype))

    def prepared(self, picture: np.ndarray) -> np.ndarray:
        """Scale a picture (height, width, channels) uint8, cut out the central square, and bring flow to its bound."""
        sized = scaled(picture, self.short_side)
        top, left = ((length - SIDE) // 2 for length in sized.shape[:2])
        square = sized[top : top + SIDE, left : left + SIDE]
        if self.flow is None or self.flow.bound_px == BOUND_PX:
            return square
        return quantised(pixels(square, self.flow.bound_px), BOUND_PX)


def _prepare(config: I3D, source: Clip | Sequence[Row]) -> Iterator[Prepared]:
    if isinstance(source, Clip):
        reader = ClipReader(source)
        yield from _batches(config, reader.frames())
        yield _row(config, np.arange(reader.length), reader)
        return
    for row in source:
        flows = of_flow(row, None)
        yield from _batches(config, flows.read(range(len(flows.first_frames))))
        yield _row(config, flows.first_frames, flows)


def _batches(config: I3D, pictures: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    return stacks(windowed(pictures, config.window_frames, config.stride_frames, config.prepared), _AT_ONCE)


def _row(config: I3D, first_frames: np.ndarray, clip: ClipReader | Pictures) -> Row:
    """Make a row of what is known of a clip's windows and pictures. Raises UnusableVideo where it has no window."""
    from pipeline.video.sampling import windows

    frames, there = int(clip.attributes["frames"]), len(first_frames)
    if there < config.window_frames:
        given = f"{frames} frames" + (f", which give {there} flows" if config.flow else "")
        raise UnusableVideo(f"{given}; a window needs {config.window_frames}: window_frames may be fewer", frames)
    starts = windows(there, config.window_frames, config.stride_frames)
    spans = clip.clock.spans(starts, starts + config.window_frames - 1)
    return Row({"start_frames": first_frames[starts], **spans}, clip.attributes)
