"""Let runs that share a store take turns at making the same file."""

import errno
import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import InputError

_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def exclusive(wanted: Path, lock: Path) -> Iterator[None]:
    """Wait until no other process is making ``wanted``, and keep others waiting while the block runs.

    Each path locks one byte of ``lock``, so that a single lock file serves all, and stays. The system releases the byte
    when a process dies. Where a file system has no locks nobody waits: work is then done twice.

    Parameters
    ----------
    wanted
        What the block makes.
    lock
        The lock file that all processes share.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.blake2b(os.path.relpath(wanted, lock.parent).encode(), digest_size=7).digest()
    with open(lock, "ab") as file:
        try:
            _take(file.fileno(), int.from_bytes(digest), wanted)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        yield


@contextmanager
def exclusive_of_all(lock: Path) -> Iterator[None]:
    """Keep every other process from making anything while the block runs.

    Raises
    ------
    InputError
        Where another process is making something already.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "ab") as file:
        try:
            fcntl.lockf(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise InputError(f"a run is at work in {lock.parent}: wait until it has ended, then try again") from None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        yield


def _take(descriptor: int, byte: int, wanted: Path) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte, os.SEEK_SET)
    except (BlockingIOError, PermissionError):  # POSIX allows either
        logging.getLogger("luigi-interface").warning(f"another run is making {wanted}: waiting for it")
        fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, byte, os.SEEK_SET)
