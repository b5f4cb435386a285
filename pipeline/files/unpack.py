"""Unpacks zip archives of others: nothing is written outside the folder, and each file appears whole."""

import shutil
import stat
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from pipeline.errors import InputError
from pipeline.files.atomic import atomic_path
from pipeline.files.names import printable
from pipeline.files.progress import Bar

_ENCRYPTED = 0x1


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
    try:
        with ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            for entry in entries:
                _check(entry)
            chosen = [entry for entry in entries if wanted(entry.filename)]
            for entry in Bar(chosen, desc=f"unpacking {archive.name}", unit="file"):
                with atomic_path(folder / entry.filename) as temporary, open(temporary, "wb") as file:
                    shutil.copyfileobj(opened.open(entry), file)
    except (BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise InputError(f"{archive.name} is no whole zip archive ({error})") from None


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
