"""Computes dense HOG3D of a stream of frames in bounded memory, and only once what neighbouring positions share."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from extractors.hog3d.descriptor import BoxDescriptors, borders
from extractors.hog3d.grid import Descriptor, Grid
from pipeline.errors import UnusableVideo

Borders = tuple[int, ...]
"""Frames at which consecutive parts of a box begin, and the one at which the last ends."""

_SUB_BLOCKS = {"cpu": 2**17, "cuda": 2**22}
"""Sub-blocks that are quantised at once: on a CPU as many as its cache holds."""
_FLOATS = 2**22
"""Numbers in the descriptors that are computed at once."""


class Dense:
    """Computes descriptors of a grid's boxes from frames that arrive block by block.

    Parameters
    ----------
    descriptor : Descriptor
    grid : Grid
    device : str
        "cpu" or "cuda".

    Notes
    -----
    Whatever neighbouring positions in time have in common is computed once: a range of frames that is a sub-block of
    several boxes is quantised once, a slab of such ranges that is a cell of several is summed once.
    """

    def __init__(self, descriptor: Descriptor, grid: Grid, device: str) -> None:
        self.grid = grid
        self.boxes = BoxDescriptors(descriptor, device)
        duration = descriptor.length_frames(grid.tau_frames)
        self.within = borders(np.zeros(1), duration, descriptor.cells_t * descriptor.sub_blocks)[0]
        self.reach_frames = int(self.within[-1]) + 1  # the last difference in time needs one frame more

    def __call__(
        self, blocks: Iterable[np.ndarray], chosen: np.ndarray | None = None
    ) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Compute the features of a clip, piece by piece.

        Parameters
        ----------
        blocks : iterable of ndarray of uint8, shape (time, height, width)
            The clip's grey frames.
        chosen : ndarray of int64, optional
            Numbers of the positions that are wanted; None for all.

        Yields
        ------
        starts : ndarray of int64, shape (n,)
            First frame of each position's boxes.
        features : Tensor of float32, shape (n, boxes·dims)

        Raises
        ------
        UnusableVideo
            Where not one box fits into the clip.

        Notes
        -----
        Memory holds the frames and cells of one box's duration and of one block.
        """
        seen, window = 0, None
        for block in blocks:
            if window is None:
                window = _Window(self, *block.shape[1:])
            known = self._positions(seen)
            seen += len(block)
            numbers = np.arange(known, self._positions(seen))
            if chosen is not None:
                numbers = numbers[np.isin(numbers, chosen)]
            window.add(block)
            for piece in np.split(numbers, range(window.positions, len(numbers), window.positions)):
                if len(piece):
                    yield piece * self.grid.stride_frames, window.describe(piece * self.grid.stride_frames)
            window.forget(self._positions(seen) * self.grid.stride_frames)
        if seen < self.reach_frames:
            raise UnusableVideo(f"{seen} frames; HOG3D needs {self.reach_frames}", seen)

    def _positions(self, frames: int) -> int:
        return max(0, (frames - self.reach_frames) // self.grid.stride_frames + 1)


class Shared:
    """Caches rows of a tensor by key, and computes missing ones. A key's first number is its first frame."""

    def __init__(self) -> None:
        self.places: dict[Borders, int] = {}
        self.rows: Tensor | None = None

    def __call__(self, keys: Sequence[Borders], compute: Callable[[list[Borders]], Tensor]) -> Tensor:
        missing = sorted({key for key in keys if key not in self.places})
        if missing:
            computed = compute(missing)
            self.rows = computed if self.rows is None else torch.cat((self.rows, computed))
            self.places |= {key: len(self.places) + number for number, key in enumerate(missing)}
        assert self.rows is not None
        rows: Tensor = self.rows[[self.places[key] for key in keys]]
        return rows

    def forget(self, before: int) -> None:
        """Drop the rows that begin before a frame."""
        kept = [key for key in self.places if key[0] >= before]
        if self.rows is not None and len(kept) < len(self.places):
            self.rows = self.rows[[self.places[key] for key in kept]]
            self.places = {key: number for number, key in enumerate(kept)}


@dataclass
class _Window:
    """Frames and cells of one clip that are held, from the next position on."""

    dense: Dense
    height: int
    width: int
    first: int = 0
    frames: Tensor = field(init=False)

    def __post_init__(self) -> None:
        boxes, grid, config = self.dense.boxes, self.dense.grid, self.dense.boxes.config
        places = grid.places(config, self.height, self.width)
        self.lattices = [boxes.lattice(*place, self.height, self.width) for place in places]
        count = sum(map(len, self.lattices))
        if not count:
            side = grid.min_side_px(config)
            raise UnusableVideo(f"{self.width}x{self.height} pixels; HOG3D's smallest box here needs {side}x{side}")
        self.positions = max(1, _FLOATS // (count * config.dims))
        sub_blocks = count * (config.cells_xy * config.sub_blocks) ** 2
        self.at_once = max(1, _SUB_BLOCKS[torch.device(boxes.device).type] // sub_blocks)
        self.frames = torch.empty((0, self.height, self.width), dtype=torch.uint8, device=boxes.device)
        self.ranges, self.slabs = Shared(), Shared()

    def add(self, block: np.ndarray) -> None:
        """Append a block of frames."""
        self.frames = torch.cat((self.frames, torch.from_numpy(block).to(self.frames.device)))

    @torch.inference_mode()
    def describe(self, starts: np.ndarray) -> Tensor:
        """Compute features (n, boxes·dims) of the boxes that begin at frames (n,)."""
        config = self.dense.boxes.config
        keys = [key for start in starts.tolist() for key in _parts(self.dense.within + start, config.sub_blocks)]
        cells: Tensor = self.slabs(keys, self._summed).unflatten(0, (len(starts), config.cells_t))
        return self.dense.boxes.descriptors(cells).flatten(1)

    def forget(self, before: int) -> None:
        """Drop everything before a frame."""
        self.ranges.forget(before)
        self.slabs.forget(before)
        passed = min(before - self.first, len(self.frames))
        self.frames = self.frames[passed:].clone()
        self.first += passed

    def _summed(self, slabs: list[Borders]) -> Tensor:
        keys = [key for slab in slabs for key in _parts(np.array(slab), 1)]
        parts: Tensor = self.ranges(keys, self._quantised).unflatten(0, (len(slabs), -1))
        return parts.sum(1)

    def _quantised(self, ranges: list[Borders]) -> Tensor:
        planes = []
        for begin in range(0, len(ranges), self.at_once):
            some = np.array(ranges[begin : begin + self.at_once])
            needed = np.unique(np.concatenate([np.arange(first, last + 1) for first, last in some]))
            frames = self.frames[torch.from_numpy(needed - self.first).to(self.frames.device)]
            planes.append(self.dense.boxes.planes(frames, np.searchsorted(needed, some), self.lattices))
        return torch.cat(planes)


def _parts(places: np.ndarray, size: int) -> list[Borders]:
    """Split borders into those of consecutive groups of ``size`` parts."""
    return [tuple(places[at : at + size + 1].tolist()) for at in range(0, len(places) - 1, size)]
