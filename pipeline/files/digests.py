"""Digests of input files, cached by path, size and time of modification."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from tqdm import tqdm

from pipeline.errors import InputError
from pipeline.files.atomic import write_text


class Entry(NamedTuple):
    """What was seen of a file: bytes, nanoseconds since the epoch, SHA-256."""

    size: int
    mtime_ns: int
    digest: str


@dataclass(frozen=True)
class Digests:
    """What is known of some files, by absolute path."""

    entries: dict[str, Entry]

    @classmethod
    def of(cls, table: Mapping[str, Sequence[Any]]) -> Self:
        """From plain JSON: path -> [size, mtime_ns, digest]."""
        return cls({name: Entry(*entry) for name, entry in table.items()})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote; nothing is known where the file is missing or not whole."""
        try:
            return cls.of(json.loads(path.read_text()))
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return cls({})

    def save(self, path: Path) -> None:
        """Write atomically, as JSON."""
        write_text(path, json.dumps(self.entries))

    def current(self, files: Iterable[Path]) -> bool:
        """Whether each file is known, and its size and time are as they were."""
        return all(self._unchanged(file) for file in files)

    def refreshed(self, files: Iterable[Path], *, rehash: bool = False) -> Self:
        """Digests of exactly these files: stat first, hash only what changed (or all, with ``rehash``).

        Raises InputError that names a file which cannot be read.
        """
        files = list(files)
        changed = [file for file in files if rehash or not self._unchanged(file)]
        fresh = {str(file): _entry(file) for file in tqdm(changed, desc="digests", unit="file", disable=None)}
        return type(self)({str(file): fresh.get(str(file)) or self.entries[str(file)] for file in files})

    def __getitem__(self, file: Path) -> str:
        return self.entries[str(file)].digest

    def check(self, file: Path) -> None:
        """Raises InputError where the file is not what was digested: it must not change during a run."""
        if not self._unchanged(file):
            raise InputError(f"{file} has changed since it was indexed; run again")

    def _unchanged(self, file: Path) -> bool:
        known = self.entries.get(str(file))
        if known is None:
            return False
        try:
            stat = os.stat(file)
        except OSError:
            return False
        return (stat.st_size, stat.st_mtime_ns) == (known.size, known.mtime_ns)


def _entry(file: Path) -> Entry:
    try:
        stat = os.stat(file)
        with open(file, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; a readable file is needed") from None
    return Entry(stat.st_size, stat.st_mtime_ns, digest)
