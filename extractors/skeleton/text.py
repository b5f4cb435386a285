"""Parses skeleton files of plain numbers: a joint a line, or a frame a line."""

from array import array
from math import isfinite

import numpy as np

from extractors.skeleton.layouts import LAYOUTS, Layout
from extractors.skeleton.plausibility import OWN_TABLE, check_lines
from pipeline.errors import UnusableVideo

MAX_COORDINATE = 1e6
"""Largest coordinate, whether in metres, millimetres or pixels; squares stay finite."""


def parse(content: bytes, layout: Layout) -> tuple[np.ndarray, np.ndarray | None]:
    """Parse the lines of a file.

    Parameters
    ----------
    content : bytes
    layout : Layout

    Returns
    -------
    points : ndarray of float64, shape (time, point, 3)
        All points of each frame; z is 0 where the layout has two coordinates.
    numbers : ndarray of int64, shape (time,), or None
        Number of each frame, where the layout says them.

    Raises
    ------
    UnusableVideo
        Where a line is wrong; it names the first one, and holds the number of complete frames before it. Where the
        lines look like frames of another number of joints.
    """
    lines = content.rstrip().splitlines()[layout.header_lines :]
    if not lines:
        raise UnusableVideo(f"the file is empty; {layout.lines} {'line' if layout.lines == 1 else 'lines'} a frame "
                            f"are needed")  # fmt: skip
    numbers, values = array("q"), array("d")
    for line, text in enumerate(lines):
        try:
            row = _row(text, layout)
            if layout.numbered:
                numbers.append(_frame_number(row[0], numbers[-1] if numbers else 0))
        except ValueError as error:
            place = line + layout.header_lines + 1
            hint = "" if line else _hint(text, layout)
            raise UnusableVideo(f"line {place}: {error}{hint}", line // layout.lines) from None
        values.extend(row[layout.numbered :])
    points = np.frombuffer(values).reshape(len(lines), -1, len(layout.columns[0]))
    points = np.pad(points, ((0, 0), (0, 0), (0, 3 - points.shape[2])))
    if layout.lines > 1:
        check_lines(points[:, 0], layout)
    frames = points.reshape(-1, layout.points, 3)
    return frames, np.frombuffer(numbers, np.int64) if layout.numbered else None


def _row(text: bytes, layout: Layout) -> list[float]:
    """Parse a line: the frame's number, where there is one, and the coordinates of all points.

    Raises ValueError that says what is wrong with it. Where the layout says how many columns there are, all of them
    must be numbers; otherwise those that it reads.
    """
    columns = [column for point in layout.columns for column in point]
    if not layout.widths:
        words = _cells(text)
        _check_one_point(words, layout)
        if len(words) <= max(columns):
            raise ValueError(f"{len(words)} columns; the layout reads column {max(columns) + 1}")
        return _numbers([words[column] for column in columns], text)
    words = text.split()
    if len(words) not in layout.widths:
        raise ValueError(f"{len(words)} columns; {layout.line} are needed")
    values = _numbers(words, text)
    return [*values[: layout.numbered], *(values[column] for column in columns)]


def _cells(text: bytes) -> list[bytes]:
    """Split a line at semicolons, else commas, else spaces, so that an empty cell moves no other.

    >>> _cells(b"1, 2,,3"), _cells(b" 1 2  3")
    ([b'1', b'2', b'', b'3'], [b'1', b'2', b'3'])
    """
    separator = next((each for each in (b";", b",") if each in text), None)
    return [cell.strip() for cell in text.split(separator)]


def _check_one_point(words: list[bytes], layout: Layout) -> None:
    """Raise ValueError where a line of a layout of several lines a frame has the numbers of a whole frame."""
    least = len(layout.columns[0]) * layout.lines
    if layout.lines > 1 and len(words) >= least and sum(map(_is_number, words)) >= least:
        raise ValueError(f"{len(words)} columns; a line holds a whole frame: leave lines out, and give each joint its "
                         "column")  # fmt: skip


def _is_number(word: bytes) -> bool:
    try:
        return isfinite(float(word))
    except ValueError:
        return False


def _hint(text: bytes, layout: Layout) -> str:
    """Say what may read a file whose first line is wrong: other layouts for lines of so many columns, or a table."""
    if not layout.widths:
        return "; header_lines says how many lines come before the first frame"
    words = text.split()
    if len(words) in layout.widths:
        return ""
    others = [each.name for each in LAYOUTS.values() if len(words) in each.widths and all(map(_is_number, words))]
    return f"; layout = {' or '.join(map(repr, others))} reads such lines" if others else f"; {OWN_TABLE}"


def _numbers(words: list[bytes], text: bytes) -> list[float]:
    """Parse the words of a line. Raise ValueError that says what is wrong with one."""
    try:
        if any(b"_" in word for word in words):  # which Python allows between digits
            raise ValueError
        values = [float(word) for word in words]
    except ValueError:
        raise ValueError(f"{bytes(text[:60])!r} holds something other than numbers") from None
    if not all(map(isfinite, values)):
        raise ValueError("NaN or infinity")
    if max(map(abs, values)) > MAX_COORDINATE:
        raise ValueError(f"{max(values, key=abs):g} is not a coordinate: over {MAX_COORDINATE:g}")
    return values


def _frame_number(value: float, before: int) -> int:
    """Return the number of a line's frame. Raise ValueError where it is none, or falls."""
    if value < 0 or not value.is_integer():
        raise ValueError(f"{value:g} is no number of a frame; whole numbers from 0 on are needed")
    if value < before:
        raise ValueError(f"frame {value:.0f} after frame {before}; two recordings in one file must be taken apart")
    return int(value)
