"""Tasks that say at their end what came out."""

from abc import abstractmethod

import luigi

from tasks.base import Root


class Announced(Root):
    """Task that decides what there is to do, and says at its end what it came to."""

    @abstractmethod
    def summary(self) -> str:
        """Return what is said, with the paths of what was written."""


@Announced.event_handler(luigi.Event.SUCCESS)
def _say_what_came_out(task: Announced) -> None:
    print(f"\n{task.summary()}", flush=True)


@Announced.event_handler(luigi.Event.DEPENDENCY_PRESENT)
def _say_that_it_was_there(task: Announced) -> None:
    print(f"nothing had to be done\n\n{task.summary()}", flush=True)
