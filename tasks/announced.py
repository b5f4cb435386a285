"""Tasks that say at their end what came out."""

import logging
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from luigi.task import flatten

from pipeline.errors import DamagedStore
from tasks.base import Root

SCHEDULED = "event.kinescope.scheduled"
"""Event of a task that is about to run, in the main process; luigi has none that comes before the first worker."""


class Announced(Root):
    """Task that decides what there is to do, and says at its end what it came to."""

    def deps(self) -> Any:
        """Return what luigi must run first, for which it asks once it has decided to run this."""
        self.trigger_event(SCHEDULED, self)
        return super().deps()

    @abstractmethod
    def needed(self) -> Iterator[Any]:
        """Yield the tasks, or lists of tasks, that are required one after another. May raise InputError."""

    def foreseen(self) -> Iterator[Any]:
        """Yield of what is needed what can be told without making anything, for those who watch a run."""
        return self.needed()

    @property
    def afterwards(self) -> str:
        """What comes when all that was foreseen is there."""
        return "the report is next"

    def is_computed(self) -> bool:
        """Return whether all that is needed is there, and none of it was just found damaged."""
        try:
            return all(task.complete() for needed in self.needed() for task in flatten(needed))
        except DamagedStore as error:
            logging.getLogger("luigi-interface").warning(str(error))
            return False

    @abstractmethod
    def summary(self) -> str:
        """Return what is said, with the paths of what was written."""
