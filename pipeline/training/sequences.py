"""Sealed rows as sequences: to extract from, to fit on, to train on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
from tqdm import tqdm

from pipeline.errors import InputError, UnusableVideo
from pipeline.rows import Partial, Row
from pipeline.store import Store
from pipeline.training.mid_fusion import Join, join
from pipeline.video.sampling import resample

if TYPE_CHECKING:
    from pipeline.training.batches import Item, Target


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
        return self.store.partial(*self.places[index])

    def targets(self, labels: Mapping[str, tuple[int, ...]], classes: int) -> "list[Target]":
        """What each row is trained towards: class indices, or marks where one of the videos has several ``labels``."""
        known = [labels[video] for video, _ in self.places]
        single = all(len(several) == 1 for several in known)
        return [several[0] if single else _marked(several, classes) for several in known]


@dataclass(frozen=True)
class Sequences:
    """Labelled sequences in memory, as ``pipeline.training.loop`` wants them."""

    inputs: list[np.ndarray]
    targets: "list[Target]"

    @property
    def lengths(self) -> list[int]:
        """Steps of every sequence."""
        return [len(inputs) for inputs in self.inputs]

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> "Item":
        return self.inputs[index], self.targets[index]


@dataclass(frozen=True, slots=True)
class Source:
    """One input of a sequence model.

    name: what messages call it; rows: which videos, of which store; array: what is read of each row, (time, feature);
    reduce: (time, feature) to (time, reduced feature).
    """

    name: str
    rows: StoredRows
    array: str
    reduce: Callable[[np.ndarray], np.ndarray]

    def sequence(self, video: str, variant: int, steps: int | None) -> np.ndarray:
        """(time, feature) float32 of one row, sampled to ``steps`` and then reduced."""
        whole = self.rows.store.read(video, variant, [self.array]).arrays[self.array]
        chosen = whole if steps is None else whole[resample(len(whole), steps)]
        return np.ascontiguousarray(self.reduce(chosen), dtype=np.float32)


def usable(stores: Mapping[str, Store], videos: Sequence[str]) -> list[str]:
    """The videos that have rows in every one of the stores, which are given by name.

    Raises InputError that names a video of which a store has neither rows nor a failure.
    """
    left = list(videos)
    for name, store in stores.items():
        absent = [video for video in videos if not store.variants(video)]
        known = store.failures() if absent else {}
        if unknown := [video for video in absent if video not in known]:
            raise InputError(
                f"{name} lacks video {unknown[0]!r}: all inputs of a stream must have seen the same videos"
            )
        left = [video for video in left if video not in known]
    return left


def sequences(
    sources: Sequence[Source],
    labels: Mapping[str, tuple[int, ...]],
    classes: int,
    *,
    steps: int | None,
    join_by: Join | None = None,
) -> Sequences:
    """One sequence a row, (time, feature) float32: of a single source, or of several, joined by video and variant.

    Raises InputError where nothing usable is left, or where sources have other variants, steps or features.
    """
    first, places = sources[0], sources[0].rows.places
    if not places:
        raise InputError("no usable video is left; see the list of failures")
    for other in sources[1:]:
        if set(other.rows.places) != set(places):
            raise InputError(
                f"{first.name} and {other.name} have different numbers of augmented copies of a video: inputs that "
                "are joined need the same"
            )
    inputs = []
    for video, variant in tqdm(places, desc="sequences", unit="row", disable=None, leave=False):
        parts = {source.name: source.sequence(video, variant, steps) for source in sources}
        inputs.append(parts[first.name] if join_by is None else _joined(join_by, parts, video))
    return Sequences(inputs, first.rows.targets(labels, classes))


def _marked(labels: Sequence[int], classes: int) -> np.ndarray:
    """(class,) float32, 1 for each label."""
    marked = np.zeros(classes, np.float32)
    marked[list(labels)] = 1
    return marked


def _joined(rule: Join, parts: Mapping[str, np.ndarray], video: str) -> np.ndarray:
    try:
        return join(rule, parts)
    except InputError as error:
        raise InputError(f"{video}: {error}") from None
