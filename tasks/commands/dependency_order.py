"""Walks stages and what they require, as luigi does."""

from collections.abc import Callable, Iterable
from pathlib import Path

from luigi.task import flatten

from tasks.base import Stage


def upstream_first(wanted: Iterable[Stage], counts: Callable[[Stage], bool]) -> list[Stage]:
    """Return the stages that count, each after those it requires; one that does not count is not looked behind.

    Of stages with the same output the first is returned.
    """
    found: list[Stage] = []
    seen: set[Path] = set()

    def visit(stage: Stage) -> None:
        if stage.path() in seen:
            return
        seen.add(stage.path())
        if counts(stage):
            for needed in flatten(stage.requires()):
                visit(needed)
            found.append(stage)

    for stage in wanted:
        visit(stage)
    return found
