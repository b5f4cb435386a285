"""Digest input files, and cache the digests by path, size and time of modification."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from pipeline.errors import UNREADABLE, InputError, UnusableVideo
from pipeline.files.atomic import write_text
from pipeline.files.progress import Bar

_UNREADABLE_BYTES = -1


class Entry(NamedTuple):
    """Size in bytes, time of modification in nanoseconds since the epoch, and SHA-256 of a file.

    A file that cannot be read has the size -1, and the SHA-256 of its name and the system's reason.
    """

    size: int
    mtime_ns: int
    digest: str


@dataclass(frozen=True)
class Digests:
    """Sizes, times and digests of files.

    Attributes
    ----------
    entries
        An entry for each file, by absolute path.
    """

    entries: dict[str, Entry]

    @classmethod
    def of(cls, table: Mapping[str, Sequence[Any]]) -> Self:
        """Build from plain JSON, a table of path -> [size, mtime_ns, digest].

        Examples
        --------
        >>> Digests.of({"/videos/a.avi": [1024, 0, "9f86d081"]})[Path("/videos/a.avi")]
        '9f86d081'
        """
        return cls({name: Entry(*entry) for name, entry in table.items()})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote; without entries where the file is missing or damaged."""
        try:
            return cls.of(json.loads(path.read_text()))
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return cls({})

    def save(self, path: Path) -> None:
        """Write the entries as JSON, atomically."""
        write_text(path, json.dumps(self.entries))

    def current(self, files: Iterable[Path]) -> bool:
        """Return whether every file has an entry, and still the size and time, or the fault, noted there."""
        return all(self._unchanged(file) for file in files)

    def refreshed(self, files: Iterable[Path], *, rehash: bool = False) -> Self:
        """Return the digests of exactly these files, hashing only those whose size or time changed.

        Single files that cannot be read, as links that lead nowhere, have entries, too.

        Parameters
        ----------
        files
            Absolute paths.
        rehash
            Hash all files, also those that seem unchanged.

        Raises
        ------
        InputError
            Naming a file, where none can be read, or the disk fails.
        """
        files = list(files)
        changed = [file for file in files if rehash or not self._unchanged(file)]
        fresh = {str(file): _entry(file) for file in Bar(changed, desc="hashing files", unit="file")}
        entries = {str(file): fresh.get(str(file)) or self.entries[str(file)] for file in files}
        if files and all(entry.size == _UNREADABLE_BYTES for entry in entries.values()):
            raise InputError(f"{_fault(files[0])}; a readable file is needed")
        return type(self)(entries)

    def __getitem__(self, file: Path) -> str:
        """Return the SHA-256 of a file, in hexadecimal digits. Raises KeyError where it has no entry."""
        return self.entries[str(file)].digest

    @contextmanager
    def unchanged(self, file: Path) -> Iterator[None]:
        """Make sure that what the block reads is the file that was digested.

        Raises
        ------
        InputError
            Where the file has changed since it was digested, before the block or by its end.
        UnusableVideo
            Where the file cannot be read, as it could not when it was digested.
        """
        self._check(file)
        if self.entries[str(file)].size == _UNREADABLE_BYTES:
            raise UnusableVideo(str(_fault(file)))
        try:
            yield
        finally:  # what failed may be the change's fault
            self._check(file)

    def _check(self, file: Path) -> None:
        if not self._unchanged(file):
            raise InputError(f"{file} has changed since it was indexed; run again")

    def _unchanged(self, file: Path) -> bool:
        entry = self.entries.get(str(file))
        if entry is None:
            return False
        if entry.size == _UNREADABLE_BYTES:
            return (fault := _fault(file)) is not None and entry == _unreadable(fault)
        try:
            stat = os.stat(file)
        except OSError:
            return False
        return (stat.st_size, stat.st_mtime_ns) == (entry.size, entry.mtime_ns) and os.access(file, os.R_OK)


def _entry(file: Path) -> Entry:
    try:
        stat = os.stat(file)
        with open(file, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return _unreadable(_said(file, error))
    return Entry(stat.st_size, stat.st_mtime_ns, digest)


def _unreadable(fault: str) -> Entry:
    return Entry(_UNREADABLE_BYTES, 0, hashlib.sha256(os.fsencode(fault)).hexdigest())


def _fault(file: Path) -> str | None:
    """Return why a file cannot be read; None where it can. Raises InputError where the disk fails."""
    try:
        with open(file, "rb"):
            return None
    except OSError as error:
        return _said(file, error)


def _said(file: Path, error: OSError) -> str:
    """Return the name of a file and what is wrong with it. Raises InputError where that is more than the file."""
    if error.errno not in UNREADABLE:
        raise InputError(f"{file}: {error.strerror}; a readable file is needed") from None
    to = f", a link to {os.readlink(file)}" if os.path.islink(file) else ""
    return f"{file}{to}: {error.strerror}"
