"""A file exists only when it is whole: temporary name, fsync, rename; what is damaged loses its name."""

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from pipeline.errors import NO_SPACE, DamagedStore

FOREIGN_AGE_S = 24 * 3600
"""A temporary file of another machine is a leftover when it was not written to for so long."""
_TEMPORARY = re.compile(r"\..+\.(?P<place>[^/.]+)-(?P<process>\d+)\.tmp(\.\w+)?")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; when the block ends well it is synced and takes the name ``path``.

    When the block raises, the temporary file is removed and ``path`` stays as it was; an OSError for lack of space
    names ``path``. The temporary name carries host and process, so that two writers never share one, and leftovers of
    killed ones are known.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        if error.errno in NO_SPACE and error.filename is None:  # a write knows no name
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def link(path: Path, target: str) -> None:
    """Make ``path`` a symbolic link to ``target``, atomically."""
    temporary = _temporary(path)
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, path)


def sweep(folder: Path) -> list[Path]:
    """Remove, at any depth, the temporary files of processes that are no more; returns them."""
    found = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names if _TEMPORARY.fullmatch(name)]
    leftovers = [path for path in found if _abandoned(path)]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return leftovers


def is_in_use(path: Path) -> bool:
    """Whether a file is a temporary one that a process may be writing."""
    return _TEMPORARY.fullmatch(path.name) is not None and not _abandoned(path)


def quarantine(path: Path, error: Exception) -> NoReturn:
    """Give a damaged file another name, and raise DamagedStore that says so.

    An ``error`` of the operating system's (no such file, too many open ones) is raised as it is: the file is not at
    fault.
    """
    if getattr(error, "errno", None) is not None:
        raise error
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    with suppress(FileNotFoundError):  # another reader was faster
        os.replace(path, aside)
    raise DamagedStore(f"{path} is damaged ({error}); it was set aside as {aside.name}: run again to make it anew")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{_place()}-{os.getpid()}.tmp{path.suffix}")


def _abandoned(path: Path) -> bool:
    named = _TEMPORARY.fullmatch(path.name)
    assert named
    try:
        written = path.lstat().st_mtime
    except FileNotFoundError:  # its writer was done with it
        return False
    if named["place"] != _place():
        return time.time() - written > FOREIGN_AGE_S
    try:
        os.kill(int(named["process"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it lives, and is another user's
        return False
    return False


def _place() -> str:
    """Where a process number means something: the host, and the container where there is one."""
    host = socket.gethostname().replace(".", "_")
    try:
        return f"{host}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return host
