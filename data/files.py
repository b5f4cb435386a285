"""Files of a data set: those in a folder, and those that a list names."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.errors import UNREADABLE, InputError
from pipeline.files.names import by_spelling, composed


def visible(folder: Path) -> "list[os.DirEntry[str]]":
    """Return what is in a folder and not hidden, by name. Raises InputError where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(folder, error) from None


def is_file(entry: "os.DirEntry[str]") -> bool:
    """Return whether an entry of a folder is a file, or a link to one or to nothing."""
    return is_there(entry.path) if entry.is_symlink() else entry.is_file()


def is_folder(entry: "os.DirEntry[str]") -> bool:
    """Return whether an entry of a folder is a folder, or a link to one."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def is_there(path: str | Path) -> bool:
    """Return whether a path is a file, or a link to one or to nothing."""
    return os.path.isfile(path) or is_dangling(path)


def is_dangling(path: str | Path) -> bool:
    """Return whether a path is a link that leads nowhere."""
    return os.path.islink(path) and not os.path.exists(path)


class Finder:
    """Finds the files that a list names, whose names may be spelt otherwise on the disk.

    The exact name wins; ``by_spelling`` says which others are tried. Each folder is read once.
    """

    def __init__(self) -> None:
        self._names: dict[Path, Mapping[str, str]] = {}

    def find(self, path: Path) -> Path:
        """Return an absolute path as it is spelt on the disk; as it is given where there is no such file."""
        if os.path.lexists(path):
            return path
        found = Path(path.anchor)
        for part in path.parts[1:]:
            spelling = part if os.path.lexists(found / part) else self._spelling(found, part)
            if spelling is None:
                return path
            found /= spelling
        return found

    def _spelling(self, folder: Path, name: str) -> str | None:
        if folder not in self._names:
            self._names[folder] = by_spelling({each: each for each in _names(folder)})
        known = self._names[folder]
        return known.get(name) or known.get(composed(name))


def _names(folder: Path) -> Iterator[str]:
    """Yield the names in a folder; none where it is no folder that can be read."""
    try:
        yield from os.listdir(folder)
    except OSError as error:
        if error.errno not in UNREADABLE:
            raise _unreadable(folder, error) from None


def _unreadable(folder: Path, error: OSError) -> InputError:
    return InputError(f"{folder}: {error.strerror}; a readable folder is needed")
