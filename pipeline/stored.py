"""Sealed rows as sequences: to extract from, to fit on, to train on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from tqdm import tqdm

from pipeline.clips import resample
from pipeline.errors import InputError, UnusableVideo
from pipeline.row import Partial, Row
from pipeline.store import Store


def rows_or_failure(shard: Path) -> Callable[[str], list[Row]]:
    """By video id, all variants' rows; raises UnusableVideo with the reason that an earlier stage found."""
    store = Store(shard)
    failures = store.failures()

    def rows(video: str) -> list[Row]:
        if video in failures:
            raise UnusableVideo(failures[video].reason, failures[video].frames_decoded)
        return store.rows(video)

    return rows


class StoredRows(Sequence[Row]):
    """Rows read one by one, when they are asked for: of each usable video all variants, or the first ``variants``."""

    def __init__(self, store: Store, videos: Sequence[str], *, variants: int | None = None) -> None:
        self.store = store
        self.places = [
            (video, variant)
            for video in videos
            for variant in range(min(store.variants(video), variants or store.variants(video)))
        ]

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self.store.read(*place) for place in self.places[index]]
        return self.store.read(*self.places[index])

    def partial(self, index: int) -> Mapping[str, Partial]:
        """One row's arrays, of which only the parts that are asked for are read."""
        video, variant = self.places[index]
        return {name: _StoredArray(self.store, video, variant, name) for name in self.store.arrays(video, variant)}

    def labels(self, labels: Mapping[str, tuple[int, ...]]) -> list[int]:
        """The class index of each row."""
        return [labels[video][0] for video, _ in self.places]


@dataclass(frozen=True, slots=True)
class _StoredArray:
    store: Store
    video: str
    variant: int
    name: str

    def __getitem__(self, part: slice | int) -> np.ndarray:
        return self.store.read(self.video, self.variant, [self.name], part).arrays[self.name]


@dataclass(frozen=True)
class Sequences:
    """Labelled sequences in memory, as ``pipeline.fit`` wants them."""

    inputs: list[np.ndarray]
    targets: list[int]

    @property
    def lengths(self) -> list[int]:
        """Steps of every sequence."""
        return [len(inputs) for inputs in self.inputs]

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.inputs[index], self.targets[index]


def sequences(
    rows: StoredRows,
    labels: Mapping[str, tuple[int, ...]],
    array: str,
    *,
    steps: int | None,
    reduce: Callable[[np.ndarray], np.ndarray],
) -> Sequences:
    """One array of each row, (time, feature) float32, sampled to ``steps`` and then reduced.

    Raises InputError where nothing usable is left.
    """
    if not len(rows):
        raise InputError("no usable video is left; see the list of failures")
    inputs = []
    for video, variant in tqdm(rows.places, desc="sequences", unit="row", disable=None, leave=False):
        sequence = rows.store.read(video, variant, [array]).arrays[array]
        chosen = sequence if steps is None else sequence[resample(len(sequence), steps)]
        inputs.append(np.ascontiguousarray(reduce(chosen), dtype=np.float32))
    return Sequences(inputs, rows.labels(labels))
