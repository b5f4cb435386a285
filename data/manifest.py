"""Reading of CSV manifests, which list a user's own data."""

import codecs
import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from data.base import video_id
from data.files import Finder, is_there
from data.modality import NAMED_SKELETON_ENDINGS, Modality, holds_frames, modality
from data.protocols import Side
from data.remarks import remark, some_of
from pipeline.errors import InputError
from pipeline.files.names import composed, printable

COLUMNS = ("path", "label", "subject", "split", "start_frame", "end_frame")
"""Columns of a manifest, of which the first two are required; others are left out, and the remarks name them.

A path, of a file or of a folder of numbered pictures, is relative to the manifest's folder, or absolute; split is
train, test, or val or validation. The range of frames is half-open and counted from 0: start_frame belongs to it,
end_frame does not; both are empty for a whole video. Of skeleton files that number their frames, as
UTKinect-Action3D's, it is one of these numbers."""
Split = Literal["train", "test", "validation"]
_SPLITS: dict[str, Split] = {"train": "train", "test": "test", "val": "validation", "validation": "validation"}
_SEPARATORS = ",;\t"
_FRAME = re.compile(r"[0-9]{1,9}")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled file, folder of numbered pictures, or segment of one.

    Attributes
    ----------
    place : str
        File and line, or folder, that lists it, for messages.
    name : str
        Path of its file without the extension, below the root where it lies there.
    path : Path
        Absolute path of the file or folder.
    modality : str
        "video" or "skeleton".
    label : str
        Name of its class.
    subject : str
        Person or group that protocols by subject keep together; "" where there is none.
    split : str
        "train", "test" or "validation"; "" where there is no such column.
    frames : tuple of int, or None
        Half-open range of frames, counted from 0; None for the whole file.
    of_pictures : bool
        Whether it is a folder of numbered pictures.
    """

    place: str
    name: str
    path: Path
    modality: Modality
    label: str
    subject: str = ""
    split: Split | Literal[""] = ""
    frames: tuple[int, int] | None = None
    of_pictures: bool = False

    @property
    def ending(self) -> str:
        """Extension of the file; a folder has none, whatever its name is."""
        return "" if self.of_pictures else self.path.suffix

    @property
    def id(self) -> str:
        """Id of its video."""
        return video_id(self.name if self.frames is None else f"{self.name}@{self.frames[0]}-{self.frames[1]}")


class Examples(NamedTuple):
    """Examples, and sentences on what was left out, or taken otherwise than it is written."""

    examples: list[Example]
    remarks: tuple[str, ...]


def side(example: Example, train_on_validation: bool) -> Side | None:
    """Return the half of the manifest's split to which an example belongs; None where it has no such column."""
    if example.split == "validation":
        return "train" if train_on_validation else "unused"
    return example.split or None


def read_existing(manifest: Path, root: Path) -> Examples:
    """Read a manifest as ``read_manifest`` does, and raise InputError that counts missing files, if any."""
    read = read_manifest(manifest, root)
    missing = [example for example in read.examples if not (example.of_pictures or is_there(example.path))]
    if missing:
        first, many = f"{missing[0].place}: {missing[0].path}", f"{len(missing)} of {len(read.examples)}"
        raise InputError(f"{many} files in the manifest are missing, the first in {first}")
    return read


def read_manifest(manifest: Path, root: Path) -> Examples:
    """Read the examples of a manifest, in its order, including those whose files are missing.

    Parameters
    ----------
    manifest : Path
        The CSV file, in UTF-8, UTF-16 with a byte order mark, or Latin-1, separated by commas, semicolons or tabs.
    root : Path
        Folder that ids are relative to.

    Raises
    ------
    InputError
        Where the file cannot be read, or a line is wrong; it names the line.
    """
    text, as_latin_1 = _decoded(manifest)
    rows = _rows(text, manifest)
    place, first = next(rows, (f"{manifest}, line 1", []))
    columns = [name.strip() for name in first]
    ignored = _check_columns(columns, place)
    read = told_apart(list(_examples(rows, columns, manifest.parent, root)))
    return Examples(read.examples, (*as_latin_1, *ignored, *read.remarks))


def told_apart(examples: Sequence[Example]) -> Examples:
    """Give the extension to the names of files that differ in nothing else; one of another kind goes with each.

    Raises InputError where the extension does not tell two of them apart, either.
    """
    files: dict[str, dict[Modality, set[Path]]] = {}
    for example in examples:
        files.setdefault(example.id, {}).setdefault(example.modality, set()).add(example.path)
    alike = {id: sorted(most) for id, kinds in files.items() if len(most := max(kinds.values(), key=len)) > 1}
    if not alike:
        return Examples(list(examples), ())

    endings = {example.path: example.ending for example in examples}
    for id, paths in alike.items():
        _check_endings(id, {path: endings[path] for path in paths})

    def names(example: Example) -> list[str]:
        paths = alike.get(example.id, ())
        own = [example.path] if example.path in paths else paths
        return [example.name + endings[path] for path in own] or [example.name]

    named = [replace(example, name=name) for example in examples for name in names(example)]
    groups = [" and ".join(path.name for path in paths) for paths in alike.values()]
    one, several = (
        f"{which} told apart by extension alone, and counted as different videos; where they are copies, keep one"
        for which in ("group of files is", "groups of files are")
    )
    again = told_apart(named)  # the new name may be that of a.mp4.avi
    return Examples(again.examples, (*remark(groups, one, several), *again.remarks))


def _check_endings(id: str, endings: Mapping[Path, str]) -> None:
    """Raise InputError where two of the paths with one id have one ending: as of folders, or in and beside the root."""
    with_ending: dict[str, Path] = {}
    for path, ending in endings.items():
        other = with_ending.setdefault(ending, path)
        if other != path:
            raise InputError(
                f"{other} and {path} would both be the video {id!r}; rename one, or list the files of one folder"
            )


def _decoded(manifest: Path) -> tuple[str, tuple[str, ...]]:
    """Return the text of a manifest, and a remark where its encoding is a guess."""
    try:
        content = manifest.read_bytes()
    except OSError as error:
        raise InputError(f"{manifest}: {error.strerror}; a CSV manifest is needed there") from None
    try:
        return content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig"), ()
    except UnicodeDecodeError as error:
        if b"\0" in content or content.startswith(_UTF_16):
            raise InputError(f"{manifest}: not a CSV file in UTF-8: {error}") from None
    try:
        text = content.decode("cp1252")  # which has all letters of Latin-1, and those that Windows adds
    except UnicodeDecodeError as error:
        raise InputError(f"{manifest}: neither UTF-8 nor Latin-1 ({error}); save it anew, as UTF-8") from None
    return text, (f"{manifest} is not UTF-8, and is read as Latin-1; where letters come out wrong, save it as UTF-8",)


def _rows(text: str, manifest: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the rows that are not blank, each after its place. Raises InputError that names a malformed one."""
    ended = 0
    try:
        lines = io.StringIO(text, newline="")
        reader = csv.reader(lines, delimiter=_separator(text), strict=True, skipinitialspace=True)
        for row in reader:
            ended = reader.line_num
            if row:
                yield f"{manifest}, line {ended}", row
    except csv.Error as error:
        raise InputError(
            f"{manifest}, line {ended + 1}: no row of a CSV file begins here ({error}); quotes must enclose a cell"
        ) from None


def _separator(text: str) -> str:
    """Return the separator that makes most known columns of the first line that is not blank."""
    first = next(filter(str.strip, text.splitlines()), "")

    def known(separator: str) -> int:
        cells = next(csv.reader([first], delimiter=separator, skipinitialspace=True), [])
        return len(set(map(_plain, cells)) & set(map(_plain, COLUMNS)))

    return max(_SEPARATORS, key=known)


def _check_columns(columns: Sequence[str], place: str) -> tuple[str, ...]:
    """Remark on columns that are left out. Raises InputError where some are wrong."""
    others = [name for name in columns if name not in COLUMNS]
    for name in others:
        for column in COLUMNS:
            if _one_edit_apart(_plain(name), _plain(column)):
                raise InputError(f"{place}: unknown column {name!r}: did you mean {column!r}? ({', '.join(COLUMNS)})")
    known = [name for name in columns if name in COLUMNS]
    needed = ["path", "label", *(("start_frame", "end_frame") if {"start_frame", "end_frame"} & {*known} else ())]
    missing = [name for name in needed if name not in known]
    if missing or len(set(known)) < len(known):
        fault = f"no column {missing[0]}" if missing else "a column twice"
        raise InputError(
            f"{place}: {fault}; a manifest starts with a line path,label and may add {','.join(COLUMNS[2:])}"
        )
    named = some_of([repr(name) for name in others])
    return (f"{place}: columns that are not known are left out: {named}",) if others else ()


def _plain(name: str) -> str:
    """Return the name of a column without capitals and separators of words.

    >>> _plain("Start-Frame "), _plain("start_frame")
    ('startframe', 'startframe')
    """
    return re.sub(r"[\s_-]", "", name.casefold())


def _one_edit_apart(one: str, other: str) -> bool:
    """Return whether a letter that is missing, added, replaced or swapped with its neighbour is all the difference.

    >>> _one_edit_apart("spilt", "split"), _one_edit_apart("lable", "label"), _one_edit_apart("comment", "label")
    (True, True, False)
    """
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    return max(len(one), len(other)) <= 1 or (len(one) == 2 and one == other[::-1])


def _examples(
    rows: Iterable[tuple[str, list[str]]], columns: Sequence[str], folder: Path, root: Path
) -> Iterator[Example]:
    """Yield the example of each row, whose path is relative to the folder."""
    finder = Finder()
    for place, row in rows:
        if len(row) != len(columns):
            raise InputError(
                f"{place}: the line does not have {len(columns)} cells; the columns are {', '.join(columns)}"
            )
        if any("\0" in cell for cell in row):
            raise InputError(f"{place}: a NUL character; no path and no name may have one")
        cells = dict(zip(columns, map(str.strip, row), strict=True))
        _check_filled(cells, place)
        yield _example(cells, place, finder.find(Path(os.path.normpath(folder / cells["path"]))), root)


def _check_filled(cells: Mapping[str, str], place: str) -> None:
    for name in ("path", "label", "subject"):
        if name in cells and not cells[name]:
            raise InputError(f"{place}: the {name} is empty; where there is such a column, each line needs one")


def _example(cells: Mapping[str, str], place: str, path: Path, root: Path) -> Example:
    of_pictures = os.path.isdir(path)
    if of_pictures and (path == root or not holds_frames(path)):
        raise InputError(
            f"{place}: {path} is a folder; each line must name a file, or a folder with numbered pictures such as "
            "img_00001.jpg and no video file in it"
        )
    kind = "video" if of_pictures else modality(path)
    if kind is None:
        raise InputError(
            f"{place}: {path.name} is neither a video, such as .mp4 or .avi, nor a skeleton file "
            f"({NAMED_SKELETON_ENDINGS})"
        )
    below = path.relative_to(root if path.is_relative_to(root) else path.anchor)
    name = (below if of_pictures else below.with_suffix("")).as_posix()
    return Example(
        place=place,
        name=name,
        path=path,
        modality=kind,
        label=composed(cells["label"]),
        subject=composed(cells.get("subject", printable(name) if "start_frame" in cells else "")),
        split=_split(cells["split"], place) if "split" in cells else "",
        frames=_frames(cells.get("start_frame", ""), cells.get("end_frame", ""), place),
        of_pictures=of_pictures,
    )


def _split(cell: str, place: str) -> Split:
    if cell not in _SPLITS:
        raise InputError(f"{place}: split {cell!r}; it must be train or test, or val for neither")
    return _SPLITS[cell]


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
