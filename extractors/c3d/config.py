"""Configuration of C3D: spatio-temporal features of clips of sixteen frames."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from extractors.base import Clip, Extract, Extractor, NetworkExtraction, Prepared, Row
from extractors.clip_reader import ClipReader
from extractors.windows import windowed
from pipeline.config import Count, File
from pipeline.training.prefetch import stacks

_BATCH = 8  # clips that are computed at once


class C3D(Extractor):
    """C3D features of clips of sixteen consecutive frames.

    Raises
    ------
    UnusableVideo
        Where the video has fewer than sixteen frames.

    Notes
    -----
    A row holds

    - ``features`` (time, 4096), of type ``dtype``: outputs of ``layer`` after its ReLU, for each clip;
    - ``start_frames`` (time,), int64: first frame of each clip;
    - ``times`` and ``ends`` (time,), float64: when each clip begins and ends, in seconds.

    Frames are scaled to 171×128 pixels, whatever their shape. The network sees the central square of 112 pixels, less
    the mean, blue first. Memory does not grow with the video's frames, but with its features.

    References
    ----------
    Tran et al., *Learning Spatiotemporal Features with 3D Convolutional Networks* (ICCV 2015), section 3.3.
    """

    name: Literal["c3d"] = "c3d"
    uses_gpu: ClassVar[bool] = True

    weights: File = Field(
        description="file of the network's weights, or a known name such as sports1m-c3d; a classifier is left out"
    )
    layer: Literal["fc6", "fc7"] = Field("fc6", description="fully connected layer whose outputs are the features")
    pool5: Literal["ceil", "padded"] = Field(
        "ceil",
        description="ceil: the last pooling rounds up, as in Caffe; padded: it pads its input, for weights trained so",
    )
    mean: File | None = Field(
        None,
        description="file of a mean for every pixel, (3, 16, 128, 171), .npy or .safetensors; None: one a colour",
    )
    stride_frames: Count = Field(8, description="frames between the first frames of clips")
    dtype: Literal["float16", "float32"] = Field("float32", description="type of the stored features")

    def check_files(self) -> None:
        from extractors.c3d.network import cropped_mean, pretrained

        pretrained(Path(self.weights), self.pool5)
        if self.mean is not None:
            cropped_mean(Path(self.mean))

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        """Load ``weights`` and ``mean``, which must be paths."""
        from extractors.c3d.network import ClipFeatureExtractor

        mean = None if self.mean is None else Path(self.mean)
        feature_extractor = ClipFeatureExtractor(Path(self.weights), self.layer, self.pool5, mean, device)
        return NetworkExtraction(partial(_prepare, self), feature_extractor, partial(_finish, self))


def _prepare(config: C3D, clip: Clip) -> Iterator[Prepared]:
    from extractors.c3d.network import CLIP_FRAMES, cropped
    from pipeline.video.sampling import windows

    reader = ClipReader(clip)
    yield from stacks(windowed(reader.frames(), CLIP_FRAMES, config.stride_frames, cropped), _BATCH)
    starts = windows(reader.length, CLIP_FRAMES, config.stride_frames)
    spans = reader.clock.spans(starts, starts + CLIP_FRAMES - 1)
    yield Row({"start_frames": starts, **spans}, reader.attributes)


def _finish(config: C3D, features: list[np.ndarray], row: Row) -> Row:
    return Row({"features": np.concatenate(features).astype(config.dtype), **row.arrays}, row.attributes)
