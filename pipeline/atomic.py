"""A file exists only when it is whole: temporary name, fsync, rename; what is damaged loses its name."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from pipeline.errors import NO_SPACE, DamagedStore


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; when the block ends well it is synced and takes the name ``path``.

    When the block raises, the temporary file is removed and ``path`` stays as it was; an OSError for lack of space
    names ``path``. The temporary name carries host and process, so that two writers never share one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        if error.errno in NO_SPACE:  # told by a write, which knows no name
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def point(link: Path, target: str) -> None:
    """Make ``link`` a symbolic link to ``target``, whatever it was before."""
    temporary = _temporary(link)
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def set_aside(path: Path, error: Exception) -> NoReturn:
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


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{socket.gethostname()}-{os.getpid()}.tmp{path.suffix}")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
