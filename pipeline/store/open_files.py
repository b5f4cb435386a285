"""Keep the files open that are read again and again, but only so many of them."""

import os
import resource
import threading
from itertools import count
from pathlib import Path
from typing import NoReturn, Self
from weakref import WeakSet

from pipeline.errors import DamagedStore
from pipeline.files.atomic import quarantine
from pipeline.files.place import Contradiction
from pipeline.store.layout import DAMAGE
from pipeline.store.sealed import load_table, verify
from pipeline.store.table import Table

MAX_OPEN = 512
"""Largest number of files that stay open in a process; where it may have few descriptors, a quarter of them at most."""
_times = count()


class OpenFile:
    """A file of rows that is opened when it is read, and closed when many others of this process were read since.

    It is read in a ``with`` block, while which no other thread closes or reads it. A Contradiction that the block
    raises becomes DamagedStore, and the file is quarantined. Its table stays in memory, and is read anew only where
    the file is another when it is opened again.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    file
        Its descriptor, within a block.
    table
        Its table, within a block.
    last_read
        When it was read last, as a number that grows.
    """

    file: int = -1
    table: Table

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last_read = 0
        self._stamp: tuple[int, int] | None = None

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Self:
        _recent.lock.acquire()
        try:
            self.last_read = next(_times)
            if self.file < 0:
                _recent.close_others()
                self._open()
        except BaseException:
            _recent.lock.release()
            raise
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            if isinstance(error, Contradiction):  # HDF5's own errors are of a file that the block writes
                self.close()
                self._condemn(error)
        finally:
            _recent.lock.release()

    @property
    def current_table(self) -> Table:
        """The table, for which the file is opened where it is not. Raises as a block does."""
        if self.file < 0:
            with self:
                pass
        self.last_read = next(_times)
        return self.table

    def close(self) -> None:
        """Close the file until it is read again."""
        file, self.file = self.file, -1
        if file >= 0:
            os.close(file)

    def _open(self) -> None:
        file = os.open(self.path, os.O_RDONLY)
        try:
            status = os.fstat(file)
            stamp = status.st_ino, status.st_mtime_ns
            if stamp != self._stamp:
                self.table = load_table(self.path)
        except BaseException as error:
            os.close(file)
            if isinstance(error, DAMAGE):
                quarantine(self.path, error)
            raise
        self.file, self._stamp = file, stamp
        _recent.add(self)

    def _condemn(self, error: Contradiction) -> NoReturn:
        """Quarantine the file that could not be read, unless it is another by now, or was written to meanwhile."""
        found = _stamp(self.path)
        if found == self._stamp:
            quarantine(self.path, error)
        if found and self._stamp and found[0] == self._stamp[0]:
            verify(self.path)
            raise DamagedStore(f"{self.path} was written to by another program while it was read: run again") from None
        raise DamagedStore(f"{self.path} was damaged, and is being made anew by another run: run again") from None


class _Recent:
    """The files of this process that may be open."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._files: WeakSet[OpenFile] = WeakSet()

    def add(self, file: OpenFile) -> None:
        """Count a file that was opened."""
        self._files.add(file)

    def close_others(self) -> None:
        """Close files, those first that were not read for longest, until there is room for another."""
        files = sorted(self._files, key=lambda file: file.last_read)
        for file in files[: max(0, len(files) + 1 - _most())]:
            file.close()
            self._files.discard(file)

    def start_anew(self) -> None:
        """Let go of a lock that some thread of the process may have held that this one was forked from."""
        self.lock = threading.RLock()


def _most() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_OPEN if soft == resource.RLIM_INFINITY else min(MAX_OPEN, max(2, soft // 4))


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what tells whether a path is still the same file with the same content; None where there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


_recent = _Recent()
os.register_at_fork(after_in_child=_recent.start_anew)
