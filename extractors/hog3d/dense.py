"""Dense HOG3D of a stream of frames, in bounded memory, what neighbouring positions share computed once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from extractors.hog3d.descriptor import BoxDescriptors, borders
from extractors.hog3d.grid import Descriptor, Grid
from pipeline.errors import UnusableVideo

Borders = tuple[int, ...]
"""Frames at which consecutive parts of a box begin, and at which the last ends."""

_SUB_BLOCKS = {"cpu": 2**17, "cuda": 2**22}
"""Quantised at once: on a CPU what its cache holds."""
_FLOATS = 2**22
"""Of descriptors computed at once."""


class Dense:
    """Descriptors of a grid's boxes from frames that come one after another.

    Whatever neighbouring positions in time have in common is computed once: a range of frames that is a sub-block of
    several boxes is quantised once, a slab of such ranges that is a cell of several is summed once.
    """

    def __init__(self, descriptor: Descriptor, grid: Grid, device: str) -> None:
        self.grid = grid
        self.describer = BoxDescriptors(descriptor, device)
        duration = descriptor.length_frames(grid.tau_frames)
        self.within = borders(np.zeros(1), duration, descriptor.cells_t * descriptor.sub_blocks)[0]
        self.reach_frames = int(self.within[-1]) + 1  # the last difference in time needs one frame more

    def __call__(
        self, blocks: Iterable[np.ndarray], chosen: np.ndarray | None = None
    ) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Grey blocks, uint8 (time, height, width), to pieces of first frames (n,) and features (n, boxes·dims).

        chosen: the positions, by number in the clip's order, that are wanted; None for all. Holds the frames and cells
        of one box's length and of one block. Raises UnusableVideo where not one box fits.
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
    """Rows of a tensor by key, computed where they are not there yet. A key's first number is its first frame."""

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
        """Drop what begins before that frame."""
        kept = [key for key in self.places if key[0] >= before]
        if self.rows is not None and len(kept) < len(self.places):
            self.rows = self.rows[[self.places[key] for key in kept]]
            self.places = {key: number for number, key in enumerate(kept)}


@dataclass
class _Window:
    """What is held of one clip: frames and cells from the next position on."""

    dense: Dense
    height: int
    width: int
    first: int = 0
    frames: Tensor = field(init=False)

    def __post_init__(self) -> None:
        describer, grid = self.dense.describer, self.dense.grid
        places = grid.places(describer.config, self.height, self.width)
        self.lattices = [describer.lattice(*where, self.height, self.width) for where in places]
        boxes = sum(map(len, self.lattices))
        if not boxes:
            least = grid.least_side_px(describer.config)
            raise UnusableVideo(f"{self.width}x{self.height} pixels; HOG3D's smallest box here needs {least}x{least}")
        config = describer.config
        self.positions = max(1, _FLOATS // (boxes * config.dims))
        sub_blocks = boxes * (config.cells_xy * config.sub_blocks) ** 2
        self.at_once = max(1, _SUB_BLOCKS[torch.device(describer.device).type] // sub_blocks)
        self.frames = torch.empty((0, self.height, self.width), dtype=torch.uint8, device=describer.device)
        self.ranges, self.slabs = Shared(), Shared()

    def add(self, block: np.ndarray) -> None:
        """Take in frames."""
        self.frames = torch.cat((self.frames, torch.from_numpy(block).to(self.frames.device)))

    @torch.inference_mode()
    def describe(self, starts: np.ndarray) -> Tensor:
        """Features (n, boxes·dims) of the boxes that begin at frames (n,)."""
        config = self.dense.describer.config
        keys = [key for start in starts.tolist() for key in _parts(self.dense.within + start, config.sub_blocks)]
        cells: Tensor = self.slabs(keys, self._summed).unflatten(0, (len(starts), config.cells_t))
        return self.dense.describer.descriptors(cells).flatten(1)

    def forget(self, before: int) -> None:
        """Let go of everything before that frame."""
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
            planes.append(self.dense.describer.planes(frames, np.searchsorted(needed, some), self.lattices))
        return torch.cat(planes)


def _parts(places: np.ndarray, size: int) -> list[Borders]:
    """Borders to the borders of consecutive groups of ``size`` parts."""
    return [tuple(places[at : at + size + 1].tolist()) for at in range(0, len(places) - 1, size)]
