"""Unpacks zip archives of others: nothing is written outside the folder, and each file appears whole."""

import errno
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from zipfile import ZipFile, ZipInfo

from pipeline.errors import InputError, lack_of_memory
from pipeline.files.atomic import atomic_path
from pipeline.files.names import printable
from pipeline.files.progress import Bar

_ENCRYPTED = 0x1
_PIECE = 1 << 20
"""Largest number of bytes that memory holds of a file."""


def unpack(archive: Path, folder: Path, wanted: Callable[[str], bool]) -> None:
    """Unpack the files of a zip archive that are wanted, by their paths in it, into a folder.

    Parameters
    ----------
    archive : Path
        The archive.
    folder : Path
        Folder to which the paths in the archive are relative.
    wanted : callable
        Returns whether a file is wanted, by its path in the archive.

    Raises
    ------
    InputError
        Where the archive is cut off or damaged, or has an entry that leads out of the folder, is a link or is
        encrypted, whether it is wanted or not: nothing is written then. Files before a damaged one stay.
    """
    with open(archive, "rb") as file:
        opened, entries = _entries(file, archive.name)
        chosen = [entry for entry in entries if wanted(entry.filename)]
        for entry in Bar(chosen, desc=f"unpacking {archive.name}", unit="file"):
            with atomic_path(folder / entry.filename) as temporary, open(temporary, "wb") as unpacked:
                unpacked.writelines(_pieces(opened, entry, archive.name))


def _entries(file: BinaryIO, name: str) -> tuple[ZipFile, list[ZipInfo]]:
    """Open an archive, and check all files in it."""
    with _damage_told(name):
        opened = ZipFile(file)
        entries = [entry for entry in opened.infolist() if not entry.is_dir()]
        for entry in entries:
            _check(entry)
    return opened, entries


def _pieces(opened: ZipFile, entry: ZipInfo, name: str) -> Iterator[bytes]:
    with _damage_told(name), opened.open(entry) as content:
        while piece := content.read(_PIECE):
            yield piece


@contextmanager
def _damage_told(name: str) -> Iterator[None]:
    """Raise InputError for whatever reading an archive ends in, as damage may end it in any way."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        of_the_disk = isinstance(error, OSError) and error.errno != errno.EINVAL  # which a place before its start gives
        if of_the_disk or lack_of_memory(error):
            raise
        raise InputError(f"{name} is no whole zip archive ({error})") from None


def _check(entry: ZipInfo) -> None:
    """Raise InputError for an entry that no archive of data needs."""
    path = PurePosixPath(entry.filename)
    name = printable(entry.filename)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in entry.filename or ":" in path.parts[0]:
        raise InputError(f"{name!r} in the archive leads out of the folder; nothing of it is unpacked")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise InputError(f"{name!r} in the archive is a link; nothing of it is unpacked")
    if entry.flag_bits & _ENCRYPTED:
        raise InputError(f"{name!r} in the archive is encrypted; nothing of it is unpacked")
