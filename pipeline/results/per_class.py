"""Computes the figure of each class, orders classes by coarse group, and finds what a fusion gains on each."""

import math
from typing import NamedTuple

import numpy as np

from pipeline.results.result import Result, StreamFigures

OTHERS = "other classes"


class Group(NamedTuple):
    """Coarse group of classes, by their indices ``places``; without groups, one of all classes without a name."""

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
    """List every class once, group by group; classes that no group names come last."""
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
    """Return the stream of a fusion with the best figure, the first of equals; None where there is a single stream."""
    return max(result.rows[:-1], key=lambda row: row.summary(result.metric).mean) if len(result.rows) > 1 else None


def figures(result: Result) -> list[ClassFigure]:
    """Compute each class's average precision where that is the metric, else its accuracy, in the order of classes."""
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
