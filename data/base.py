"""What a data set promises: its videos with labels and subjects, and the protocol's folds."""

import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from pipeline.config import Config
from pipeline.errors import InputError

UNFIT_PART = re.compile(r"|\.|\.\.|reason|variant-\d+")


@dataclass(frozen=True, slots=True)
class Video:
    """One labelled example.

    id: its path below the root without the extension, unique in the listing, "/" between parts.
    files: absolute path by modality: "video", "skeleton".
    labels: indices into the listing's classes; a single one for all but multi-label sets.
    subject: the person or group that by-subject protocols keep together; "" where there is none.
    frames: half-open range of the files' frames, counted from 0; None for all of them.
    """

    id: str
    files: Mapping[str, Path]
    labels: tuple[int, ...]
    subject: str = ""
    frames: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """All videos of a data set, in the order of their ids, and the names of the classes."""

    classes: tuple[str, ...]
    videos: tuple[Video, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """One division into training and test video ids: an official split, a trial, a held-out subject."""

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]


class Dataset(Config):
    """A data set's definition. Where its files lie is a setting, not a field."""

    name: str
    protocol_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields that only divide the videos: they do not change which videos there are."""
    generated: ClassVar[bool] = False
    """Whether ``generate`` makes the files."""

    @property
    def location(self) -> Path | None:
        """Where the files lie, for data sets whose configuration says so; None where a setting does."""
        return None

    @property
    def store_name(self) -> str:
        """The folder below the store; data sets that list different videos have different ones."""
        return self.name

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Coarse groups of classes by name, for data sets that publish some."""
        return {}

    def without_protocol(self) -> "Dataset":
        """The same videos with the default protocol: what stages that know no split depend on."""
        return type(self).model_validate(self.model_dump(exclude=set(self.protocol_fields)))

    def notes(self, listing: Listing) -> tuple[str, ...]:
        """Sentences that a reader of results must know of the videos and folds at hand: what is not as published."""
        return ()

    def generate(self, root: Path) -> None:
        """Make the files below ``root``, for data sets that are generated. The others have nothing to make."""

    @abstractmethod
    def listing(self, root: Path) -> Listing:
        """The videos below ``root``. Raises InputError that counts missing files and names what is wrong."""

    @abstractmethod
    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        """The protocol's divisions; ids in a fold are ids of the listing, none is in both halves."""


def contained(root: Path, relative: str) -> Path:
    """``root / relative``, absolute. Raises InputError where an official list's path leaves the root."""
    path = (root / relative).resolve()
    if Path(relative).is_absolute() or not path.is_relative_to(root.resolve()):
        raise InputError(f"{relative!r} leaves the data root {root}; paths in lists must stay below it")
    return path


def by_id(videos: Iterable[Video]) -> tuple[Video, ...]:
    """Sorted by id. Raises InputError that names an id which occurs twice, or that a store could not hold."""
    ordered = sorted(videos, key=lambda video: video.id)
    for video in ordered:
        if any(UNFIT_PART.fullmatch(part) for part in video.id.split("/")):
            raise InputError(f"video id {video.id!r}: no part may be empty, '.', '..', 'reason' or 'variant-<n>'")
    for first, second in pairwise(ordered):
        if first.id == second.id:
            raise InputError(f"video id {first.id!r} occurs twice: {first.files} and {second.files}")
    return tuple(ordered)
