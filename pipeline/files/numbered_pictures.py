"""Find numbered pictures in a folder: the frames of a clip that is a folder of pictures, and others beside them."""

import math
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipeline.errors import InputError, UnusableVideo

MIN_FPS, MAX_FPS = 0.001, 10_000
"""Smallest and largest number of pictures a second that a configuration or a list may have."""
Rate = Annotated[float, Field(ge=MIN_FPS, le=MAX_FPS, allow_inf_nan=False)]
"""Type of a field that says how many pictures are shown in a second."""
ENDINGS = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))
"""Endings of the files that are taken for pictures, in lower case."""
_NUMBERED = re.compile(r"(?P<series>.*?)(?P<number>[0-9]+)")
_OF_FLOW = re.compile(r"(.*[^a-z])?flow([^a-z].*)?|[xyuv][^a-z]?")
"""Names of series that hold flow, as denseflow, TSN and MMAction2 write it: flow_x_00001.jpg, x_00001.jpg."""


def checked_rate(folder: Path, fps: float | None) -> float:
    """Return the number of a folder's pictures that are shown in a second. Raises InputError where it is none."""
    if fps is None:
        raise InputError(f"{folder}: pictures do not say how many of them are shown in a second; fps is needed")
    if not (math.isfinite(fps) and fps > 0):
        raise InputError(f"{folder}: fps = {fps}; the number of pictures shown in a second is needed, such as 25")
    return fps


def holds_pictures(folder: str | Path) -> bool:
    """Return whether a numbered picture lies in a folder; False for what is no folder that can be read."""
    try:
        return next(_numbered(folder), None) is not None
    except OSError:
        return False


def frames(folder: Path) -> list[Path]:
    """Return the pictures that are the frames of a clip, in the order of their numbers.

    A frame is a picture whose name, without the extension, ends in a number. What stands before the number is the same
    for all: pictures of flow may lie beside them, by the names that the field's tools give them, and are left out. The
    first number is any, and each next one is one more.

    Parameters
    ----------
    folder
        The clip's folder. Other files in it, folders and hidden ones are no frames.

    Raises
    ------
    UnusableVideo
        Where there is no frame, a number is missing or occurs twice, or which of several series are the frames is open.
    OSError
        Where the folder cannot be read.
    """
    found: dict[str, dict[int, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for series, number, path in _numbered(folder):
        found[series][number].append(path)
    candidates = sorted(series for series in found if not _OF_FLOW.fullmatch(series.lower()))
    if not candidates:
        there = "flow alone" if found else "no numbered picture"
        raise UnusableVideo(f"a folder with {there} in it; frames are needed, such as img_00001.jpg, img_00002.jpg")
    if len(candidates) > 1:
        named = " and ".join(f"{name}*" for name in candidates[:3])
        raise UnusableVideo(f"numbered pictures {named} in one folder; only its frames may lie in it")
    return consecutive(found[candidates[0]])


def series(folder: Path, name: str) -> list[Path]:
    """Return the pictures of one name, in the order of their numbers.

    Parameters
    ----------
    folder
        The folder.
    name
        Their name, in which ``*`` stands for the number, such as "flow_x_*.jpg".

    Raises
    ------
    UnusableVideo
        Where there is none, or a number is missing or occurs twice.
    OSError
        Where the folder cannot be read.
    """
    before, _, after = name.partition("*")
    number = re.compile(rf"{re.escape(before)}([0-9]+){re.escape(after)}")
    found: dict[int, list[Path]] = defaultdict(list)
    for entry in _files(folder):
        if match := number.fullmatch(entry.name):
            found[int(match[1])].append(Path(entry.path))
    if not found:
        raise UnusableVideo(f"no picture {name} in {folder}, where * is a number")
    return consecutive(found)


def consecutive(found: Mapping[int, list[Path]]) -> list[Path]:
    """Return pictures in the order of their numbers. Raises UnusableVideo where one is missing or occurs twice.

    Examples
    --------
    >>> [path.name for path in consecutive({10: [Path("10.png")], 9: [Path("9.png")]})]
    ['9.png', '10.png']
    """
    ordered = [(number, sorted(found[number])) for number in sorted(found)]
    for _, (first, *others) in ordered:
        if others:
            raise UnusableVideo(f"{_shown(first)} and {_shown(others[0])} have one number; keep one")
    for (number, (before, *_)), (follower, (after, *_)) in pairwise(ordered):
        if follower != number + 1:
            raise UnusableVideo(f"{_shown(after)} follows {_shown(before)}; each number must be one more than the last")
    return [path for _, (path, *_) in ordered]


def _shown(path: Path) -> str:
    return "/".join(path.parts[-2:])


def _numbered(folder: str | Path) -> Iterator[tuple[str, int, Path]]:
    """Yield series, number and path of the numbered pictures in a folder."""
    for entry in _files(folder):
        stem, ending = os.path.splitext(entry.name)
        if ending.lower() in ENDINGS and (match := _NUMBERED.fullmatch(stem)):
            yield match["series"], int(match["number"]), Path(entry.path)


def _files(folder: str | Path) -> "Iterator[os.DirEntry[str]]":
    """Yield what is no folder, links that lead nowhere, too: a frame that is missing must not go unnoticed."""
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith(".") and not entry.is_dir())
