"""Write files atomically (temporary name, fsync, rename), and quarantine damaged ones.

A file exists only when it is whole.
"""

import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

from pipeline.errors import DamagedStore, lack_of_memory, naming

FOREIGN_AGE_S = 24 * 3600
"""Seconds without a write after which a temporary file of another machine counts as abandoned."""
MARK = "kinescope"
"""Part of a temporary file's name, by which it is known as one of ours."""
_TEMPORARY = re.compile(rf"\..+\.{MARK}-(?P<place>[^/.]+)-(?P<process>\d+)\.tmp(\.\w+)?")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; when the block ends without error, sync it and rename it to ``path``.

    When the block raises, the temporary file is removed and ``path`` stays as it was. The temporary name carries host
    and process, so that two writers never share one, and those of killed processes can be recognised.

    Parameters
    ----------
    path
        The file to write or replace; its folder is made where it is missing.

    Yields
    ------
    Path
        The file to write to, which does not exist yet.

    Raises
    ------
    OSError
        Where the file cannot be written; for lack of space it names ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        with naming(path):
            yield temporary
            sync(temporary)
            os.replace(temporary, path)
            sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def copy(source: Path, path: Path) -> None:
    """Make ``path`` a file with the content of ``source``, atomically: a hard link where the file system has them."""
    with atomic_path(path) as temporary:
        try:
            os.link(source, temporary, follow_symlinks=False)
        except OSError:
            shutil.copyfile(source, temporary)


def link(path: Path, target: str) -> None:
    """Make ``path`` a symbolic link to ``target``, atomically."""
    temporary = _temporary(path)
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, path)


def sweep(folder: Path) -> list[Path]:
    """Remove, at any depth, the temporary files of this host's processes that no longer run, and return their paths.

    No link is followed. Whether a process of another host, or of another container, still runs cannot be told here.
    """
    found = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
    abandoned = [path for path in found if (owner := _owner(path)) and owner.place == _place() and not owner.runs]
    for path in abandoned:
        path.unlink(missing_ok=True)
    return abandoned


def is_in_use(path: Path) -> bool:
    """Return whether a file is a temporary one that a process may still be writing.

    Examples
    --------
    >>> is_in_use(Path("features.h5"))
    False
    """
    return _owner(path) is not None and not is_abandoned(path)


def is_abandoned(path: Path) -> bool:
    """Return whether a temporary file is of no process of this host any more, or of another host and a day old."""
    owner = _owner(path)
    if owner is None:
        return False
    if owner.place == _place():
        return not owner.runs
    try:
        return time.time() - path.lstat().st_mtime > FOREIGN_AGE_S
    except FileNotFoundError:  # its writer was done with it
        return False


def quarantine(path: Path, error: Exception) -> NoReturn:
    """Rename a damaged file to ``<name>.damaged-<n>``, and raise DamagedStore.

    Parameters
    ----------
    path
        The damaged file.
    error
        What reading it raised. One with an ``errno`` comes from the operating system (no such file, too many open
        files), and the file is no more at fault for a lack of memory: it keeps its name, and the error is raised as it
        is.

    Raises
    ------
    DamagedStore
        Naming the file, the reason and the new name.
    """
    if getattr(error, "errno", None) is not None or lack_of_memory(error):
        raise error
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    with suppress(FileNotFoundError):  # another reader was faster
        os.replace(path, aside)
    raise DamagedStore(f"{path} is damaged ({error}); it was set aside as {aside.name}: run again to make it anew")


def sync(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{MARK}-{_place()}-{os.getpid()}.tmp{path.suffix}")


class _Owner(NamedTuple):
    """Process that made a temporary file, and the host or container in which its number is unique."""

    place: str
    process: int

    @property
    def runs(self) -> bool:
        """Whether a process of this number runs, if the place is this one."""
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # it lives, and is another user's
            return True
        return True


def _owner(path: Path) -> _Owner | None:
    name = _TEMPORARY.fullmatch(path.name)
    return _Owner(name["place"], int(name["process"])) if name else None


def _place() -> str:
    """Name the space in which a process number is unique: the host, and its container where there is one."""
    host = socket.gethostname().replace(".", "_")
    try:
        return f"{host}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return host
