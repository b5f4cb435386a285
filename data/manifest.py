"""Reading of CSV manifests, which list a user's own data."""

import csv
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data.official import VIDEO_EXTENSIONS
from pipeline.config import unknown
from pipeline.errors import InputError

COLUMNS = ("path", "label", "subject", "split", "start_frame", "end_frame")
"""Columns of a manifest, of which the first two are required.

A path is relative to the manifest's folder, or absolute; split is train or test. The range of frames is half-open and
counted from 0: start_frame belongs to it, end_frame does not; both are empty for a whole file."""
_FRAME = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled file or segment.

    Attributes
    ----------
    place : str
        File and line, or folder, that lists it, for messages.
    id : str
        Id of its video.
    path : Path
        Absolute path of the file.
    modality : str
        "video" or "skeleton".
    label : str
        Name of its class.
    subject : str
        Person or group that protocols by subject keep together; "" where there is none.
    split : str
        "train" or "test"; "" where there is no such column.
    frames : tuple of int, or None
        Half-open range of frames, counted from 0; None for the whole file.
    """

    place: str
    id: str
    path: Path
    modality: str
    label: str
    subject: str = ""
    split: Literal["train", "test", ""] = ""
    frames: tuple[int, int] | None = None


def modality(path: Path) -> str | None:
    """Return the kind of file that the extension indicates: "video", "skeleton", or None for another.

    >>> modality(Path("run.AVI")), modality(Path("run.txt")), modality(Path("run.csv"))
    ('video', 'skeleton', None)
    """
    extension = path.suffix.lower()
    return "video" if extension in VIDEO_EXTENSIONS else "skeleton" if extension == ".txt" else None


def read_existing(manifest: Path, root: Path) -> list[Example]:
    """Read a manifest as ``read_manifest`` does, and raise InputError that counts missing files, if any."""
    examples = read_manifest(manifest, root)
    missing = [example for example in examples if not os.path.isfile(example.path)]
    if missing:
        first = f"{missing[0].place}: {missing[0].path}"
        raise InputError(f"{len(missing)} of {len(examples)} files in the manifest are missing, the first in {first}")
    return examples


def read_manifest(manifest: Path, root: Path) -> list[Example]:
    """Read the examples of a manifest, in its order, including those whose files are missing.

    Parameters
    ----------
    manifest : Path
        The CSV file.
    root : Path
        Folder that ids are relative to.

    Raises
    ------
    InputError
        Where the file cannot be read, or a line is wrong; it names the line.
    """
    try:
        with open(manifest, newline="", encoding="utf-8-sig") as file:
            return list(_examples(csv.DictReader(file, strict=True, skipinitialspace=True), manifest, root))
    except OSError as error:
        raise InputError(f"{manifest}: {error.strerror}; a CSV manifest is needed there") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{manifest}: not a CSV file in UTF-8: {error}") from None


def _examples(reader: "csv.DictReader[str]", manifest: Path, root: Path) -> Iterator[Example]:
    columns = [name.strip() for name in reader.fieldnames or ()]
    _check(columns, f"{manifest}, line 1")
    reader.fieldnames = columns
    for cells in reader:
        place = f"{manifest}, line {reader.line_num}"
        if None in cells or None in cells.values():
            raise InputError(
                f"{place}: the line does not have {len(columns)} cells; the columns are {', '.join(columns)}"
            )
        if any("\0" in cell for cell in cells.values()):
            raise InputError(f"{place}: a NUL character; no path and no name may have one")
        yield _example({name: cell.strip() for name, cell in cells.items()}, place, manifest, root)


def _check(columns: Sequence[str], place: str) -> None:
    for name in columns:
        if name not in COLUMNS:
            raise InputError(f"{place}: {unknown('column', name, COLUMNS)}")
    needed = ["path", "label", *(("start_frame", "end_frame") if {"start_frame", "end_frame"} & {*columns} else ())]
    missing = [name for name in needed if name not in columns]
    if missing or len(set(columns)) < len(columns):
        fault = f"no column {missing[0]}" if missing else "a column twice"
        raise InputError(
            f"{place}: {fault}; a manifest starts with a line path,label and may add {','.join(COLUMNS[2:])}"
        )


def _example(cells: Mapping[str, str], place: str, manifest: Path, root: Path) -> Example:
    for name in {"path", "label", "subject"} & cells.keys():
        if not cells[name]:
            raise InputError(f"{place}: the {name} is empty; where there is such a column, each line needs one")
    path = Path(os.path.normpath(manifest.parent / cells["path"]))
    kind = modality(path)
    if kind is None:
        videos = " ".join(sorted(VIDEO_EXTENSIONS))
        raise InputError(f"{place}: {path.name} is neither a video ({videos}) nor a skeleton file (.txt)")
    file_id = path.relative_to(root if path.is_relative_to(root) else path.anchor).with_suffix("").as_posix()
    frames = _frames(cells.get("start_frame", ""), cells.get("end_frame", ""), place)
    return Example(
        place=place,
        id=f"{file_id}@{frames[0]}-{frames[1]}" if frames else file_id,
        path=path,
        modality=kind,
        label=cells["label"],
        subject=cells.get("subject", file_id if "start_frame" in cells else ""),
        split=_split(cells["split"], place) if "split" in cells else "",
        frames=frames,
    )


def _split(cell: str, place: str) -> Literal["train", "test"]:
    sides: dict[str, Literal["train", "test"]] = {"train": "train", "test": "test"}
    if cell not in sides:
        raise InputError(f"{place}: split {cell!r}; it must be train or test")
    return sides[cell]


def _frames(start: str, end: str, place: str) -> tuple[int, int] | None:
    """Parse the half-open range, None where both cells are empty."""
    if not start and not end:
        return None
    if not all(_FRAME.fullmatch(cell) for cell in (start, end)):
        raise InputError(
            f"{place}: frames {start!r} to {end!r}; two whole numbers below 10⁹ are needed, or two empty cells"
        )
    if int(start) >= int(end):
        raise InputError(
            f"{place}: frames {start} to {end}; start_frame must be below end_frame, which is not included"
        )
    return int(start), int(end)
