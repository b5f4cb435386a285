"""Improved dense trajectories, and one Fisher vector a video of them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from extractors.base import Clip, Extraction, Extractor, FittedNetwork, Labelled, Row
from extractors.fitted_pca import sample
from pipeline.errors import UnusableVideo

if TYPE_CHECKING:
    import torch

    from extractors.networks.fisher import FisherVectors
    from pipeline.fit import Curves
    from pipeline.video import Image

BINS = {"hog": 8, "hof": 9, "mbh_x": 8, "mbh_y": 8}
"""Of a cell, for each descriptor; HOF's last is for what stands still."""


class Trajectories(Extractor):
    """Improved dense trajectories: Wang and Schmid (ICCV 2013); Wang et al. (IJCV 2013).

    Points on a grid are tracked by optical flow at several scales, and described along their way by what the flow is
    without the camera's motion. What stands still then is dropped, and so is what moves as no body does.

    A row holds, in the order in which trajectories end, and scale by scale: ``features (trajectories, dim)`` float16,
    with the default fields 426 numbers as the authors' program writes them: shape 30, HOG 96, HOF 108, MBH in x 96 and
    in y 96, each third of a descriptor the mean over its five frames; ``start_frames`` and ``end_frames
    (trajectories,)``, of the first and the last point; and ``places (trajectories, 6)`` float32 of mean x, mean y,
    deviation of x and of y, and length, in pixels of the frame as it was tracked, and scale. How many there are depends
    on the clip's frame rate, its attribute ``fps``, as well; a clip in which nothing moves has none.

    On a clip of KTH there are 2,005 for the 2,001 of the authors' program, of which 99.7 % are found again to a tenth
    of a pixel (half of them to 1e-5), with descriptors whose median cosine is 0.99998. Tracks and HOG are the same;
    what differs is where RANSAC finds the camera.

    Raises UnusableVideo where a clip has fewer frames than a trajectory has points, which is 16, or frames smaller than
    a patch.
    """

    name: Literal["trajectories"] = "trajectories"

    length_frames: PositiveInt = Field(15, description="steps of a trajectory")
    stride_px: PositiveInt = Field(5, description="between points that begin, in pixels of each scale")
    scales: PositiveInt = Field(8, description="at most, each √2 smaller, while the shorter side is that of a patch")
    patch_px: PositiveInt = Field(32, description="side of the square that is described around a point")
    cells_xy: PositiveInt = Field(2, description="along each side of a patch")
    cells_t: PositiveInt = Field(3, description="along a trajectory")
    camera_motion: bool = Field(True, description="take the camera's motion out of the flow")
    size_px: tuple[PositiveInt, PositiveInt] | None = Field(None, description="resize to (width, height) first")

    @model_validator(mode="after")
    def _cells_divide(self) -> Self:
        if self.length_frames % self.cells_t:
            raise ValueError(f"length_frames = {self.length_frames} must be a multiple of cells_t = {self.cells_t}")
        if self.patch_px % self.cells_xy:
            raise ValueError(f"patch_px = {self.patch_px} must be a multiple of cells_xy = {self.cells_xy}")
        return self

    @property
    def patch_dims(self) -> int:
        """Of what describes a patch of one frame."""
        return self.cells_xy**2 * sum(BINS.values())

    @property
    def widths(self) -> tuple[int, ...]:
        """Of what lies side by side in ``features``: shape, and the descriptors of ``BINS``."""
        return 2 * self.length_frames, *(self.cells_t * self.cells_xy**2 * bins for bins in BINS.values())

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """(height, width) of the scales; none for a frame smaller than a patch."""
        factors = [2 ** (step / 2) for step in range(self.scales)]
        kept = [factor for factor in factors if min(height, width) >= self.patch_px * factor]
        return [(round(height / factor), round(width / factor)) for factor in kept]

    def build(self, device: str, states: Mapping[str, Path] = {}) -> Extraction:
        """Runs on the CPU whatever the device."""
        import extractors.networks.trajectories  # noqa: F401

        return partial(_tracked, self)


class FisherVocabulary(FittedNetwork):
    """What Fisher vectors are encoded with: of each descriptor half as many principal components, and a mixture.

    Fitted to as many features of every training row, drawn at random, or all where it has fewer. A fit that was killed
    begins anew.
    """

    widths: tuple[PositiveInt, ...] = Field(description="of the descriptors, which lie side by side in ``features``")
    gaussians: PositiveInt
    sampled: PositiveInt = Field(description="features of all rows together, at the most")

    def train(self, material: Labelled, *, device: str, checkpoint: Path) -> "tuple[dict[str, torch.Tensor], Curves]":
        """The state of ``FisherVectors``; there is nothing to draw as curves.

        Raises InputError where there are fewer features than Gaussians, or than components and one.
        """
        import torch

        from extractors.networks.gaussians import fit_mixture
        from pipeline.fit import Curves
        from pipeline.reducer import PCA, fit_pca, project

        state: dict[str, torch.Tensor] = {}
        features = self._samples(material)
        for number, part in enumerate(np.split(features, np.cumsum(self.widths)[:-1], axis=1)):
            reducer = fit_pca([part.astype(np.float32)], PCA(dims=max(1, part.shape[1] // 2)))
            projected = torch.from_numpy(project(reducer, part.astype(np.float32))).to(device)
            mixture = fit_mixture(
                projected, self.gaussians, self.seed, f"descriptor {number + 1} of {len(self.widths)}"
            )
            state |= {f"{number}.{name}": torch.from_numpy(reducer[name]) for name in ("mean", "components")}
            state |= {f"{number}.{name}": getattr(mixture, name).cpu() for name in ("weights", "means", "variances")}
        return state, Curves()

    def _samples(self, material: Labelled) -> np.ndarray:
        from tqdm import tqdm

        share = -(-self.sampled // max(1, len(material.rows)))
        rows = (row.arrays["features"] for row in tqdm(material.rows, desc="sampling", unit="row", disable=None))
        drawn = [features[sample(len(features), share, self.seed)] for features in rows]
        return np.concatenate([np.empty((0, sum(self.widths)), np.float16), *drawn])[: self.sampled]


class IDT(Extractor):
    """Improved dense trajectories as one Fisher vector a video: Wang and Schmid (ICCV 2013), section 3.2.

    ``features (1, dim)`` float32: of the trajectories' shape, HOG, HOF and both MBH, in this order, one Fisher vector
    each, of length 1 by itself and not normalised again together: 109,056 numbers with the defaults. A video without
    trajectories has 0 throughout. The attribute ``trajectories`` says how many there are.
    """

    name: Literal["idt"] = "idt"

    trajectories: Trajectories = Trajectories()
    gaussians: PositiveInt = 256
    sampled_trajectories: PositiveInt = Field(
        256_000,
        description="to which components and Gaussians are fitted, as many of each training video",
    )
    seed: NonNegativeInt = 0

    @property
    def upstream(self) -> Trajectories:
        return self.trajectories

    @property
    def fitted(self) -> FisherVocabulary:
        return FisherVocabulary(
            widths=self.trajectories.widths,
            gaussians=self.gaussians,
            sampled=self.sampled_trajectories,
            seed=self.seed,
        )

    def build(self, device: str, states: Mapping[str, Path] = {}) -> Extraction:
        """Runs on the CPU whatever the device."""
        from extractors.networks.fisher import FisherVectors
        from pipeline.network_file import load_state

        if len(states) != 1:
            raise ValueError(f"idt needs the file of what was fitted in one fold, not in {len(states)}")
        (state,) = states.values()
        return partial(_encoded, FisherVectors(load_state(state)))


def _tracked(config: Trajectories, clip: Clip | Sequence[Row]) -> Iterator[Row]:
    from extractors.networks.trajectories import trajectories

    if not isinstance(clip, Clip):
        raise TypeError("trajectories are computed from a video file, not from rows")
    grey = _Grey(clip, config)
    parts = [part._replace(features=part.features.astype(np.float16)) for part in trajectories(grey, config)]
    if grey.count <= config.length_frames:
        raise UnusableVideo(f"{grey.count} frames; a trajectory needs {config.length_frames + 1}", grey.count)
    ends = np.repeat([part.frame for part in parts], [len(part.places) for part in parts]).astype(np.int64)
    arrays = {
        "features": np.concatenate([part.features for part in parts]),
        "start_frames": ends - config.length_frames,
        "end_frames": ends,
        "places": np.concatenate([part.places for part in parts]),
    }
    yield Row(arrays, {"fps": grey.fps, "frames": grey.count})


class _Grey:
    """A clip's grey frames, of the configured size, and what is known of it once they have gone by."""

    def __init__(self, clip: Clip, config: Trajectories) -> None:
        self.clip, self.config = clip, config
        self.count, self.fps = 0, 0.0

    def __iter__(self) -> "Iterator[Image]":
        from pipeline.video import decode

        for block in decode(self.clip.path, colour="grey", frames=self.clip.frames):
            self.fps = block.fps
            for frame in block.frames:
                self.count += 1
                yield self._resized(frame)

    def _resized(self, frame: "Image") -> "Image":
        import cv2

        if self.config.size_px:
            frame = np.asarray(cv2.resize(frame, self.config.size_px, interpolation=cv2.INTER_AREA), np.uint8)
        height, width = frame.shape
        if not self.config.sizes(height, width):
            patch = self.config.patch_px
            raise UnusableVideo(f"frames of {width}x{height} pixels; at least {patch}x{patch} are needed", self.count)
        return frame


def _encoded(encode: "FisherVectors", rows: Clip | Sequence[Row]) -> Iterator[Row]:
    if isinstance(rows, Clip):
        raise TypeError("idt reads rows of trajectories, not a file")
    for row in rows:
        features = row.arrays["features"]
        arrays = {"features": encode(features)[None], "start_frames": np.zeros(1, np.int64)}
        yield Row(arrays, {**row.attributes, "trajectories": len(features)})
