"""Division of a data set's training videos once more, to make choices without looking at the test videos."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from data.base import Fold, Listing, Video
from data.protocols import divided, drawn
from data.redivided import AnyPlainDataset, Redivided
from pipeline.config import Seed
from pipeline.errors import InputError


class Validation(Redivided):
    """Validation part of a data set: the same videos, in folds without any of its test videos.

    Each fold of the data set gives one fold: a fraction of its training videos is tested, and the others train.
    Subjects, or groups, stay on one side; videos without a subject are divided one by one. The draw is stratified by
    class.
    """

    name: Literal["validation"] = "validation"
    protocol_fields: ClassVar[frozenset[str]] = frozenset({"of", "share", "seed"})

    of: AnyPlainDataset = Field(description="the data set whose training videos are divided")
    share: float = Field(
        0.2, gt=0, lt=1, description="fraction of each fold's training subjects, or videos, that is tested"
    )
    seed: Seed = Field(0, description="seed of the draw")

    def notes(self, listing: Listing) -> tuple[str, ...]:
        return *self.of.notes(listing), "Tested on part of each fold's training videos, not on its test videos."

    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        """Divide each fold's training videos. Raises InputError where they are a single group, or video."""
        videos = {video.id: video for video in listing.videos}
        return tuple(self._part(fold, [videos[id] for id in fold.train]) for fold in self.of.folds(root, listing))

    def _part(self, fold: Fold, train: list[Video]) -> Fold:
        units = self._ordered(train)
        if len(units) < 2:
            raise InputError(
                f"{fold.name} has only one group to train on, {units[0]!r}; a second is needed to validate on"
            )
        count = min(max(round(len(units) * self.share), 1), len(units) - 1)
        held = {units[(2 * place + 1) * len(units) // (2 * count)] for place in range(count)}
        return divided(f"{fold.name}-validation", train, lambda video: "test" if _unit(video) in held else "train")

    def _ordered(self, train: Iterable[Video]) -> list[str]:
        """Return subjects, or videos without one, in random order within those of the same classes, class by class."""
        labels: dict[str, set[int]] = defaultdict(set)
        for video in train:
            labels[_unit(video)].update(video.labels)
        strata: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for unit, classes in labels.items():
            strata[tuple(sorted(classes))].append(unit)
        return [unit for _, members in sorted(strata.items()) for unit in drawn(members, self.seed)]


def _unit(video: Video) -> str:
    return video.subject or video.id
