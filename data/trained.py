"""The training videos of a data set's folds, to look at what was trained on the videos that it was trained on."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from data.base import Dataset, Fold, Listing
from data.everything import Everything
from data.redivided import AnyPlainDataset, Redivided


class Trained(Redivided):
    """The folds of a data set, each of which tests its own training videos.

    Thresholds are chosen on them. No figure that is reported as a result comes from them, and this is the one data set
    whose videos are in both halves of a fold.
    """

    name: Literal["trained"] = "trained"
    protocol_fields: ClassVar[frozenset[str]] = frozenset({"of", "everything"})

    of: AnyPlainDataset = Field(description="the data set whose training videos are tested")
    everything: bool = Field(False, description="a single fold that trains on all videos, as of ``Everything``")

    @property
    def training(self) -> Dataset:
        return Everything(of=self.of) if self.everything else self.of

    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        return tuple(Fold(fold.name, fold.train, fold.train) for fold in self.training.folds(root, listing))
