"""Keep the files open that are read again and again, but only so many of them."""

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn
from weakref import WeakKeyDictionary

import h5py

from pipeline.errors import DamagedStore
from pipeline.files.atomic import quarantine
from pipeline.store.layout import DAMAGE, open_sealed
from pipeline.store.seal import verify

MAX_OPEN = 512
"""Largest number of files that stay open in a process; where it may have few descriptors, a quarter of them at most."""


class OpenFile:
    """A sealed file that is opened when it is read, and closed when many others of this process were read since.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: h5py.File | None = None
        self._stamp: tuple[int, int] | None = None

    @contextmanager
    def reading(self) -> Iterator[h5py.File]:
        """Yield the open file, which no other thread closes or reads while the block runs.

        Raises
        ------
        DamagedStore
            Where the file is damaged, by what the block raises as well; it is quarantined.
        """
        with _recent.lock:
            _recent.note(self)
            if self._file is None:
                _recent.close_others()
                self._file = open_sealed(self.path)
                self._stamp = _stamp(self.path)
            try:
                yield self._file
            except DAMAGE as error:
                self.close()
                self._condemn(error)

    def close(self) -> None:
        """Close the file until it is read again."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def forget(self) -> None:
        """Let go of the file as the process has it that this one was forked from."""
        self._file = None

    def _condemn(self, error: Exception) -> NoReturn:
        """Quarantine the file that could not be read, unless it is another by now, or was written to meanwhile."""
        found = _stamp(self.path)
        if found == self._stamp or getattr(error, "errno", None) is not None:
            quarantine(self.path, error)
        if found and self._stamp and found[0] == self._stamp[0]:
            verify(self.path)
            raise DamagedStore(f"{self.path} was written to by another program while it was read: run again") from None
        raise DamagedStore(f"{self.path} was damaged, and is being made anew by another run: run again") from None


class _Recent:
    """The open files of this process, the one that was read last at the end."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._files: WeakKeyDictionary[OpenFile, None] = WeakKeyDictionary()

    def note(self, file: OpenFile) -> None:
        """Put a file at the end."""
        self._files.pop(file, None)
        self._files[file] = None

    def close_others(self) -> None:
        """Close files, those first that were not read for longest, until there are no more than there may be."""
        files = list(self._files)
        for file in files[: max(0, len(files) - _most())]:
            file.close()
            del self._files[file]

    def start_anew(self) -> None:
        """Let go of what a forked process has from its parent: files, and a lock that some thread may have held."""
        for file in list(self._files):
            file.forget()
        self._files.clear()
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
