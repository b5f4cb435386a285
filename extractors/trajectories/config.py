"""Configuration of improved dense trajectories: points tracked through a video and described on their way."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from extractors.base import Clip, Extract, Extractor, Row
from extractors.clip_reader import ClipReader
from extractors.trajectories.layout import Layout
from pipeline.config import Few, Size
from pipeline.errors import UnusableVideo

if TYPE_CHECKING:
    from pipeline.video.decode import Image


class Trajectories(Extractor):
    """Improved dense trajectories: points that are tracked by optical flow, and described along their way.

    Raises
    ------
    UnusableVideo
        Where a clip has fewer frames than a trajectory has points (16 with the defaults), or frames smaller than a
        patch.

    Notes
    -----
    A row holds, in the order in which trajectories end, and scale by scale,

    - ``features`` (trajectories, dim), float16: with the default fields 426 numbers as the authors' program writes
      them: shape 30, HOG 96, HOF 108, MBH in x 96 and in y 96, each third of a descriptor the mean over its five
      frames;
    - ``start_frames`` and ``end_frames`` (trajectories,), int64: frames of the first and of the last point;
    - ``times`` and ``ends`` (trajectories,), float64: when the first begins and the last ends, in seconds;
    - ``places`` (trajectories, 6), float32: mean x, mean y, standard deviations of x and of y, and length, in pixels
      of the frame as it was tracked, and scale.

    Points on a grid are tracked at several scales, and described by the flow without the camera's motion. Trajectories
    that stand still without it are dropped, and so are those that move as no body does. Their number depends on the
    clip's frame rate, its attribute ``fps``, too; a clip in which nothing moves has none.

    On a clip of KTH there are 2,005 for the 2,001 of the authors' program, of which 99.7 % are found again to a tenth
    of a pixel (half of them to 1e-5), with descriptors whose median cosine is 0.99998. Tracks and HOG are the same;
    the camera's motion that RANSAC finds differs.

    References
    ----------
    Wang and Schmid, *Action Recognition with Improved Trajectories* (ICCV 2013).
    Wang et al., *Dense Trajectories and Motion Boundary Descriptors for Action Recognition* (IJCV 2013).
    """

    name: Literal["trajectories"] = "trajectories"

    length_frames: Size = Field(15, description="number of steps of a trajectory, each from one frame to the next")
    stride_px: Size = Field(5, description="distance between points that begin, in pixels of each scale")
    scales: Few = Field(8, description="largest number of scales, each √2 smaller, of those that hold a patch")
    patch_px: Size = Field(32, description="side in pixels of the square around a point that is described")
    cells_xy: Few = Field(2, description="number of cells along each side of a patch")
    cells_t: Few = Field(3, description="number of cells along a trajectory")
    camera_motion: bool = Field(True, description="take the camera's motion out of the flow")
    size_px: tuple[Size, Size] | None = Field(
        None, description="width and height in pixels that frames are resized to first; None keeps the video's own"
    )

    @model_validator(mode="after")
    def _cells_divide(self) -> Self:
        if self.length_frames % self.cells_t:
            raise ValueError(f"length_frames = {self.length_frames} must be a multiple of cells_t = {self.cells_t}")
        if self.patch_px % self.cells_xy:
            raise ValueError(f"patch_px = {self.patch_px} must be a multiple of cells_xy = {self.cells_xy}")
        return self

    @property
    def layout(self) -> Layout:
        """Sizes that tracking and describing need."""
        return Layout(**self.model_dump(include=set(Layout._fields)))

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        """Prepare to run on the CPU, whatever the device."""
        import extractors.trajectories.tracking  # noqa: F401

        return partial(_tracked, self)


def _tracked(config: Trajectories, clip: Clip) -> Iterator[Row]:
    from extractors.trajectories.tracking import trajectories

    reader = ClipReader(clip, colour="grey")
    found = trajectories(_sized(reader, config), config.layout, camera_motion=config.camera_motion)
    parts = [part._replace(features=part.features.astype(np.float16)) for part in found]
    if reader.length <= config.length_frames:
        raise UnusableVideo(f"{reader.length} frames; a trajectory needs {config.length_frames + 1}", reader.length)
    ends = np.repeat([part.frame for part in parts], [len(part.places) for part in parts]).astype(np.int64)
    arrays = {
        "features": np.concatenate([part.features for part in parts]),
        "start_frames": ends - config.length_frames,
        "end_frames": ends,
        "places": np.concatenate([part.places for part in parts]),
        **reader.clock.spans(ends - config.length_frames, ends),
    }
    yield Row(arrays, reader.attributes)


def _sized(reader: ClipReader, config: Trajectories) -> "Iterator[Image]":
    """Read the clip's grey frames in the configured size."""
    import cv2

    for frame in reader.frames():
        if config.size_px:
            frame = np.asarray(cv2.resize(frame, config.size_px, interpolation=cv2.INTER_AREA), np.uint8)
        height, width = frame.shape
        if not config.layout.sizes(height, width):
            patch = config.patch_px
            reason = f"frames of {width}x{height} pixels; at least {patch}x{patch} are needed"
            raise UnusableVideo(reason, reader.length)
        yield frame
