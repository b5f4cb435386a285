"""A list of videos without labels: what a trained recognizer is asked about, or features alone are computed of."""

import csv
import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from glob import glob, has_magic
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from data.base import Dataset, Fold, Listing, Video, by_id, video_id
from data.files import is_file, is_folder, is_there, visible
from data.modality import (
    NAMED_SKELETON_ENDINGS,
    SKELETON_ENDINGS,
    Modality,
    holds_frames,
    holds_video,
    is_ambiguous,
    modality,
)
from data.remarks import remark
from pipeline.errors import InputError, UnusableVideo
from pipeline.files.names import FileName
from pipeline.files.numbered_pictures import ENDINGS as PICTURES
from pipeline.files.numbered_pictures import MAX_FPS, MIN_FPS, Rate
from pipeline.files.progress import Bar
from pipeline.files.records import load_record, read_record, write_record
from pipeline.files.user_input import resolve
from pipeline.fingerprint import short_digest
from pipeline.results import recognizer

LIST = "videos.json"
COLUMN = "path"
"""Column of a CSV file of paths; one without a header has the paths in its first column."""


MIN_STRIDE_S = 0.001
"""Shortest distance of two windows, to which their names tell them apart."""
_ANNOTATED = re.compile(r"annotated-[0-9a-f]{12}")
"""Names of the folders in which answers about videos leave copies of them."""
_OF_FLOW = re.compile(r"[xyuv]|(.*[^a-z])?flow([^a-z]?[xyuv])?")
"""Names of folders of flow, in lower case, as the field's tools give them: tvl1/u/clip/frame1.jpg, clip/x/1.jpg."""
_OF_SKELETONS = "_skeleton3D"
"""End of the names of MSR Action3D's files, before the extension."""
_ENDINGS: dict[Modality, str] = {"video": ".mp4", "skeleton": SKELETON_ENDINGS[0]}


class Listed(BaseModel):
    """Content of a list.

    Attributes
    ----------
    videos : dict
        Each video's files by modality, by its id.
    windows : dict
        Of videos that are asked about window by window, beginning and end of each window in seconds, by its own id.
    remarks : tuple of str
        Sentences on what was left out.
    fps : float, or None
        Frames a second of the videos that are folders of pictures; None where all are files.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    videos: dict[str, dict[Modality, FileName]]
    windows: dict[str, dict[str, tuple[float, float]]] = {}
    remarks: tuple[str, ...] = ()
    fps: Rate | None = None

    @model_serializer(mode="wrap")
    def _files_alone_as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        table: dict[str, Any] = dump(self)
        return {name: value for name, value in table.items() if name != "fps" or value is not None}


class Given(Dataset):
    """Videos that were given one by one, without labels.

    The classes are those of a recognizer, where one is asked, and so are the names of the folds; every fold tests all
    of the videos.
    """

    name: Literal["given"] = "given"

    root: str = Field(min_length=1, description="folder of the list")
    recognizer: str | None = Field(None, description="folder of the recognizer that is asked; None: features alone")

    @property
    def location(self) -> Path:
        return Path(self.root)

    @property
    def store_name(self) -> str:
        return "-".join(filter(None, (self.name, self.recognizer and Path(self.recognizer).name)))

    def listing(self, root: Path) -> Listing:
        found = read_record(root / LIST, Listed)
        classes = recognizer.read(Path(self.recognizer)).classes if self.recognizer else ()
        videos = []
        for id, named in found.videos.items():
            files: dict[str, Path] = {kind: Path(path) for kind, path in named.items()}
            fps = found.fps if "video" in files and files["video"].is_dir() else None
            windows = found.windows.get(id, {})
            videos += [Video(window, files, (), span_s=span, fps=fps) for window, span in windows.items()]
            videos += [] if windows else [Video(id, files, (), fps=fps)]
        return Listing(classes, by_id(videos), found.remarks)

    def split_files(self, root: Path) -> list[Path]:
        return [Path(self.recognizer) / recognizer.TABLE] if self.recognizer else []

    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        names = recognizer.read(Path(self.recognizer)).folds if self.recognizer else (self.name,)
        return tuple(Fold(name, (), tuple(video.id for video in listing.videos)) for name in names)


def write_list(lists: Path, videos: Listed) -> Path:
    """Write a list below ``lists``, unless it is there whole, and return its folder, whose name tells the content."""
    content = videos.model_dump(mode="json")
    folder = lists / short_digest(content)
    try:
        there = load_record(folder / LIST, Listed) == videos
    except (OSError, ValueError):
        there = False
    if not there:
        write_record(folder / LIST, content)
    return folder


def check_fps(fps: float | None) -> None:
    """Raise InputError where a number of pictures a second is none that a list may have."""
    if fps is not None and not MIN_FPS <= fps <= MAX_FPS:
        raise InputError(
            f"fps = {fps}; the number of pictures shown in a second is needed, from {MIN_FPS:g} to {MAX_FPS}"
        )


def gather(places: Iterable[str], kinds: frozenset[Modality], fps: float | None = None) -> Listed:
    """Find the files that are meant by paths of files and folders, patterns of them, and CSV files with a list.

    An id is the path below the folder in which all of them lie, without the extension where that tells them apart. A
    video and a skeleton file that differ in nothing but the extension, or in "_skeleton3D" before it, belong together
    where both kinds are read; where one is missing, its path is what it would be.

    Parameters
    ----------
    places
        Paths and patterns, from the working directory. In a folder, at any depth, files are taken that have the ending
        of a kind that is read, but not the annotated copies of earlier answers, and no pictures in folders below it
        that are named as those of flow are; what is named by itself is taken whatever its ending or name is.
    kinds
        The kinds of files that are read.
    fps
        Frames a second of videos that are folders of numbered pictures. Where it is not known, no folder is a video.

    Raises
    ------
    InputError
        Naming a place where there is nothing, or where no file is left; where ``fps`` is no rate.
    """
    check_fps(fps)
    files: dict[Path, Modality] = {}
    passed: list[str] = []
    of_flow: list[str] = []
    for place in places:
        for path, kind in _meant(place, kinds, fps):
            if kind in kinds:
                files.setdefault(path, kind)
            else:
                (of_flow if path.is_dir() else passed).append(str(path))
    if not files:
        hint = "; pictures are frames of a video where fps is known" if _are_pictures(passed) and fps is None else ""
        hint += f"; {of_flow[0]} is taken for flow, and may be named by itself" if of_flow else ""
        raise InputError(
            f"no {' and no '.join(sorted(kinds))} file was found; paths of files or folders are needed{hint}"
        )
    what = " or ".join(
        sorted({"video": "a video", "skeleton": f"a skeleton file ({NAMED_SKELETON_ENDINGS})"}[kind] for kind in kinds)
    )
    left_out = remark(passed, f"file is not taken, as it is not {what}", f"files are not taken, as they are not {what}")
    videos = {id: _complete(found, kinds) for id, found in _by_id(files).items()}
    why = "not taken, as flow lies in folders named x, y, u, v or flow; name such a one by itself where it is a video"
    left_out += remark(of_flow, f"folder of pictures is {why}", f"folders of pictures are {why}")
    return Listed(videos=videos, remarks=left_out, fps=fps if any(map(Path.is_dir, files)) else None)


def in_windows(listed: Listed, window_s: float, stride_s: float) -> Listed:
    """Divide videos into windows, of which every one begins a stride after the one before.

    The last one ends with the video, so that the stride before it may be shorter. A video no longer than one window
    is a single one, and one that cannot be read stays as it is, and will have its reason among the failures.

    Parameters
    ----------
    listed
        The videos, which have no skeletons.
    window_s, stride_s
        Length of a window, and distance from one to the next, in seconds, which is not above it.
    """
    from pipeline.video.duration import duration_s

    windows = {}
    for id, files in Bar(listed.videos.items(), desc="lengths of videos", unit="video"):
        with suppress(UnusableVideo, OSError):
            spans = _spans(duration_s(Path(files["video"]), listed.fps), window_s, stride_s)
            windows[id] = {f"{id}/{start:09.3f}-{end:09.3f}": (start, end) for start, end in spans}
    return listed.model_copy(update={"windows": windows})


def _spans(length_s: float, window_s: float, stride_s: float) -> list[tuple[float, float]]:
    """List the windows of a video of so many seconds.

    >>> _spans(9.5, window_s=4, stride_s=2), _spans(3, window_s=4, stride_s=2)
    ([(0.0, 4.0), (2.0, 6.0), (4.0, 8.0), (5.5, 9.5)], [(0.0, 3.0)])
    """
    last = max(0.0, length_s - window_s)
    starts = [stride_s * number for number in range(math.ceil((last - MIN_STRIDE_S) / stride_s))]
    spans = [(start, min(start + window_s, length_s)) for start in (*starts, last)]
    return [(round(float(start), 6), round(float(end), 6)) for start, end in spans]


def _meant(place: str, kinds: frozenset[Modality], fps: float | None) -> Iterator[tuple[Path, Modality | None]]:
    path = resolve(place)
    if path.is_dir():
        yield from _within(path, fps)
    elif path.suffix.lower() == ".csv" and path.is_file():
        for line in _paths(path):
            yield from _meant(line, kinds, fps)
    elif is_there(path):
        yield path, _kind(path) or next(iter(sorted(kinds, reverse=True)))
    elif has_magic(place) and (found := sorted(glob(os.path.expanduser(place), recursive=True))):
        for each in found:
            yield from _meant(each, kinds, fps)
    else:
        raise InputError(f"{place}: there is no such file or folder; paths of videos are needed")


def _kind(path: Path) -> Modality | None:
    kind = modality(path)
    return None if kind == "video" and is_ambiguous(path) and not holds_video(path) else kind


def _within(folder: Path, fps: float | None, of_flow: bool = False) -> Iterator[tuple[Path, Modality | None]]:
    """Yield files, and folders of pictures, in a folder, with their kinds: None of those that are not taken."""
    if fps is not None and holds_frames(folder):
        yield folder, None if of_flow else "video"
        return
    for entry in visible(folder):
        path = Path(entry.path)
        if is_folder(entry):
            if not _ANNOTATED.fullmatch(entry.name):
                yield from _within(path, fps, of_flow or _OF_FLOW.fullmatch(entry.name.lower()) is not None)
        elif is_file(entry):
            yield path, _kind(path)


def _are_pictures(names: Iterable[str]) -> bool:
    return any(os.path.splitext(name)[1].lower() in PICTURES for name in names)


def _stem(path: str) -> str:
    """Return a path without what may differ in the files of one video."""
    return path if os.path.isdir(path) else os.path.splitext(path)[0].removesuffix(_OF_SKELETONS)


def _paths(table: Path) -> Iterator[str]:
    """Yield the paths in a CSV file, from its folder. Raises InputError where it cannot be read."""
    try:
        with table.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = [row for row in csv.reader(file) if any(map(str.strip, row))]
    except (OSError, csv.Error) as error:
        raise InputError(f"{table}: {error}; a CSV file with a path in each line is needed") from None
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    column = header.index(COLUMN) if COLUMN in header else 0
    for number, row in enumerate(rows[COLUMN in header :], start=1 + (COLUMN in header)):
        if len(row) <= column or not row[column].strip():
            raise InputError(f"{table}, line {number}: no path in it; a CSV file with a path in each line is needed")
        yield str(table.parent / Path(row[column].strip()).expanduser())


def _by_id(files: dict[Path, Modality]) -> dict[str, dict[Modality, str]]:
    folder = os.path.commonpath([path.parent for path in files])
    names = {path: os.path.relpath(path, folder) for path in files}
    alike: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        alike[os.path.relpath(_stem(str(path)), folder)].append(path)
    videos: dict[str, dict[Modality, str]] = {}
    for stem, paths in sorted(alike.items()):
        if len({files[path] for path in paths}) == len(paths):
            videos[video_id(stem)] = {files[path]: str(path) for path in paths}
        else:
            videos |= {video_id(names[path]): {files[path]: str(path)} for path in paths}
    return videos


def _complete(found: dict[Modality, str], kinds: frozenset[Modality]) -> dict[Modality, str]:
    """Add where the files of the other kinds would lie: the video is then listed as one that cannot be used."""
    stem = _stem(next(iter(found.values())))
    return {**{kind: stem + _ENDINGS[kind] for kind in sorted(kinds)}, **found}
