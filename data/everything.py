"""All videos of a data set as training videos, to fit once what is then used on others."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from data.base import Fold, Listing
from data.redivided import AnyPlainDataset, Redivided


class Everything(Redivided):
    """All videos of a data set in one fold that tests none of them."""

    name: Literal["everything"] = "everything"
    protocol_fields: ClassVar[frozenset[str]] = frozenset({"of"})

    of: AnyPlainDataset = Field(description="the data set whose videos all train")

    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        return (Fold(self.name, tuple(video.id for video in listing.videos), ()),)
