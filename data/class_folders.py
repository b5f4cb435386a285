"""Reading of a user's own data without a manifest: one folder for each class."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from data.files import is_file, is_folder, visible
from data.manifest import COLUMNS, Example, Examples, told_apart
from data.modality import holds_numbers, holds_video, is_ambiguous, modality
from data.remarks import remark
from pipeline.errors import InputError
from pipeline.files.names import printable


def read_class_folders(root: Path) -> Examples:
    """Read the examples in the folders of a root, each of which is a class and holds its files.

    A file whose extension does not tell is a video where it holds one. Where there is any video, a text is a skeleton
    file only beside a video of the same name, and only if it begins with numbers.

    Raises
    ------
    InputError
        Where a folder cannot be read, lies within a class's folder, or holds no example.
    """
    entries = visible(root)
    folders = [Path(entry.path) for entry in entries if is_folder(entry)]
    strays = [entry.name for entry in entries if not is_folder(entry)]
    files = [entry for folder in folders for entry in _files(folder)]
    found = [example for entry in files if (example := _example(entry))]
    videos = {example.name for example in found if example.modality == "video"}
    taken = told_apart([example for example in found if not videos or _belongs(example, videos)])
    used = {str(example.path) for example in taken.examples}
    if empty := sorted({*folders} - {example.path.parent for example in taken.examples}):
        raise InputError(
            f"{empty[0]}: no video and no skeleton file (.txt) in it; each folder in the root must be a class"
        )
    left_out = [*strays, *(_shown(entry.path) for entry in files if entry.path not in used)]
    guessed = [_shown(path) for path in sorted(used) if is_ambiguous(Path(path))]
    return Examples(taken.examples, (*_left_out(left_out), *_guessed(guessed), *taken.remarks))


def _files(folder: Path) -> "Iterator[os.DirEntry[str]]":
    """Yield what lies in the folder of a class. Raises InputError where a folder does."""
    for entry in visible(folder):
        if is_folder(entry):
            raise InputError(
                f"{entry.path}: a folder within a class's folder; the files must lie directly in the class's folder, "
                f"or a manifest with the columns {', '.join(COLUMNS)} must list them"
            )
        yield entry


def _example(entry: "os.DirEntry[str]") -> Example | None:
    """Return the example in a file; None where it is neither a video nor a skeleton file."""
    path = Path(entry.path)
    kind = modality(path) if is_file(entry) else None
    if kind is None or (is_ambiguous(path) and not holds_video(path)):
        return None
    folder = path.parent.name
    return Example(entry.path, f"{folder}/{path.stem}", path, kind, printable(folder))


def _belongs(example: Example, videos: Collection[str]) -> bool:
    return example.modality == "video" or (example.name in videos and holds_numbers(example.path))


def _shown(path: str) -> str:
    return "/".join(Path(path).parts[-2:])


def _left_out(names: list[str]) -> tuple[str, ...]:
    why = "not taken, as neither a video nor a skeleton file in the folder of a class"
    return remark(names, f"file is {why}", f"files are {why}")


def _guessed(names: list[str]) -> tuple[str, ...]:
    how = "by what it holds, as the extension does not tell"
    return remark(names, f"file is taken as a video {how}", f"files are taken as videos {how}")
