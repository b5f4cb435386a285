"""TV-L1 optical flow as pictures: what a flow stream is computed from."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np
from pydantic import Field, PositiveInt

from extractors.base import Clip, Extract, Extractor, Row
from extractors.clip_reader import ClipReader
from extractors.frames import scaled
from extractors.pictures import Buffer, Encoding, Spool
from pipeline.errors import UnusableVideo

if TYPE_CHECKING:
    from extractors.tvl1.pyramid import Parameters


class Backend(Protocol):
    """Computes flow by a configuration of ``TVL1``."""

    def __call__(self, pairs: np.ndarray) -> np.ndarray:
        """Grey images (n, 2, height, width) uint8 -> flow (n, 2, height, width) float32, x and y in pixels.

        What is in a batch changes no bit.
        """

    def pairs_at_once(self, height: int, width: int) -> int:
        """How many pairs are a good batch."""


class TVL1(Extractor):
    """TV-L1 flow: Zach, Pock and Bischof, *A Duality Based Approach for Realtime TV-L1 Optical Flow* (DAGM 2007).

    Every ``stride_frames``-th frame of the clip gives the flow to its next: N frames give ⌈(N − 1) / stride⌉. Frames
    are grey, 0 to 255, as OpenCV converts RGB, and scaled first, to the size of Wang et al. (ECCV 2016, section 3.2).

    ``semantics``: what the paper leaves open, as OpenCV's two implementations have it. "opencv-cpu": per warp up to 10
    median filters of 5×5, each with up to 30 iterations; bicubic interpolation with a = −3/4, 0 outside the image.
    "opencv-cuda": up to 300 iterations, no filter, a = −1/2, the border goes on outside; scales aligned at their first
    pixel; and after an iteration that changed much, some follow without a look at the change. Places are exact, as in
    OpenCV 5; version 4 rounds them to 1/32 pixel on the CPU.

    A row holds the pictures ``x`` and ``y``, grey, in the layout of ``extractors.pictures``, and ``start_frames
    (flows,)``, the first frame of each pair. v pixels to the right or down are stored as round((v + bound) · 255 /
    (2 · bound)), what is beyond the bound as the bound. Attributes ``quantisation_error_px``, the mean distance between
    computed and stored components before they are encoded, and ``clipped_share``, the share of components beyond the
    bound. Memory does not grow with the video.

    Raises UnusableVideo where a clip has but one frame.
    """

    name: Literal["tvl1"] = "tvl1"
    uses_gpu: ClassVar[bool] = True

    tau: float = Field(0.25, gt=0, le=1, description="time step of the dual field")
    attachment: float = Field(0.15, gt=0, le=100, description="λ of the paper: the smaller, the smoother the flow")
    theta: float = Field(0.3, ge=0.001, le=100, description="the smaller, the closer are the two flows that take turns")
    scales: PositiveInt = Field(5, description="of the pyramid, as far as both sides have 16 pixels")
    scale_step: float = Field(0.8, gt=0, lt=1, description="size of a scale by the next finer one")
    warps: PositiveInt = Field(5, description="of the second image, per scale")
    epsilon: float = Field(0.01, ge=0, description="pixels: the root mean square change that ends the iterations")
    semantics: Literal["opencv-cpu", "opencv-cuda"] = "opencv-cpu"

    size_px: tuple[PositiveInt, PositiveInt] | None = Field(
        (340, 256), description="width and height that frames are scaled to; None keeps the video's own"
    )
    stride_frames: PositiveInt = 1
    bound_px: float = Field(20, ge=0.1, le=1000, description="largest component that is stored")
    encoding: Encoding = "jpeg"
    quality: int = Field(95, ge=1, le=100, description="of JPEG")

    @property
    def parameters(self) -> "Parameters":
        """The numbers of the algorithm among the fields."""
        from extractors.tvl1.pyramid import Parameters

        return Parameters(**self.model_dump(include=set(Parameters._fields)))

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        """Both devices compute the same up to rounding."""
        if device == "cpu":
            from extractors.tvl1.cpu import CPUFlow

            return partial(_extract, self, CPUFlow(self.parameters))
        from extractors.tvl1.cuda import CUDAFlow

        return partial(_extract, self, CUDAFlow(self.parameters, device))


def quantised(flow: np.ndarray, bound_px: float) -> np.ndarray:
    """Flow in pixels as uint8, what is beyond ±bound_px as the bound: the convention of Wang et al. (ECCV 2016)."""
    levels = (flow.clip(-bound_px, bound_px) + bound_px) * (255 / (2 * bound_px))
    return np.rint(levels).astype(np.uint8)


def pixels(stored: np.ndarray, bound_px: float) -> np.ndarray:
    """Flow float32 in pixels from what is stored. No flow is stored as 128, which is bound_px / 255 pixels."""
    return stored * np.float32(2 * bound_px / 255) - np.float32(bound_px)


def _extract(config: TVL1, backend: Backend, clip: Clip) -> Iterator[Row]:
    reader, flows, first = ClipReader(clip, colour="grey"), _Flows(config, backend), None
    for number, frame in enumerate(reader.frames()):
        due = number % config.stride_frames == 0
        sized = scaled(frame, None, config.size_px) if due or first is not None else None
        if first is not None and sized is not None:
            flows.add(first, sized)
        first = sized if due else None
    if reader.length < 2:
        raise UnusableVideo("1 frame; optical flow needs 2", reader.length)
    yield Row(flows.arrays(), {**reader.attributes, **flows.attributes()})


class _Flows:
    """Pairs of frames on their way into a row, some at once."""

    def __init__(self, config: TVL1, backend: Backend) -> None:
        self.config, self.backend = config, backend
        self.spools = [Spool(name, config.encoding, config.quality) for name in "xy"]
        self.pairs: list[tuple[np.ndarray, np.ndarray]] = []
        self.error_px = self.clipped = 0.0

    def add(self, first: np.ndarray, second: np.ndarray) -> None:
        """One more pair of uint8 images (height, width)."""
        self.pairs.append((first, second))
        if len(self.pairs) == self.backend.pairs_at_once(*first.shape):
            self._flush()

    def arrays(self) -> dict[str, np.ndarray]:
        """Of the row, when all pairs are there."""
        self._flush()
        starts = np.arange(len(self.spools[0]), dtype=np.int64) * self.config.stride_frames
        x, y = (spool.arrays() for spool in self.spools)
        return {**x, **y, "start_frames": starts}

    def attributes(self) -> dict[str, float]:
        """What the flow lost when it became integers: means over all components of all flows."""
        flows = len(self.spools[0])
        return {"quantisation_error_px": self.error_px / flows, "clipped_share": self.clipped / flows}

    def _flush(self) -> None:
        if not self.pairs:
            return
        import cv2

        flows = self.backend(np.array(self.pairs))
        self.pairs.clear()
        with ThreadPoolExecutor(max(1, cv2.getNumThreads())) as pool:
            for encoded, error_px, clipped in pool.map(self._encoded, flows):
                for spool, content in zip(self.spools, encoded, strict=True):
                    spool.write(content)
                self.error_px += error_px
                self.clipped += clipped

    def _encoded(self, flow: np.ndarray) -> tuple[list[Buffer], float, float]:
        """Of one flow: the pictures' bytes, the mean error of its components, and the share that is out of bounds."""
        bound_px = self.config.bound_px
        stored = quantised(flow, bound_px)
        error_px = np.abs(flow - pixels(stored, bound_px)).mean(dtype=np.float64)
        encoded = [spool.encoded(component) for spool, component in zip(self.spools, stored, strict=True)]
        return encoded, float(error_px), float((np.abs(flow) > bound_px).mean())
