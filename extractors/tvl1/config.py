"""Configuration of TV-L1 optical flow, which is stored as pictures for flow streams."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

import numpy as np
from pydantic import Field, model_validator

from extractors.base import Clip, Extract, Extractor, Row
from extractors.clip_reader import ClipReader
from extractors.frames import scaled
from extractors.pictures import Buffer, Encoding, Spool
from extractors.tvl1.precomputed import check_pattern
from pipeline.config import Count, Few, NonNegative, Size, WithoutAdded
from pipeline.errors import UnusableVideo

if TYPE_CHECKING:
    from extractors.tvl1.pyramid import Parameters


class Backend(Protocol):
    """Computes flow with the parameters of a ``TVL1``, on one kind of device."""

    def __call__(self, pairs: np.ndarray) -> np.ndarray:
        """Compute flow.

        Parameters
        ----------
        pairs : ndarray of uint8, shape (n, 2, height, width)
            Pairs of grey images.

        Returns
        -------
        ndarray of float32, shape (n, 2, height, width)
            x and y in pixels. The rest of a batch changes no bit of a pair's flow.
        """

    def pairs_at_once(self, height: int, width: int) -> int:
        """Return a good size of a batch of pairs."""


class TVL1(WithoutAdded, Extractor):
    """TV-L1 optical flow between consecutive frames, computed or as pictures of it lie ready, stored as grey pictures.

    Raises
    ------
    UnusableVideo
        Where a clip has only one frame, or flow lies ready and does not fit it, or the clip is a file then.

    Notes
    -----
    A row holds

    - the pictures ``x`` and ``y``, grey, in the layout of ``extractors.pictures``: v pixels to the right or down are
      stored as round((v + bound) · 255 / (2 · bound)), and values beyond the bound as the bound;
    - ``start_frames`` (flows,), int64: the first frame of each pair;
    - ``times`` and ``ends`` (flows,), float64: when each pair begins and ends, in seconds;

    and the attributes ``quantisation_error_px``, the mean distance in pixels between computed and stored components
    before they are encoded, and ``clipped_share``, the share of components beyond the bound.

    Flow is computed from every ``stride_frames``-th frame of the clip to the next frame: N frames give
    ⌈(N − 1) / stride⌉ flows. Frames are grey, 0 to 255, as OpenCV converts RGB, and are scaled first, by default to the
    size of Wang et al. (ECCV 2016, section 3.2). Memory does not grow with the video.

    ``semantics`` decides what the paper leaves open, as OpenCV's two implementations do. "opencv-cpu": per warp up to
    10 median filters of 5×5, each followed by up to 30 iterations; bicubic interpolation with a = −3/4, 0 outside the
    image. "opencv-cuda": up to 300 iterations, no filter, a = −1/2, the border replicated outside the image; scales
    aligned at their first pixel; after an iteration that changed much, convergence is not checked for some. Places are
    exact, as in OpenCV 5; version 4 rounds them to 1/32 pixel on the CPU.

    With ``precomputed`` no flow is computed: the pictures that it names are taken, as denseflow, TSN's tool or
    MMAction2 left them. Then ``bound_px`` must be the bound that they were quantised with, and ``size_px`` is None
    unless it is set: pictures are scaled as TSN scales flow, its vectors as they are. ``extractors.tvl1.precomputed``
    says how pictures and frames belong together. The row has the attribute ``precomputed``, 1, and, as nobody knows
    them any more, neither ``quantisation_error_px`` nor ``clipped_share``. Where the pictures lie enters no
    fingerprint, but their content does. Pictures are decoded and encoded again. That JPEG of quality 95 was kept before
    costs up to 0.23 levels on average; JPEG of quality 95 again, the default, moves them by 0.01 to 0.1 more, by
    2 at most where it was measured; "png" and "raw" move none.

    References
    ----------
    Zach, Pock and Bischof, *A Duality Based Approach for Realtime TV-L1 Optical Flow* (DAGM 2007).
    Wang et al., *Temporal Segment Networks* (ECCV 2016), section 3.2.
    """

    name: Literal["tvl1"] = "tvl1"
    added: ClassVar[frozenset[str]] = frozenset({"precomputed"})

    tau: float = Field(0.25, gt=0, le=1, description="time step of the dual field")
    attachment: float = Field(
        0.15, gt=0, le=100, description="weight λ of the data term: the smaller, the smoother the flow"
    )
    theta: float = Field(
        0.3,
        ge=0.001,
        le=100,
        description="coupling θ of the two flows that are updated in turn: the smaller, the closer they are",
    )
    scales: Few = Field(5, description="number of scales of the pyramid, as far as both sides have 16 pixels")
    scale_step: float = Field(0.8, gt=0, lt=1, description="size of a scale relative to the next finer one")
    warps: Few = Field(5, description="number of warps of the second image at each scale")
    epsilon: NonNegative = Field(
        0.01, description="root mean square change in pixels that ends the iterations of a warp"
    )
    semantics: Literal["opencv-cpu", "opencv-cuda"] = Field(
        "opencv-cpu", description="implementation whose decisions are taken where the paper leaves them open"
    )

    size_px: tuple[Size, Size] | None = Field(
        (340, 256), description="width and height in pixels that frames are scaled to; None keeps the video's own"
    )
    stride_frames: Count = Field(1, description="frames between the first frames of two pairs")
    bound_px: float = Field(20, ge=0.1, le=1000, description="largest component that is stored, in pixels")
    encoding: Encoding = Field("jpeg", description="format of the stored pictures")
    quality: int = Field(95, ge=1, le=100, description="quality of JPEG")
    precomputed: str | None = Field(
        None,
        description="pictures of flow that are taken instead of computing it, from the clip's folder, such as "
        '"flow_{x,y}_*.jpg", "{u,v}/*.jpg" or "/data/flow/{u,v}/{clip}/frame*.jpg": * is the number, {clip} the name '
        "of the clip's folder, {parent} that of the one in which it lies; bound_px must be stated; None computes flow",
    )

    @model_validator(mode="before")
    @classmethod
    def _own_size_of_pictures(cls, table: Any) -> Any:
        """Leave pictures that lie ready at their size, unless the table says another."""
        ready = isinstance(table, Mapping) and table.get("precomputed") is not None
        return {"size_px": None, **table} if ready else table

    @model_validator(mode="after")
    def _what_lies_ready_is_not_computed(self) -> Self:
        if self.precomputed is None:
            return self
        check_pattern(self.precomputed)
        if "bound_px" not in self.model_fields_set:
            raise ValueError(
                "with precomputed state bound_px, the bound that the pictures were quantised with: often 20"
            )
        defaults = {name: field.default for name, field in type(self).model_fields.items() if name in _ALGORITHM}
        if in_vain := [name for name, default in defaults.items() if getattr(self, name) != default]:
            raise ValueError(f"precomputed flow is not computed: leave out {', '.join(in_vain)}")
        return self

    @property
    def uses_gpu(self) -> bool:  # type: ignore[override]
        """True where flow is computed."""
        return self.precomputed is None

    @property
    def flow_pictures(self) -> str | None:
        return self.precomputed

    def significant(self, digest: Callable[[str], str]) -> dict[str, Any]:
        """Return what enters a fingerprint: of flow that lies ready, wherever, no algorithm."""
        fields = super().significant(digest)
        if self.precomputed is None:
            return fields
        return {name: value for name, value in fields.items() if name not in _ALGORITHM} | {"precomputed": True}

    @property
    def gives(self) -> frozenset[str]:
        return frozenset()

    @property
    def parameters(self) -> "Parameters":
        """Fields that are parameters of the algorithm, as the backends take them."""
        from extractors.tvl1.pyramid import Parameters

        return Parameters(**self.model_dump(include=set(Parameters._fields)))

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        """Prepare the device's backend; CPU and CUDA compute the same up to rounding."""
        if self.precomputed is not None:
            from extractors.tvl1.precomputed import taken

            spools = partial(_spools, self)
            return partial(taken, self.precomputed, self.size_px, self.stride_frames, spools)
        if device == "cpu":
            from extractors.tvl1.cpu import CPUFlow

            return partial(_extract, self, CPUFlow(self.parameters))
        from extractors.tvl1.cuda import CUDAFlow

        return partial(_extract, self, CUDAFlow(self.parameters, device))


_ALGORITHM = frozenset({"tau", "attachment", "theta", "scales", "scale_step", "warps", "epsilon", "semantics"})
"""Fields that say how flow is computed."""


def _spools(config: TVL1) -> list[Spool]:
    return [Spool(name, config.encoding, config.quality) for name in "xy"]


def quantised(flow: np.ndarray, bound_px: float) -> np.ndarray:
    """Quantise flow to 8 bits, by the convention of Wang et al. (ECCV 2016).

    Parameters
    ----------
    flow : ndarray of float
        Components in pixels, of any shape.
    bound_px : float
        Largest component in pixels; values beyond it are clipped.

    Returns
    -------
    ndarray of uint8

    Examples
    --------
    >>> quantised(np.array([-30.0, -20.0, 0.0, 10.0, 20.0]), 20)
    array([  0,   0, 128, 191, 255], dtype=uint8)
    """
    levels = (flow.clip(-bound_px, bound_px) + bound_px) * (255 / (2 * bound_px))
    return np.rint(levels).astype(np.uint8)


def pixels(stored: np.ndarray, bound_px: float) -> np.ndarray:
    """Return the flow in pixels, float32, of quantised components.

    No flow is stored as 128, which becomes bound_px / 255 pixels.

    Examples
    --------
    >>> pixels(np.array([0, 128, 255], np.uint8), 20).round(3).tolist()
    [-20.0, 0.07800000160932541, 20.0]
    """
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
    arrays = flows.arrays()
    starts = arrays["start_frames"]
    yield Row({**arrays, **reader.clock.spans(starts, starts + 1)}, {**reader.attributes, **flows.attributes()})


class _Flows:
    """Collects pairs of frames, computes their flow batch by batch, and makes a row of it."""

    def __init__(self, config: TVL1, backend: Backend) -> None:
        self.config, self.backend = config, backend
        self.spools = _spools(config)
        self.pairs: list[tuple[np.ndarray, np.ndarray]] = []
        self.error_px = self.clipped = 0.0

    def add(self, first: np.ndarray, second: np.ndarray) -> None:
        """Add a pair of grey images (height, width) uint8."""
        self.pairs.append((first, second))
        if len(self.pairs) == self.backend.pairs_at_once(*first.shape):
            self._flush()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of the row, once all pairs have been added."""
        self._flush()
        starts = np.arange(len(self.spools[0]), dtype=np.int64) * self.config.stride_frames
        x, y = (spool.arrays() for spool in self.spools)
        return {**x, **y, "start_frames": starts}

    def attributes(self) -> dict[str, float]:
        """Return what quantisation has lost: means over all components of all flows."""
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
        """Encode one flow: its pictures, the mean error of its components, and the share of them beyond the bound."""
        bound_px = self.config.bound_px
        stored = quantised(flow, bound_px)
        error_px = np.abs(flow - pixels(stored, bound_px)).mean(dtype=np.float64)
        encoded = [spool.encoded(component) for spool, component in zip(self.spools, stored, strict=True)]
        return encoded, float(error_px), float((np.abs(flow) > bound_px).mean())
