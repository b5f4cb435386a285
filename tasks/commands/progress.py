"""Tells how far a run has come, from the store alone: ``kinescope status``, and the line that a run shows of itself."""

import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from luigi.task import flatten

from pipeline.store.journal import Finished, finished
from tasks.announced import Announced
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


def overall(task: Announced) -> str:
    """Return one line on the run of a task: the stage that is at work, its videos, failures so far, and time left.

    Raises InputError where the experiment or its data set is not as it should be.
    """
    groups = _groups(upstream_first(_known(task), lambda _: True))
    if not groups:
        return "looking at the videos"
    complete = all(group.extent.done == group.extent.total for group in groups)
    return _current(groups) + (f": {task.afterwards}" if complete else "")


def _known(task: Announced) -> Iterator[Stage]:
    """Yield the stages that are known to be needed; those that depend on what is not there yet come later."""
    for needed in task.foreseen():
        tasks = flatten(needed)
        yield from (each for each in tasks if isinstance(each, Stage))
        if not all(each.complete() for each in tasks):
            return


def _current(groups: "Sequence[_Group]") -> str:
    failed = sum(group.failed for group in groups)
    unusable = f", {format_count(failed, 'failure')} so far" if failed else ""
    for number, group in enumerate(groups, 1):
        if group.extent.done < group.extent.total:
            return f"stage {number} of {len(groups)}: {group.name}, {group.extent}{unusable}{group.extent.left}"
    return f"all {len(groups)} stages are complete{unusable}"


def describe(evaluation: Evaluate) -> Iterator[str]:
    """Yield a line for the whole, and one for each kind of stage, upstream first.

    Raises InputError where the experiment or its data set is not as it should be.
    """
    if not manifest(evaluation.index.dataset).exists():
        yield "stage 0: the data set is not indexed yet"
        return
    groups = _groups(upstream_first(evaluation.runs.stages(), lambda _: True))
    complete = all(group.extent.done == group.extent.total for group in groups)
    report = "; the report is not written yet" if complete and evaluation.shortcoming() is not None else ""
    yield f"{_current(groups)}{report}"
    for group in groups:
        mark = "✓" if group.extent.done == group.extent.total else " "
        yield f"{mark} {group.name}: {group.extent}{group.note}"


def _groups(stages: Sequence[Stage]) -> "list[_Group]":
    """Put stages of a kind together, extractions whole, in the order in which they are first needed."""
    whole = [stage for stage in stages if not isinstance(stage, ExtractShard)]
    places = {name: place for place, name in reversed(list(enumerate(map(kind_of, whole))))}
    ordered = sorted(whole, key=lambda stage: places[kind_of(stage)])
    return [_Group(name, list(alike)) for name, alike in groupby(ordered, key=kind_of)]


class _Group:
    """Stages of one kind, such as all trainings of a model."""

    def __init__(self, name: str, stages: Sequence[Stage]) -> None:
        self.name, self.stages = name, stages
        shards = [shard for stage in stages if isinstance(stage, Extract) for shard in stage.requires()]
        self.extent = _videos(shards) if shards else _whole(stages)
        self.failed = sum(map(_failed, shards))

    @property
    def note(self) -> str:
        """What else there is to say."""
        begun = sum(bool(checkpoints(stage.path())) for stage in self.stages if not stage.complete())
        unusable = f", {self.failed} of them could not be used" if self.failed else ""
        return unusable + (f", {begun} begun" if begun else "")


def _failed(shard: ExtractShard) -> int:
    """Count the videos of a shard that could not be used."""
    from pipeline.store import Store

    if shard.complete():
        return len(Store(shard.path()).failures())
    return sum(each.failed for each in _journaled(shard))


def _journaled(shard: ExtractShard) -> list[Finished]:
    """List the videos of a shard that are finished, and not sealed yet."""
    if not shard.journal.is_dir():
        return []
    names = {keys.name for keys in shard.videos()}
    return list({each.key: each for each in finished(shard.journal) if each.key in names}.values())


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
        journaled = _journaled(shard)
        done += len(journaled)
        times += [each.time for each in journaled]
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
