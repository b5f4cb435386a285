"""Configuration of features by torchvision's video networks."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from extractors.base import Clip, Extract, Extractor, NetworkExtraction, Prepared, Row
from extractors.clip3d.kinetics_networks import KINETICS_NETWORKS
from extractors.clip_reader import ClipReader
from extractors.windows import described, windowed
from pipeline.config import Count, File, Positive
from pipeline.errors import UnusableVideo
from pipeline.training.prefetch import stacks

if TYPE_CHECKING:
    from pipeline.video.decode import Block

_FRAMES_AT_ONCE = 128
_TIME_TOLERANCE_S = 1e-3
"""Matroska notes times in whole milliseconds."""


class Clip3D(Extractor):
    """Features of windows by a video network of torchvision, and its scores of the classes of Kinetics-400.

    Raises
    ------
    UnusableVideo
        Where the video is shorter than a window.

    Notes
    -----
    A row holds, for each window,

    - ``features`` (time, dim), of type ``dtype``: what the network's classifier sees; ``dim`` is 512 of the ResNets,
      1024 of S3D and swin3d_b, and 768 of the others;
    - ``kinetics_scores`` (time, 400), of type ``dtype``: the classifier's scores before the softmax, in the order of
      the classes in torchvision's metadata;
    - ``start_frames`` (time,), int64: the video's frame that the window begins with;
    - ``times`` and ``ends`` (time,), float64: when the window begins and ends, in seconds.

    The video is looked at ``rate_fps`` times a second: each time the frame is taken that is shown then, so that one of
    a slower video is taken again. Frames are scaled, cropped to the central square and normalised by torchvision's own
    preprocessing for the network. Window and rate are by default those of torchvision's metadata, with which the
    published accuracies were measured; ``stride_frames`` is by default half a window.

    References
    ----------
    Tran et al., *A Closer Look at Spatiotemporal Convolutions for Action Recognition* (CVPR 2018): r3d, mc3, r2plus1d.
    Xie et al., *Rethinking Spatiotemporal Feature Learning* (ECCV 2018): s3d.
    Fan et al., *Multiscale Vision Transformers* (ICCV 2021), and Li et al., *MViTv2* (CVPR 2022): mvit.
    Liu et al., *Video Swin Transformer* (CVPR 2022): swin3d.
    """

    name: Literal["clip3d"] = "clip3d"
    uses_gpu: ClassVar[bool] = True

    network: Literal[
        "r3d_18", "mc3_18", "r2plus1d_18", "s3d", "mvit_v1_b", "mvit_v2_s", "swin3d_t", "swin3d_s", "swin3d_b"
    ] = Field(description="architecture, by torchvision's name")
    weights: File = Field(
        "",
        description="file of the network's weights, or a known name; by default torchvision:NETWORK.KINETICS400_V1",
    )
    rate_fps: Positive = Field(15, description="frames looked at in a second; by default as torchvision tested it")
    window_frames: Count = Field(16, description="frames of a window; by default as torchvision tested it")
    stride_frames: Count = Field(
        8, description="frames that are looked at between the first ones of two windows; by default half a window"
    )
    dtype: Literal["float16", "float32"] = Field("float32", description="type of the stored features and scores")

    @property
    def title(self) -> str:
        return self.network

    @model_validator(mode="before")
    @classmethod
    def _as_published(cls, table: Any) -> Any:
        """Fill in what the network's metadata say, where a table leaves it out."""
        name = table.get("network") if isinstance(table, Mapping) else None
        if not isinstance(name, str) or name not in KINETICS_NETWORKS:
            return table
        published = KINETICS_NETWORKS[name]
        window = table.get("window_frames", published.frames)
        own = {"rate_fps": published.rate_fps, "window_frames": window, "weights": f"torchvision:{name}.KINETICS400_V1"}
        half = {"stride_frames": max(1, window // 2)} if isinstance(window, int) else {}
        return {**own, **half, **table}

    @model_validator(mode="after")
    def _window_suits_the_network(self) -> Self:
        published = KINETICS_NETWORKS[self.network]
        if published.fixed and self.window_frames != published.frames:
            raise ValueError(f"{self.network} sees windows of {published.frames} frames: leave window_frames out")
        if self.network == "s3d" and self.window_frames < 14:
            raise ValueError("s3d needs window_frames of at least 14")
        return self

    def significant(self, digest: Callable[[str], str]) -> dict[str, Any]:
        """Return what enters a fingerprint: what torchvision makes frames into, too."""
        from extractors.clip3d.network import preprocessing

        return super().significant(digest) | {"preprocessing": preprocessing(self.network).describe()}

    def check_files(self) -> None:
        from extractors.clip3d.network import pretrained

        pretrained(self.network, Path(self.weights))

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        """Load ``weights``, which must be a path."""
        from extractors.clip3d.network import feature_extractor

        network = feature_extractor(self.network, Path(self.weights), device)
        return NetworkExtraction(partial(_prepare, self), network, partial(described, self.dtype))


def shown_at(blocks: "Iterable[Block]", rate_fps: float) -> Iterator[tuple[int, np.ndarray]]:
    """Look at a video at equal distances in time, from its first frame on.

    Parameters
    ----------
    blocks : iterable of Block
        All of it.
    rate_fps : float
        Looks a second.

    Yields
    ------
    number : int
        Number of the frame that is shown then, which rises or stays.
    frame : ndarray of uint8, shape (height, width, 3)
    """
    held: tuple[int, np.ndarray] | None = None
    first = end = 0.0
    looks = 0
    for block in blocks:
        for place, time in enumerate(block.times.tolist()):
            if held is None:
                first = time
            else:
                while first + looks / rate_fps < time - _TIME_TOLERANCE_S:
                    yield held
                    looks += 1
            held, end = (block.start + place, block.frames[place]), block.end
    while held is not None and first + looks / rate_fps < end - _TIME_TOLERANCE_S:
        yield held
        looks += 1


def _prepare(config: Clip3D, clip: Clip) -> Iterator[Prepared]:
    from extractors.clip3d.network import prepared, preprocessing
    from pipeline.video.sampling import windows

    reader, numbers = ClipReader(clip), list[int]()

    def looked_at() -> Iterator[np.ndarray]:
        for number, frame in shown_at(reader.blocks(), config.rate_fps):
            numbers.append(number)
            yield frame

    prepare = partial(prepared, preprocessing(config.network))
    cut = windowed(looked_at(), config.window_frames, config.stride_frames, prepare)
    yield from stacks(cut, max(1, _FRAMES_AT_ONCE // config.window_frames))
    if len(numbers) < config.window_frames:
        raise UnusableVideo(
            f"{reader.length} frames, at which {config.rate_fps:g} looks a second are {len(numbers)}; a window needs "
            f"{config.window_frames}: window_frames may be fewer, or rate_fps more",
            reader.length,
        )
    starts = windows(len(numbers), config.window_frames, config.stride_frames)
    frames = np.array(numbers, np.int64)
    spans = reader.clock.spans(frames[starts], frames[starts + config.window_frames - 1])
    yield Row({"start_frames": frames[starts], **spans}, reader.attributes)
