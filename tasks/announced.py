"""Tasks that say at their end what came out."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import luigi
from luigi.task import flatten

from tasks.base import Root


class Announced(Root):
    """Task that decides what there is to do, and says at its end what it came to."""

    @abstractmethod
    def needed(self) -> Iterator[Any]:
        """Yield the tasks, or lists of tasks, that are required one after another. May raise InputError."""

    def is_computed(self) -> bool:
        """Return whether all that is needed is there."""
        return all(task.complete() for needed in self.needed() for task in flatten(needed))

    @abstractmethod
    def summary(self) -> str:
        """Return what is said, with the paths of what was written."""


@Announced.event_handler(luigi.Event.SUCCESS)
def _say_what_came_out(task: Announced) -> None:
    print(f"\n{task.summary()}", flush=True)


@Announced.event_handler(luigi.Event.DEPENDENCY_PRESENT)
def _say_that_it_was_there(task: Announced) -> None:
    print(f"nothing had to be done\n\n{task.summary()}", flush=True)
