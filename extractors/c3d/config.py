"""C3D: spatio-temporal features of clips of sixteen frames."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveInt

from extractors.base import Clip, Extraction, Extractor, Row
from pipeline.config import File

_BATCH = 8  # clips that are computed at once


class C3D(Extractor):
    """Tran et al., *Learning Spatiotemporal Features with 3D Convolutional Networks* (ICCV 2015), section 3.3.

    A row holds ``features (time, 4096)``, the outputs of ``layer`` after its ReLU, and ``start_frames (time,)``, of
    each clip of sixteen frames, ``stride_frames`` apart. Frames are scaled to 171×128 pixels, whatever their shape; of
    each the square of 112 in the middle, less the mean, is what the network sees, blue first. Raises UnusableVideo
    where there are fewer than sixteen frames. Memory does not grow with the video's frames, but with its features.

    ``weights``: a file, or a name in ``extractors.weights.SOURCES``; their classifier is left out.
    """

    name: Literal["c3d"] = "c3d"
    uses_gpu: ClassVar[bool] = True

    weights: File
    layer: Literal["fc6", "fc7"] = "fc6"
    pool5: Literal["ceil", "padded"] = Field("ceil", description="ceil: as Caffe has it; padded: for weights made so")
    mean: File | None = Field(
        None, description="file of every pixel's, (3, 16, 128, 171), .npy or .safetensors; None: the three colours'"
    )
    stride_frames: PositiveInt = Field(8, description="between the first frames of clips")
    dtype: Literal["float16", "float32"] = "float32"

    def build(self, device: str, states: Mapping[str, Path] = {}) -> Extraction:
        """``weights`` and ``mean`` must be paths. Raises InputError where a file is not what is needed."""
        from extractors.c3d.network import ClipFeatureExtractor

        mean = None if self.mean is None else Path(self.mean)
        return partial(_extract, self, ClipFeatureExtractor(Path(self.weights), self.layer, self.pool5, mean, device))


class _Clips:
    """The clips (16, 112, 112, 3) uint8 of a video as it is decoded; its frames and rate once they have gone by."""

    def __init__(self, clip: Clip, stride_frames: int) -> None:
        self.clip, self.stride_frames = clip, stride_frames
        self.frames, self.fps = 0, 0.0

    def __iter__(self) -> Iterator[np.ndarray]:
        from extractors.c3d.network import CLIP_FRAMES, cropped
        from pipeline.video.decode import decode

        held: deque[np.ndarray] = deque(maxlen=CLIP_FRAMES)
        for block in decode(self.clip.path, frames=self.clip.frames):
            self.fps = block.fps
            for frame in block.frames:
                if self.frames % self.stride_frames < CLIP_FRAMES:
                    held.append(cropped(frame))
                self.frames += 1
                start = self.frames - CLIP_FRAMES
                if start >= 0 and start % self.stride_frames == 0:
                    yield np.stack(held)


def _extract(
    config: C3D, feature_extractor: Callable[[np.ndarray], np.ndarray], clip: Clip | Sequence[Row]
) -> Iterator[Row]:
    from extractors.c3d.network import CLIP_FRAMES
    from pipeline.training.prefetch import prefetch, stacks
    from pipeline.video.sampling import windows

    if not isinstance(clip, Clip):
        raise TypeError("c3d reads a video file, not rows")
    clips = _Clips(clip, config.stride_frames)
    described = [feature_extractor(batch).astype(config.dtype) for batch in prefetch(stacks(clips, _BATCH))]
    starts = windows(clips.frames, CLIP_FRAMES, config.stride_frames)
    arrays = {"features": np.concatenate(described), "start_frames": starts}
    yield Row(arrays, {"fps": clips.fps, "frames": clips.frames})
