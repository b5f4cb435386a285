"""Decodes videos into a store of frames, for random access."""

from collections.abc import Iterator
from typing import Any

from data.base import Dataset
from extractors.frames import Frames
from pipeline.rows import Failure
from tasks import settings
from tasks.base import ConfigParameter, Root
from tasks.features import Extract, extract
from tasks.index import AnyDataset, Index


class Decode(Root):
    """Decode all videos of a data set into rows of encoded frames.

    Parameters
    ----------
    dataset : Dataset
        The data set, in JSON.
    frames : Frames
        Size and encoding of the frames, in JSON.
    """

    dataset = ConfigParameter[Dataset](AnyDataset, description="the data set, in JSON")
    frames = ConfigParameter[Frames](Frames, default=Frames(), description="size and encoding of the frames, in JSON")

    @property
    def index(self) -> Index:
        """Index of the data set, without which no other path is known."""
        return Index(dataset=self.dataset.without_protocol())

    @property
    def stage(self) -> Extract:
        """Extraction of the frames."""
        return extract(self.dataset, self.frames, None)

    def up_to_date(self) -> bool:
        done = self.index.complete() and self.stage.complete()
        return done and len(self._failures()) <= settings.current().max_failed_videos

    def run(self) -> Iterator[Any]:
        yield self.index
        yield self.stage
        self.allow(self._failures(), f"{self.stage.path()} holds the others")

    def _failures(self) -> dict[str, Failure]:
        from pipeline.store import Store

        return Store(self.stage.path()).failures()
