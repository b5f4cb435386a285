"""Base class of data sets that divide the videos of another otherwise than its protocol does."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from data import DATASETS
from data.base import Dataset, Listing
from pipeline.config import one_of

if TYPE_CHECKING:
    AnyPlainDataset = Dataset
else:
    AnyPlainDataset = one_of(DATASETS, "data set")


class Redivided(Dataset):
    """The videos, files and rows of another data set, in other folds."""

    of: AnyPlainDataset = Field(description="the data set whose videos these are")

    @property
    def plain(self) -> Dataset:
        return self.of

    @property
    def store_name(self) -> str:
        return self.of.store_name

    @property
    def as_present(self) -> Dataset:
        return self.model_copy(update={"of": self.of.as_present})

    @property
    def pictures_fps(self) -> float | None:
        return self.of.pictures_fps

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        return self.of.groups

    def without_protocol(self) -> Dataset:
        """Return the data set itself, whose files and rows these are."""
        return self.of.without_protocol()

    def split_files(self, root: Path) -> list[Path]:
        return self.of.split_files(root)

    def listing(self, root: Path) -> Listing:
        return self.of.listing(root)
