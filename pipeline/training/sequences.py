"""Read sealed rows as sequences: to extract from, to fit on, to train on."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from pipeline.errors import InputError, UnusableVideo
from pipeline.files.progress import Bar
from pipeline.rows import Partial, Row
from pipeline.store import Store
from pipeline.training.mid_fusion import Join, join
from pipeline.video.sampling import resample

if TYPE_CHECKING:
    from pipeline.training.batches import Item, Target


class RowSources:
    """Given a video's id, a context of its rows in a sealed shard, one a variant.

    It raises UnusableVideo, with the reason that an earlier stage found, where the shard has none.

    Parameters
    ----------
    shard
        The shard.
    """

    def __init__(self, shard: Path) -> None:
        self._store = Store(shard)
        self._failures = self._store.failures()

    def __call__(self, video: str) -> AbstractContextManager[list[Row]]:
        if video in self._failures:
            raise UnusableVideo(self._failures[video].reason, self._failures[video].frames_decoded)
        return nullcontext(self._store.rows(video))


class StoredRows(Sequence[Row]):
    """Rows of some videos, each read from the store when it is asked for.

    Parameters
    ----------
    store
        Where they are read.
    videos
        Ids of the videos, in order; those without rows are left out.
    variants
        Largest number of variants of each video; None for all.
    """

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
        """Return one row's arrays by name, each read only where it is indexed."""
        return self.store.partial(*self.places[index])

    def targets(self, labels: Mapping[str, tuple[int, ...]], classes: int) -> "list[Target]":
        """Return the target of each row.

        Parameters
        ----------
        labels
            Class indices of each video, by id.
        classes
            Number of classes.

        Returns
        -------
        list of int, or of float32 arrays, shape (class,)
            Class indices; or, where any of the videos has several labels, 1 for each label and 0 elsewhere.
        """
        row_labels = [labels[video] for video, _ in self.places]
        single = all(len(several) == 1 for several in row_labels)
        return [several[0] if single else _multi_hot(several, classes) for several in row_labels]


@dataclass(frozen=True)
class Sequences:
    """Labelled sequences in memory, as ``pipeline.training.loop`` reads them.

    Attributes
    ----------
    inputs
        Sequences (time, feature) float32.
    targets
        The target of each.
    """

    inputs: list[np.ndarray]
    targets: "list[Target]"

    @property
    def lengths(self) -> list[int]:
        """Number of time steps of every sequence."""
        return [len(inputs) for inputs in self.inputs]

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> "Item":
        return self.inputs[index], self.targets[index]


@dataclass(frozen=True, slots=True)
class Source:
    """One input of a sequence model.

    Attributes
    ----------
    name
        Name of the input in messages.
    rows
        Rows that are read.
    array
        Name of the array that is read of each row, (time, feature).
    reduce
        Turns (time, feature) into (time, reduced feature).
    """

    name: str
    rows: StoredRows
    array: str
    reduce: Callable[[np.ndarray], np.ndarray]

    def sequence(self, video: str, variant: int, steps: int | None) -> np.ndarray:
        """Read one row as (time, feature) float32, sampled to ``steps`` steps, where given, and then reduced."""
        features = self.rows.store.read(video, variant, [self.array]).arrays[self.array]
        sampled = features if steps is None else features[resample(len(features), steps)]
        return np.ascontiguousarray(self.reduce(sampled), dtype=np.float32)


def usable(stores: Mapping[str, Store], videos: Sequence[str]) -> list[str]:
    """Return the videos that have rows in every one of the stores, leaving out those that one of them lists as failed.

    Parameters
    ----------
    stores
        Stores, by the name that messages give them.
    videos
        Ids of the videos.

    Raises
    ------
    InputError
        Naming a video of which a store has neither rows nor a failure.
    """
    rest = list(videos)
    for name, store in stores.items():
        absent = [video for video in videos if not store.variants(video)]
        failed = store.failures() if absent else {}
        if unknown := [video for video in absent if video not in failed]:
            raise InputError(
                f"{name} lacks video {unknown[0]!r}: all inputs of a stream must have read the same videos"
            )
        rest = [video for video in rest if video not in failed]
    return rest


def sequences(
    sources: Sequence[Source],
    labels: Mapping[str, tuple[int, ...]],
    classes: int,
    *,
    steps: int | None,
    join_by: Join | None = None,
) -> Sequences:
    """Read one sequence a row, from a single source, or from several that are joined by video and variant.

    Parameters
    ----------
    sources
        Inputs of the model.
    labels
        Class indices of each video, by id.
    classes
        Number of classes.
    steps
        Number of time steps to which each sequence is sampled; None for all.
    join_by
        Rule by which several sources are joined.

    Returns
    -------
    Sequences
        Sequences (time, feature) float32, and targets.

    Raises
    ------
    InputError
        Where there is no row, or sources differ in variants, steps or features.
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
    for video, variant in Bar(places, desc="reading sequences", unit="row", leave=False):
        read = {source.name: source.sequence(video, variant, steps) for source in sources}
        inputs.append(read[first.name] if join_by is None else _joined(join_by, read, video))
    return Sequences(inputs, first.rows.targets(labels, classes))


def _multi_hot(labels: Sequence[int], classes: int) -> np.ndarray:
    """Return (class,) float32, 1 for each label."""
    target = np.zeros(classes, np.float32)
    target[list(labels)] = 1
    return target


def _joined(rule: Join, inputs: Mapping[str, np.ndarray], video: str) -> np.ndarray:
    try:
        return join(rule, inputs)
    except InputError as error:
        raise InputError(f"{video}: {error}") from None
