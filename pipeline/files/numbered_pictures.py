"""Find numbered pictures in a folder: the frames of a clip that is a folder of pictures, and others beside them."""

import math
import os
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from string import digits
from typing import Annotated

from pydantic import Field

from pipeline.errors import InputError, UnusableVideo

MIN_FPS, MAX_FPS = 0.001, 10_000
"""Smallest and largest number of pictures a second that a configuration or a list may have."""
Rate = Annotated[float, Field(ge=MIN_FPS, le=MAX_FPS, allow_inf_nan=False)]
"""Type of a field that says how many pictures are shown in a second."""
ENDINGS = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))
"""Endings of the files that are taken for pictures, in lower case."""
_OF_FLOW = re.compile(r"(.*[^a-z])?flow([^a-z].*)?|[xyuv][^a-z]?")
"""Names of series that hold flow, as denseflow, TSN and MMAction2 write it: flow_x_00001.jpg, x_00001.jpg."""


def checked_rate(folder: Path, fps: float | None) -> float:
    """Return the number of a folder's pictures that are shown in a second. Raises InputError where it is none."""
    if fps is None:
        raise InputError(f"{folder}: pictures do not say how many of them are shown in a second; fps is needed")
    if not (math.isfinite(fps) and fps > 0):
        raise InputError(f"{folder}: fps = {fps}; the number of pictures shown in a second is needed, such as 25")
    return fps


def is_numbered(entry: "os.DirEntry[str]") -> bool:
    """Return whether an entry of a folder is a numbered picture."""
    return next(_numbered([entry]), None) is not None


def frames(folder: Path) -> "list[os.DirEntry[str]]":
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
    found: dict[str, list[tuple[int, os.DirEntry[str]]]] = {}
    for name, number, entry in _numbered(_entries(folder)):
        found.setdefault(name, []).append((number, entry))
    candidates = sorted(name for name in found if not _OF_FLOW.fullmatch(name.lower()))
    if not candidates:
        there = "flow alone" if found else "no numbered picture"
        raise UnusableVideo(f"a folder with {there} in it; frames are needed, such as img_00001.jpg, img_00002.jpg")
    if len(candidates) > 1:
        named = " and ".join(f"{name}*" for name in candidates[:3])
        raise UnusableVideo(f"numbered pictures {named} in one folder; only its frames may lie in it")
    return _consecutive(found[candidates[0]])


def series(folder: Path, *names: tuple[str, str]) -> "list[list[os.DirEntry[str]]]":
    """Return the pictures of each of some names, in the order of their numbers.

    Parameters
    ----------
    folder
        The folder, which is read once.
    *names
        What stands before their number and after it, such as ("flow_x_", ".jpg").

    Raises
    ------
    UnusableVideo
        Where there is none, or a number is missing or occurs twice.
    OSError
        Where the folder cannot be read.
    """
    entries, found = _entries(folder), []
    for before, after in names:
        named = re.compile(rf"{re.escape(before)}([0-9]+){re.escape(after)}").fullmatch
        one = [(int(match[1]), entry) for entry in entries if (match := named(entry.name)) and not entry.is_dir()]
        if not one:
            raise UnusableVideo(f"no picture {before}*{after} in {folder}, where * is a number")
        found.append(_consecutive(one))
    return found


def _consecutive(found: "list[tuple[int, os.DirEntry[str]]]") -> "list[os.DirEntry[str]]":
    """Return pictures in the order of their numbers. Raises UnusableVideo where one is missing or occurs twice."""
    ordered = sorted(found, key=lambda one: (one[0], one[1].name))
    first = ordered[0][0]
    if [number for number, _ in ordered] != list(range(first, first + len(ordered))):
        _raise_fault(ordered)
    return [entry for _, entry in ordered]


def _raise_fault(ordered: "list[tuple[int, os.DirEntry[str]]]") -> None:
    for (number, before), (follower, after) in pairwise(ordered):
        if follower == number:
            raise UnusableVideo(f"{_shown(before)} and {_shown(after)} have one number; keep one")
    for (number, before), (follower, after) in pairwise(ordered):
        if follower != number + 1:
            raise UnusableVideo(f"{_shown(after)} follows {_shown(before)}; each number must be one more than the last")


def _shown(entry: "os.DirEntry[str]") -> str:
    return "/".join(entry.path.split("/")[-2:])


def _numbered(entries: "Iterable[os.DirEntry[str]]") -> "Iterator[tuple[str, int, os.DirEntry[str]]]":
    """Yield series, number and entry of the numbered pictures among the entries of a folder.

    Links that lead nowhere are pictures, too: a frame that is missing must not go unnoticed.
    """
    for entry in entries:
        stem, ending = os.path.splitext(entry.name)
        name = stem.rstrip(digits)
        if name != stem and ending.lower() in ENDINGS and not entry.is_dir():
            yield name, int(stem[len(name) :]), entry


def _entries(folder: Path) -> "list[os.DirEntry[str]]":
    """Return what is in a folder and not hidden."""
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]
