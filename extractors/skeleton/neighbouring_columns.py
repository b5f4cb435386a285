"""Reads a table by columns beside those that its layout names, of which one may be the right ones."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from extractors.skeleton.layouts import Layout
from extractors.skeleton.text import parse
from pipeline.errors import UnusableVideo

Columns = tuple[tuple[int, ...], ...]


def neighbouring(content: bytes, layout: Layout) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what the columns would be called, and the points (time, point, 3) that they hold.

    Notes
    -----
    Columns that not all lines have, or that hold something other than numbers, are passed over, and so is a coordinate
    that never changes but has a value of its own for each joint, as its number, which would make any points rigid.
    Named layouts say how many columns a line has, and have no neighbours.
    """
    for name, moved in () if layout.widths else _NEIGHBOURS.items():
        columns = moved(layout.columns)
        if columns and columns[0][0] >= 0:
            try:
                points, _ = parse(content, layout._replace(columns=columns))
            except UnusableVideo:
                continue
            if not _numbers_joints(points):
                yield name, points


def _numbers_joints(points: np.ndarray) -> bool:
    """Return whether a coordinate of the points (time, point, 3) never changes, and differs between points."""
    constant = (points == points[:1]).all(axis=(0, 1))
    return bool((constant & (points[0] != points[0, :1]).any(axis=0)).any())


def _right(columns: Columns) -> Columns:
    """Move columns to the right, but not those of flat bodies with gaps: y and z may be more rigid than x and y."""
    return _moved(columns, 1) if len(columns[0]) == 3 or _step(columns) == 2 else ()


def _left(columns: Columns) -> Columns:
    return _moved(columns, -1)


def _spread(columns: Columns) -> Columns:
    """Put a column more after each point, of those that follow each other without one."""
    if _step(columns) != len(columns[0]):
        return ()
    return tuple(tuple(column + number for column in point) for number, point in enumerate(columns))


def _moved(columns: Columns, by: int) -> Columns:
    return tuple(tuple(column + by for column in point) for point in columns)


def _step(columns: Columns) -> int:
    """Return how many columns after each other points begin; 0 where that varies, or a line holds only one."""
    steps = {after[0] - before[0] for before, after in pairwise(columns)}
    return steps.pop() if len(steps) == 1 else 0


_NEIGHBOURS: dict[str, Callable[[Columns], Columns]] = {
    "one column further to the right": _right,
    "one column further to the left": _left,
    "with one column more after each joint": _spread,
}
