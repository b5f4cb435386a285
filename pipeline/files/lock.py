"""Let runs that share a store take turns at making the same file."""

import errno
import fcntl
import hashlib
import logging
import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import InputError

_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)


class _Bytes(NamedTuple):
    """Bytes of a lock file, up to its end where ``length`` is 0."""

    first: int
    length: int


_ALL = _Bytes(0, 0)


class _Held(threading.local):
    """Bytes that this thread holds, each with process and lock file: a forked child holds none."""

    def __init__(self) -> None:
        self.entries: set[tuple[int, str, _Bytes]] = set()


_held = _Held()


@contextmanager
def exclusive(wanted: Path, lock: Path) -> Iterator[None]:
    """Wait until nobody else is making ``wanted``, in this process or another, and keep others waiting meanwhile.

    Each path locks one byte of ``lock``, so that a single lock file serves all, and stays. The system releases the byte
    when a process dies. A thread that is inside, or has ``exclusive_of_all``, enters again at once. Where a file system
    has no locks nobody waits: work is then done twice.

    Parameters
    ----------
    wanted
        What the block makes.
    lock
        The lock file that all processes share.
    """
    digest = hashlib.blake2b(os.fsencode(os.path.relpath(wanted, lock.parent)), digest_size=7).digest()
    byte = _Bytes(int.from_bytes(digest), 1)
    if not _held.entries.isdisjoint((_entry(lock, byte), _entry(lock, _ALL))):
        yield
        return

    def take(descriptor: int) -> None:
        try:
            _set(descriptor, fcntl.F_WRLCK, byte)
        except (BlockingIOError, PermissionError):  # POSIX allows either
            logging.getLogger("luigi-interface").warning(f"another run is making {wanted}: waiting for it")
            _set(descriptor, fcntl.F_WRLCK, byte, wait=True)

    with _holding(lock, byte, take):
        yield


@contextmanager
def exclusive_of_all(lock: Path) -> Iterator[None]:
    """Keep every other thread and process from making anything while the block runs.

    Raises
    ------
    InputError
        Where somebody is making something already, be it this thread.
    """

    def take(descriptor: int) -> None:
        try:
            _set(descriptor, fcntl.F_WRLCK, _ALL)
        except (BlockingIOError, PermissionError):
            raise InputError(f"a run is at work in {lock.parent}: wait until it has ended, then try again") from None

    with _holding(lock, _ALL, take):
        yield


@contextmanager
def _holding(lock: Path, part: _Bytes, take: Callable[[int], None]) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "ab") as file:
        try:
            take(file.fileno())
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        entry = _entry(lock, part)
        _held.entries.add(entry)
        try:
            yield
        finally:
            _held.entries.discard(entry)
            with suppress(OSError):  # closing would not do: a process that was forked inside has the file open, too
                _set(file.fileno(), fcntl.F_UNLCK, part)


def _entry(lock: Path, part: _Bytes) -> tuple[int, str, _Bytes]:
    return os.getpid(), os.path.realpath(lock), part


def _set(descriptor: int, kind: int, part: _Bytes, *, wait: bool = False) -> None:
    """Take or release a lock that belongs to this opening of the file (an open file description lock).

    A POSIX lock belongs to the process, and falls when any descriptor of the file is closed in it. Where the system
    has no other (macOS), threads of one process do not wait for each other, and leaving a block gives away what an
    outer one holds.
    """
    command = getattr(fcntl, "F_OFD_SETLKW" if wait else "F_OFD_SETLK", None)
    if command is not None:
        # struct flock: type, whence, start, length, process, and padding to a multiple of 8 bytes
        fcntl.fcntl(descriptor, command, struct.pack("hhqqi0q", kind, os.SEEK_SET, part.first, part.length, 0))
        return
    operation = fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)
    fcntl.lockf(descriptor, operation, part.length, part.first, os.SEEK_SET)
