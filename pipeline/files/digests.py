"""Digest input files, and cache the digests by path, size and time of modification."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from tqdm import tqdm

from pipeline.errors import InputError
from pipeline.files.atomic import write_text


class Entry(NamedTuple):
    """Size in bytes, time of modification in nanoseconds since the epoch, and SHA-256 of a file."""

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
        """Return whether every file has an entry, and still the size and time noted there."""
        return all(self._unchanged(file) for file in files)

    def refreshed(self, files: Iterable[Path], *, rehash: bool = False) -> Self:
        """Return the digests of exactly these files, hashing only those whose size or time changed.

        Parameters
        ----------
        files
            Absolute paths.
        rehash
            Hash all files, also those that seem unchanged.

        Raises
        ------
        InputError
            Naming a file that cannot be read.
        """
        files = list(files)
        changed = [file for file in files if rehash or not self._unchanged(file)]
        fresh = {str(file): _entry(file) for file in tqdm(changed, desc="hashing files", unit="file", disable=None)}
        return type(self)({str(file): fresh.get(str(file)) or self.entries[str(file)] for file in files})

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
        """
        self._check(file)
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
        try:
            stat = os.stat(file)
        except OSError:
            return False
        return (stat.st_size, stat.st_mtime_ns) == (entry.size, entry.mtime_ns)


def _entry(file: Path) -> Entry:
    try:
        stat = os.stat(file)
        with open(file, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; a readable file is needed") from None
    return Entry(stat.st_size, stat.st_mtime_ns, digest)
