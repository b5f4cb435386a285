"""Configuration of person boxes: the moving person, cut out of a video and normalised in contrast."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from extractors.base import Clip, Extract, Extractor, Row
from extractors.clip_reader import ClipReader
from pipeline.errors import UnusableVideo

FRAME_HEIGHT = 60
"""Height in pixels that frames are scaled to: KTH's 120, "reducing the resolution by two"."""
BOX_WIDTH = 40
"""Width of the box in pixels: half of KTH's halved frames of 80×60; its height is that of the frame."""


class PersonBoxes(Extractor):
    """Person-centred cuboids, normalised in contrast: the input of the 3D-ConvNet.

    Raises
    ------
    UnusableVideo
        Where the clip has fewer than two frames, or no moving person.

    Notes
    -----
    A row holds

    - ``cuboid`` (time, 54, 34), float16: the box around the person, frame by frame; rounding to float16 is some 50
      times smaller than one grey level of the video, and halves store and training memory;
    - ``present`` (time,), bool: whether a moving person was found;
    - ``times`` and ``ends`` (time,), float64: when each frame is shown, in seconds;

    and the attribute ``mirrored``, 1 for variant 1, which is exactly the mirror image of variant 0.

    Frames are made grey and scaled to a height of 60 pixels, a box of 60×40 follows the centroid of the foreground
    (MOG2), and 3D local contrast normalisation takes three pixels off every border. The background is learnt from the
    clip alone: a segment has the same row as a file that holds nothing else.

    References
    ----------
    Baccouche et al., *Sequential Deep Learning for Human Action Recognition* (HBU 2011), section 2.
    """

    name: Literal["person_boxes"] = "person_boxes"
    mirror: bool = Field(True, description="make a mirrored copy as variant 1")
    smoothing_seconds: float = Field(
        1.0, gt=0, le=3600, description="seconds that the centre of the box is averaged over"
    )
    min_foreground: float = Field(
        0.001, gt=0, lt=1, description="least share of the frame that moves where a person is present"
    )

    @property
    def gives(self) -> frozenset[str]:
        return frozenset()

    @property
    def variants(self) -> int:
        return 1 + self.mirror

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        """Prepare to run on the CPU, whatever the device."""
        import extractors.convnet3d.local_contrast
        import extractors.convnet3d.person_tracking  # noqa: F401

        return partial(_extract, self)


def _extract(config: PersonBoxes, clip: Clip) -> Iterator[Row]:
    from extractors.convnet3d.local_contrast import local_contrast
    from extractors.convnet3d.person_tracking import cut, track

    reader = ClipReader(clip, colour="grey")
    frames = _halved(reader)
    window_frames = max(1, round(config.smoothing_seconds * reader.fps))
    centres, present = track(frames, window_frames=window_frames, min_foreground=config.min_foreground)
    if not present.any():
        raise UnusableVideo(f"{len(frames)} frames without a moving person; at least one is needed", len(frames))
    cuboid = local_contrast(cut(frames, centres, BOX_WIDTH)).astype(np.float16)
    every = np.arange(reader.length)
    shared = {"present": present, **reader.clock.spans(every, every)}
    yield Row({"cuboid": cuboid, **shared}, {**reader.attributes, "mirrored": 0})
    if config.mirror:
        mirrored = np.ascontiguousarray(cuboid[:, :, ::-1])
        yield Row({"cuboid": mirrored, **shared}, {**reader.attributes, "mirrored": 1})


def _halved(reader: ClipReader) -> np.ndarray:
    """Read the clip's grey frames, scaled to (time, 60, width) uint8."""
    import cv2

    frames: list[np.ndarray] = []
    for frame in reader.frames():
        height, width = frame.shape
        size = (max(1, round(width * FRAME_HEIGHT / height)), FRAME_HEIGHT)
        frames.append(
            cv2.resize(frame, size, interpolation=cv2.INTER_AREA if height > FRAME_HEIGHT else cv2.INTER_LINEAR)
        )
    if len(frames) < 2:
        raise UnusableVideo(f"{len(frames)} frames; at least 2 are needed to see what moves", len(frames))
    return np.stack(frames)
