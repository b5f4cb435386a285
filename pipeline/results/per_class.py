"""Classes of an experiment: in what order they stand, the figure of each, and what a fusion gains on it."""

import math
from typing import NamedTuple

import numpy as np

from pipeline.results.result import Result, StreamFigures

OTHERS = "other classes"


class Group(NamedTuple):
    """Classes that stand together; places: their indices. Without groups all stand in one without a name."""

    name: str
    places: tuple[int, ...]


class ClassFigure(NamedTuple):
    """The figure of one class as a fraction, NaN where it has no test video.

    videos: its test videos, summed over runs; streams: the same figure of each stream of several; gain: the fusion's
    figure less that of the best single stream, NaN without a fusion.
    """

    name: str
    videos: int
    share: float
    streams: tuple[float, ...]
    gain: float


def in_groups(result: Result) -> list[Group]:
    """Every class once, group by group in the groups' own order; those that no group names come last."""
    index = {name: place for place, name in enumerate(result.classes)}
    if not result.groups:
        return [Group("", tuple(index.values()))]
    made = [
        Group(name, tuple(index[member] for member in members if member in index))
        for name, members in result.groups.items()
    ]
    named = {place for group in made for place in group.places}
    rest = Group(OTHERS, tuple(place for place in index.values() if place not in named))
    return [group for group in (*made, rest) if group.places]


def best_stream(result: Result) -> StreamFigures | None:
    """Of the streams of a fusion the one whose figure is largest, the first of equals; None of a single stream."""
    return max(result.rows[:-1], key=lambda row: row.summary(result.metric).mean) if len(result.rows) > 1 else None


def figures(result: Result) -> list[ClassFigure]:
    """In the order of the classes: average precision where that is the metric, else accuracy, if there is either."""
    videos = np.zeros(len(result.classes), int)
    for id in (id for ids in result.tested for id in ids):
        videos[list(result.labels[id])] += 1
    shares = [known for row in result.rows if (known := _shares(row)) is not None]
    if not shares:
        return []
    best = best_stream(result)
    single = None if best is None else _shares(best)
    gains = np.full(len(videos), math.nan) if single is None else shares[-1] - single
    return [
        ClassFigure(
            name,
            int(videos[place]),
            float(shares[-1][place]),
            tuple(float(share[place]) for share in shares[:-1]),
            float(gains[place]),
        )
        for place, name in enumerate(result.classes)
    ]


def _shares(row: StreamFigures) -> np.ndarray | None:
    return row.recall if row.precision is None else row.precision
