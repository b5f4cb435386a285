"""C3D: spatio-temporal features of clips of sixteen frames."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveInt

from extractors.base import Clip, Extract, Extractor, Row
from extractors.clip_reader import ClipReader
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

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        """``weights`` and ``mean`` must be paths. Raises InputError where a file is not what is needed."""
        from extractors.c3d.network import ClipFeatureExtractor

        mean = None if self.mean is None else Path(self.mean)
        return partial(_extract, self, ClipFeatureExtractor(Path(self.weights), self.layer, self.pool5, mean, device))


def _clips(frames: Iterable[np.ndarray], stride_frames: int) -> Iterator[np.ndarray]:
    """Cut a video's frames into clips (16, 112, 112, 3) uint8, ``stride_frames`` apart."""
    from extractors.c3d.network import CLIP_FRAMES, cropped

    held: deque[np.ndarray] = deque(maxlen=CLIP_FRAMES)
    for number, frame in enumerate(frames):
        if number % stride_frames < CLIP_FRAMES:
            held.append(cropped(frame))
        start = number + 1 - CLIP_FRAMES
        if start >= 0 and start % stride_frames == 0:
            yield np.stack(held)


def _extract(config: C3D, feature_extractor: Callable[[np.ndarray], np.ndarray], clip: Clip) -> Iterator[Row]:
    from extractors.c3d.network import CLIP_FRAMES
    from pipeline.training.prefetch import prefetch, stacks
    from pipeline.video.sampling import windows

    reader = ClipReader(clip)
    clips = _clips(reader.frames(), config.stride_frames)
    features = [feature_extractor(batch).astype(config.dtype) for batch in prefetch(stacks(clips, _BATCH))]
    starts = windows(reader.length, CLIP_FRAMES, config.stride_frames)
    yield Row({"features": np.concatenate(features), "start_frames": starts}, reader.attributes)
