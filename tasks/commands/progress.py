"""Tells how far a run has come, from the store alone: ``kinescope status``."""

import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from pipeline.store.journal import Journal
from tasks.base import Stage, checkpoints
from tasks.commands.dependency_order import upstream_first
from tasks.commands.why import kind_of
from tasks.evaluation import Evaluate
from tasks.features import Extract, ExtractShard
from tasks.index import manifest
from tasks.quantities import format_count

RECENT_S = 600.0
"""Seconds back to which the rate reaches."""


class Extent(NamedTuple):
    """How much of something is done, and when its parts were, in seconds of the system's clock."""

    done: int
    total: int
    unit: str
    times: tuple[float, ...] = ()

    @property
    def left(self) -> str:
        """Time that the rest takes at the rate of the last minutes; an empty text where nothing was done in them."""
        now = time.time()
        recent = [moment for moment in self.times if now - moment < RECENT_S]
        if self.done == self.total or len(recent) < 2:
            return ""
        rate = len(recent) / (now - min(recent) + 1e-9)
        seconds = (self.total - self.done) / rate
        return f", about {_duration(seconds)} left at {60 * rate:.3g} {self.unit}s a minute"

    def __str__(self) -> str:
        return f"{self.done} of {format_count(self.total, self.unit)}"


def describe(evaluation: Evaluate) -> Iterator[str]:
    """Yield a line for the whole, and one for each kind of stage, upstream first.

    Raises InputError where the experiment or its data set is not as it should be.
    """
    if not manifest(evaluation.index.dataset).exists():
        yield "stage 0: the data set is not indexed yet"
        return
    groups = [_Group(name, list(stages)) for name, stages in groupby(_stages(evaluation), key=kind_of)]
    open_ = [group for group in groups if group.extent.done < group.extent.total]
    report = "" if evaluation.shortcoming() is None else "; the report is not written yet"
    if open_:
        number, current = groups.index(open_[0]) + 1, open_[0]
        yield f"stage {number} of {len(groups)}: {current.name}, {current.extent}{current.extent.left}"
    else:
        yield f"all {len(groups)} stages are complete{report}"
    for group in groups:
        mark = "✓" if group not in open_ else " "
        yield f"{mark} {group.name}: {group.extent}{group.note}"


def _stages(evaluation: Evaluate) -> list[Stage]:
    """List all stages that the report is made from, extractions whole, upstream first and those of a kind together."""
    every = upstream_first(evaluation.runs.stages(), lambda _: True)
    stages = [stage for stage in every if not isinstance(stage, ExtractShard)]
    places = {name: place for place, name in reversed(list(enumerate(map(kind_of, stages))))}
    return sorted(stages, key=lambda stage: places[kind_of(stage)])


class _Group:
    """Stages of one kind, such as all trainings of a model."""

    def __init__(self, name: str, stages: Sequence[Stage]) -> None:
        self.name, self.stages = name, stages
        extractions = [stage for stage in stages if isinstance(stage, Extract)]
        shards = [shard for stage in extractions for shard in stage.requires()]
        self.extent = _videos(shards) if extractions else _whole(stages)
        self.note = self._note(extractions)

    def _note(self, extractions: Sequence[Extract]) -> str:
        from pipeline.store import Store

        failed = sum(len(Store(stage.path()).failures()) for stage in extractions if stage.complete())
        begun = sum(bool(checkpoints(stage.path())) for stage in self.stages if not stage.complete())
        unusable = f", {failed} of them could not be used" if failed else ""
        return unusable + (f", {begun} begun" if begun else "")


def _whole(stages: Sequence[Stage]) -> Extent:
    return Extent(sum(stage.complete() for stage in stages), len(stages), "time")


def _videos(shards: Sequence[ExtractShard]) -> Extent:
    """Count the videos of shards: all of sealed ones, and of others those in their journals."""
    done, total, times = 0, 0, []
    for shard in shards:
        videos = shard.videos()
        total += len(videos)
        if shard.complete():
            done += len(videos)
            times += [shard.path().stat().st_mtime] * len(videos)
            continue
        journal = Journal(shard.journal)
        for path in filter(lambda path: path.exists(), map(journal.path, videos)):
            done += 1
            times.append(path.stat().st_mtime)
    return Extent(done, total, "video", tuple(times))


def _duration(seconds: float) -> str:
    """Format a duration in the largest unit that leaves two digits.

    >>> _duration(42), _duration(600), _duration(90_000), _duration(400_000)
    ('42 s', '10 min', '25 h', '4.6 days')
    """
    for unit, length, most in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48)):
        if seconds < most * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86400:.1f} days"
