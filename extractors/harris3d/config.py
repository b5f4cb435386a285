"""Configuration of Harris3D: space-time interest points, each described by the optical flow around it."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from extractors.base import Clip, Extract, Extractor, Row
from extractors.clip_reader import ClipReader
from pipeline.config import NonNegative
from pipeline.errors import UnusableVideo

if TYPE_CHECKING:
    from pipeline.video.decode import Block, Image

Scale = Annotated[float, Field(ge=0.5, le=1000)]  # what is narrower is no Gaussian once it is sampled

_STRIDE_FRAMES = 32  # searched at once


class Harris3D(Extractor):
    """Space-time interest points (Harris3D), each described by a histogram of the optical flow around it (HOF).

    Raises
    ------
    UnusableVideo
        Where a clip is too short or too small for the finest scale, or has no point.

    Notes
    -----
    A row holds, ordered by frame, y, x, σ and τ,

    - ``features`` (points, 90), float32: the HOF of 3 × 3 × 2 cells over 18σ × 18σ × 8τ around each point;
    - ``points`` (points, 5), float32: x and y in pixels, frame, σ in pixels, τ in frames;
    - ``start_frames`` (points,), int64: each point's frame;
    - ``times`` and ``ends`` (points,), float64: when that is shown, in seconds.

    Points are local maxima in space and time of H = det μ − k · trace³ μ, where μ is the second-moment matrix of
    scale-normalised gradients of intensities 0 to 1, averaged with s = 2 times the variances of the scale. The six
    spatial and two temporal scales are standard deviations: their squares, 4 to 128 pixels² and 2 and 4 frames², are
    the ``sigma2`` and ``tau2`` that the authors' program prints. No pixel is invented at a border: a scale has
    points from 3σ + 2 pixels inside the frame and 3τ + 2 frames inside the clip, and none in a clip too small for it.

    The number of points depends on the clip, thousands where much moves. They are meant for a model that takes one
    descriptor a step (Baccouche et al., HBU 2011, section 4), whose field ``steps`` picks them evenly.

    Memory is bounded whatever the length: below 5 kB a pixel of a frame, besides the row.

    References
    ----------
    Laptev, *On Space-Time Interest Points* (IJCV 2005), section 2.
    Laptev et al., *Learning Realistic Human Actions from Movies* (CVPR 2008), section 3.1.
    Wang et al., *Evaluation of Local Spatio-temporal Features for Action Recognition* (BMVC 2009), section 2.
    """

    name: Literal["harris3d"] = "harris3d"

    sigmas: tuple[Scale, ...] = Field(
        tuple(2 ** ((1 + i) / 2) for i in range(1, 7)), min_length=1, description="spatial scales σ in pixels"
    )
    taus: tuple[Scale, ...] = Field(
        tuple(2 ** (j / 2) for j in range(1, 3)), min_length=1, description="temporal scales τ in frames"
    )
    k: NonNegative = Field(5e-4, description="factor k of H: the higher, the more alike the three eigenvalues must be")
    threshold: NonNegative = Field(1e-9, description="value that H exceeds at a point")

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        """Prepare to run on the CPU, whatever the device."""
        import extractors.harris3d.hof  # noqa: F401

        return partial(_extract, self)


class Window(NamedTuple):
    """Consecutive frames of a clip, and those among them whose points this window is to find.

    Parameters
    ----------
    frames : ndarray of uint8, shape (time, height, width)
        Grey.
    first : int
        Index in the clip of the first frame.
    kept : range
        Frames, counted within the window, that no other window keeps.
    """

    frames: "Image"
    first: int
    kept: range


def _extract(config: Harris3D, clip: Clip) -> Iterator[Row]:
    from extractors.harris3d.hof import FlowHistograms
    from extractors.harris3d.interest_points import halo_frames, interest_points

    parameters = config.model_dump(include={"sigmas", "taus", "k", "threshold"})
    describe = FlowHistograms()
    points, features = [], []
    reader = ClipReader(clip, colour="grey")
    for window in _windows(reader.blocks(), halo_frames(max(config.taus))):
        found = interest_points(window.frames, window.kept, **parameters)
        found[:, 2] += window.first
        points.append(found)
        features.append(describe(window.frames, window.first, found))
    arrays = {"features": np.concatenate(features), "points": np.concatenate(points)}
    if not len(arrays["points"]):
        raise UnusableVideo(_reason(config, reader.length, *window.frames.shape[1:]), reader.length)
    frames = arrays["points"][:, 2].astype(np.int64)
    yield Row({**arrays, "start_frames": frames, **reader.clock.spans(frames, frames)}, reader.attributes)


def _reason(config: Harris3D, frames: int, height: int, width: int) -> str:
    """Say why a clip has no points."""
    from extractors.harris3d.interest_points import min_length

    needed_frames, needed_pixels = min_length(min(config.taus)), min_length(min(config.sigmas))
    if frames < needed_frames:
        return f"{frames} frames; at least {needed_frames} are needed"
    if min(height, width) < needed_pixels:
        return f"{width}x{height} pixels; at least {needed_pixels} either way are needed"
    return f"{frames} frames without an interest point above {config.threshold:g}: a lower threshold finds weaker ones"


def _windows(blocks: "Iterable[Block]", halo: int) -> Iterator[Window]:
    """Yield windows that together keep each frame once, with ``halo`` more on either side, fewer at the clip's ends."""
    held: list[Image] = []
    first = done = 0
    for block in blocks:
        held.extend(block.frames)
        while first + len(held) >= done + _STRIDE_FRAMES + halo:
            stop = done + _STRIDE_FRAMES
            within = np.stack(held[: stop + halo - first])
            yield Window(within, first, range(done - first, stop - first))
            done = stop
            dropped = max(0, done - halo - first)
            first, held = first + dropped, held[dropped:]
    yield Window(np.stack(held), first, range(done - first, len(held)))
