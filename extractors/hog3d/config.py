"""Configurations of HOG3D: dense histograms of spatio-temporal gradients, and their principal components."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from extractors.base import Clip, Extract, Extractor, Row
from extractors.clip_reader import ClipReader
from extractors.fitted_pca import FittedProjection, sample
from extractors.hog3d.grid import Descriptor, Grid
from pipeline.config import Count, Seed
from pipeline.files.temporary_array import TemporaryArray
from pipeline.pca.config import PCA

if TYPE_CHECKING:
    from torch import Tensor

    from extractors.hog3d.dense import Dense
    from extractors.hog3d.projection import Projections

_BLOCK_FRAMES = 32


class HOG3DRows(Extractor):
    """Dense HOG3D descriptors of every frame position, or of a sample of them.

    Raises
    ------
    UnusableVideo
        Where a clip has fewer frames than a box and one more (17 with the defaults), or is smaller than the smallest
        box.

    Notes
    -----
    A row holds

    - ``features`` (time, boxes·dims), float16: descriptors of the boxes scale by scale, and row by row of the grid; a
      box with hardly any gradient in it is 0 throughout;
    - ``start_frames`` (time,), int64: the first frame of each position's boxes;
    - ``times`` and ``ends`` (time,), float64: when the frames that a position is computed from begin and end, in
      seconds.

    Memory does not grow with the clip: what is computed lies in a temporary file, and what is held besides are the
    frames and cells of one box's duration and of a block of 32 frames, and descriptors of 4 million numbers at most.

    References
    ----------
    Kläser, Marszałek, Schmid, *A Spatio-Temporal Descriptor Based on 3D-Gradients* (BMVC 2008).
    """

    name: Literal["hog3d_raw"] = "hog3d_raw"
    uses_gpu: ClassVar[bool] = True

    descriptor: Descriptor = Field(Descriptor(), description="histograms that describe a box")
    grid: Grid = Field(Grid(), description="places and sizes of the boxes")
    sampled_frames: Count | None = Field(
        None, description="number of positions that are drawn at random from a clip; None takes all"
    )
    seed: Seed = Field(0, description="seed of that draw, which otherwise depends on the number of positions alone")

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        from extractors.hog3d.dense import Dense

        return partial(_raw, self, Dense(self.descriptor, self.grid, device))


class HOG3D(Extractor):
    """Dense HOG3D descriptors reduced by PCA: the input of the dRNN.

    Raises
    ------
    UnusableVideo
        Where ``hog3d_raw`` raises it, or where frames have another size than those of training.

    Notes
    -----
    A row holds

    - ``features`` (time, dims), float32: principal components of all descriptors of a position; without ``keep_raw``
      ``features-<fold name>`` for each fold;
    - ``start_frames`` (time,), int64: the first frame of each position's boxes;
    - ``times`` and ``ends`` (time,), float64: when the frames that a position is computed from begin and end, in
      seconds.

    PCA is fitted to positions of each training video that are drawn at random. Without ``keep_raw`` a video is
    computed twice, however many folds there are: once for the samples, and once projected for all folds. With it, all
    raw rows are kept and projected fold by fold. Memory is bounded as for ``hog3d_raw``, except with ``keep_raw``,
    where the raw rows of a clip are read whole.

    References
    ----------
    Veeriah, Zhuang, Qi, *Differential Recurrent Neural Networks for Action Recognition* (ICCV 2015), experiments on
    KTH.
    """

    name: Literal["hog3d"] = "hog3d"
    uses_gpu: ClassVar[bool] = True

    descriptor: Descriptor = Field(Descriptor(), description="histograms that describe a box")
    grid: Grid = Field(Grid(), description="places and sizes of the boxes")
    dims: Count = Field(450, description="number of principal components")
    sampled_frames: Count = Field(32, description="number of positions of each training video that PCA is fitted to")
    seed: Seed = Field(0, description="seed of the draw of these positions")
    keep_raw: bool = Field(False, description="store the raw descriptors, too: 112 kB a frame of 160×120 pixels")

    @property
    def upstream(self) -> HOG3DRows | None:
        return HOG3DRows(descriptor=self.descriptor, grid=self.grid) if self.keep_raw else None

    @property
    def fitted(self) -> FittedProjection:
        return FittedProjection(pca=PCA(dims=self.dims), sampled_frames=self.sampled_frames, seed=self.seed)

    @property
    def fitted_on(self) -> HOG3DRows:
        return self.upstream or HOG3DRows(
            descriptor=self.descriptor, grid=self.grid, sampled_frames=self.sampled_frames, seed=self.seed
        )

    @property
    def serves_all_folds(self) -> bool:
        return not self.keep_raw

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        from extractors.hog3d.dense import Dense
        from extractors.hog3d.projection import Projections

        projections = Projections(states, device)
        if self.keep_raw:
            return partial(_projected_rows, projections)
        return partial(_projected, self, Dense(self.descriptor, self.grid, device), projections)


def _grey(clip: Clip) -> ClipReader:
    """Return a reader of the clip's grey frames in blocks of 32."""
    return ClipReader(clip, colour="grey", block_frames=_BLOCK_FRAMES)


def _blocks(reader: ClipReader) -> Iterator[np.ndarray]:
    """Read blocks of grey frames, uint8 (time, height, width)."""
    return (block.frames for block in reader.blocks())


def _raw(config: HOG3DRows, dense: "Dense", clip: Clip) -> Iterator[Row]:
    from pipeline.video.sampling import windows

    reader, chosen = _grey(clip), None
    if config.sampled_frames is not None:
        positions = len(windows(sum(map(len, _blocks(_grey(clip)))), dense.reach_frames, config.grid.stride_frames))
        chosen = sample(positions, config.sampled_frames, config.seed)
    starts, features = _spooled((starts, part.half()) for starts, part in dense(_blocks(reader), chosen))
    yield Row({"features": features, **_placed(starts, dense, reader)}, reader.attributes)


def _projected(config: HOG3D, dense: "Dense", projections: "Projections", clip: Clip) -> Iterator[Row]:
    reader = _grey(clip)
    starts, features = _spooled((starts, projections(part)) for starts, part in dense(_blocks(reader)))
    folds = {config.array("features", fold): features[:, number] for number, fold in enumerate(projections.folds)}
    yield Row({**folds, **_placed(starts, dense, reader)}, reader.attributes)


def _placed(starts: np.ndarray, dense: "Dense", reader: ClipReader) -> dict[str, np.ndarray]:
    """Return the arrays that say where positions lie in a clip that has been read."""
    return {"start_frames": starts, **reader.clock.spans(starts, starts + dense.reach_frames - 1)}


def _projected_rows(projections: "Projections", rows: Sequence[Row]) -> Iterator[Row]:
    for row in rows:
        features = projections.of_rows(row.arrays["features"])[:, 0]
        yield Row({**row.arrays, "features": features}, dict(row.attributes))


def _spooled(pieces: "Iterable[tuple[np.ndarray, Tensor]]") -> tuple[np.ndarray, np.ndarray]:
    """Gather all first frames (time,), and all features in a temporary file that vanishes with the array."""
    starts, gathered = [], TemporaryArray()
    for some, part in pieces:
        starts.append(some)
        features = part.cpu().numpy()
        gathered.write(features.data)
    return np.concatenate(starts), gathered.mapped(features.dtype).reshape(-1, *features.shape[1:])
