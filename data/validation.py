"""A data set's training videos divided once more: to choose on what the test videos must not decide."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, NonNegativeInt

from data import DATASETS
from data.base import Dataset, Fold, Listing, Video
from data.protocols import divided, drawn
from pipeline.config import one_of
from pipeline.errors import InputError

if TYPE_CHECKING:
    AnyPlainDataset = Dataset
else:
    AnyPlainDataset = one_of(DATASETS, "data set")


class Validation(Dataset):
    """The same videos, in folds of which none holds a test video of the data set.

    Each of the data set's folds gives one of the same number: a share of its training videos is what is tested, the
    others train. Subjects, or groups, stay on one side; videos of nobody are divided one by one. The draw goes evenly
    through the classes.
    """

    name: Literal["validation"] = "validation"
    protocol_fields: ClassVar[frozenset[str]] = frozenset({"of", "share", "seed"})

    of: AnyPlainDataset
    share: float = Field(0.2, gt=0, lt=1, description="of each fold's training groups, or videos")
    seed: NonNegativeInt = 0

    @property
    def store_name(self) -> str:
        return self.of.store_name

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        return self.of.groups

    def without_protocol(self) -> Dataset:
        """The data set itself, whose files and rows these are."""
        return self.of.without_protocol()

    def notes(self, listing: Listing) -> tuple[str, ...]:
        return *self.of.notes(listing), "Tested on a part of each fold's training videos, not on its test videos."

    def listing(self, root: Path) -> Listing:
        return self.of.listing(root)

    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        """Raises InputError where a fold has a single group, or video, to train with."""
        videos = {video.id: video for video in listing.videos}
        return tuple(self._part(fold, [videos[id] for id in fold.train]) for fold in self.of.folds(root, listing))

    def _part(self, fold: Fold, train: list[Video]) -> Fold:
        units = self._ordered(train)
        if len(units) < 2:
            raise InputError(
                f"{fold.name} has one group only to train with, {units[0]!r}: no part is left to validate on"
            )
        count = min(max(round(len(units) * self.share), 1), len(units) - 1)
        held = {units[(2 * place + 1) * len(units) // (2 * count)] for place in range(count)}
        return divided(f"{fold.name}-validation", train, lambda video: "test" if _unit(video) in held else "train")

    def _ordered(self, train: Iterable[Video]) -> list[str]:
        """What stays together, drawn at random within those of the same classes, class after class."""
        labels: dict[str, set[int]] = defaultdict(set)
        for video in train:
            labels[_unit(video)].update(video.labels)
        strata: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for unit, classes in labels.items():
            strata[tuple(sorted(classes))].append(unit)
        return [unit for _, members in sorted(strata.items()) for unit in drawn(members, self.seed)]


def _unit(video: Video) -> str:
    return video.subject or video.id
