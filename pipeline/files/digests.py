"""Digest input files, and folders of pictures, and cache the digests by path, size and time of modification."""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from pipeline.errors import UNREADABLE, InputError, UnusableVideo
from pipeline.files.atomic import write_text
from pipeline.files.numbered_pictures import frames
from pipeline.files.progress import Bar

_UNREADABLE_BYTES = -1
_READ_BY_ALL = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH


class Entry(NamedTuple):
    """Size in bytes, time of modification in nanoseconds since the epoch, and SHA-256 of a file.

    Of a group of files, as the frames in a folder are, ``size`` is that of all together, ``mtime_ns`` a digest of their
    names, sizes and times, and ``digest`` the SHA-256 of the files' own SHA-256, 32 bytes each, in the group's order.
    What cannot be read has the size -1, and the SHA-256 of its name and the reason.
    """

    size: int
    mtime_ns: int
    digest: str


Group = Sequence["os.DirEntry[str]"]
"""Files whose content is one together, as the frames in a folder, just listed: they know their sizes and times."""
Members = Callable[[Path], Group | None]
"""Returns the files of a group, by the path that stands for it; None where the path is a file's own.

It raises UnusableVideo, or OSError, where the group is not as it must be."""


def frames_of(path: Path) -> Group | None:
    """Return the frames in a folder; None for anything else."""
    return frames(path) if os.path.isdir(path) else None


@dataclass(frozen=True)
class Digests:
    """Sizes, times and digests of files, and of groups of files.

    Attributes
    ----------
    entries
        An entry for each file, by absolute path.
    members
        Returns the files of which a path's content consists: by default the frames where it is a folder.
    """

    entries: dict[str, Entry]
    members: Members = field(default=frames_of, compare=False)

    @classmethod
    def of(cls, table: Mapping[str, Sequence[Any]], members: Members = frames_of) -> Self:
        """Build from plain JSON, a table of path -> [size, mtime_ns, digest].

        Examples
        --------
        >>> Digests.of({"/videos/a.avi": [1024, 0, "9f86d081"]})[Path("/videos/a.avi")]
        '9f86d081'
        """
        return cls({name: Entry(*entry) for name, entry in table.items()}, members)

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
        fresh = {str(file): self._entry(file) for file in Bar(changed, desc="hashing files", unit="file")}
        entries = {str(file): fresh.get(str(file)) or self.entries[str(file)] for file in files}
        if files and all(entry.size == _UNREADABLE_BYTES for entry in entries.values()):
            raise InputError(f"{self._fault(files[0])}; a readable file is needed")
        return type(self)(entries, self.members)

    def of_files(self, files: Iterable[Path]) -> Self:
        """Return the digests of some of the files."""
        return type(self)({str(file): self.entries[str(file)] for file in files}, self.members)

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
            raise UnusableVideo(str(self._fault(file)))
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
            return (fault := self._fault(file)) is not None and entry == _unreadable(fault)
        try:
            group = self.members(file)
            same = _state(file, group) == (entry.size, entry.mtime_ns)
        except (OSError, UnusableVideo):
            return False
        return same and (os.access(file, os.R_OK) if group is None else all(map(_is_readable, group)))

    def _entry(self, file: Path) -> Entry:
        try:
            group = self.members(file)
            size, mtime_ns = _state(file, group)
            digest = (_sha256(file) if group is None else hashlib.sha256(b"".join(map(_sha256, group))).digest()).hex()
        except (OSError, UnusableVideo) as error:
            return _unreadable(_said(file, error))
        return Entry(size, mtime_ns, digest)

    def _fault(self, file: Path) -> str | None:
        """Return why a file cannot be read; None where it can. Raises InputError where the disk fails."""
        try:
            files: Sequence[os.PathLike[str]] = self.members(file) or [file]
            for each in files:
                with open(each, "rb"):
                    pass
        except (OSError, UnusableVideo) as error:
            return _said(file, error)
        return None


def state(file: Path) -> tuple[int, int]:
    """Return size and time of a file, or what ``Entry`` holds in their places for the frames in a folder.

    Raises
    ------
    OSError, UnusableVideo
        Where it cannot be read.
    """
    return _state(file, frames_of(file))


def _state(file: Path, group: Group | None) -> tuple[int, int]:
    if group is None:
        known = os.stat(file)
        return known.st_size, known.st_mtime_ns
    stats = [each.stat() for each in group]
    listed = [f"{each.name}/{known.st_size}/{known.st_mtime_ns}" for each, known in zip(group, stats, strict=True)]
    told = hashlib.blake2b(os.fsencode("/".join(listed)), digest_size=8).digest()
    return sum(known.st_size for known in stats), int.from_bytes(told) >> 1  # 63 bits, as JSON's integers have


def _is_readable(entry: "os.DirEntry[str]") -> bool:
    """Return whether a file may be read, by its mode where that says it of everybody, which costs no call."""
    return entry.stat().st_mode & _READ_BY_ALL == _READ_BY_ALL or os.access(entry, os.R_OK)


def _sha256(file: "os.PathLike[str]") -> bytes:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _unreadable(fault: str) -> Entry:
    return Entry(_UNREADABLE_BYTES, 0, hashlib.sha256(os.fsencode(fault)).hexdigest())


def _said(file: Path, error: OSError | UnusableVideo) -> str:
    """Return the name of a file and what is wrong with it. Raises InputError where that is more than the file."""
    if isinstance(error, UnusableVideo):
        return f"{file}: {error.reason}"
    at = Path(error.filename) if error.filename else file
    if error.errno not in UNREADABLE:
        raise InputError(f"{at}: {error.strerror}; a readable file is needed") from None
    to = f", a link to {os.readlink(at)}" if os.path.islink(at) else ""
    return f"{at}{to}: {error.strerror}"
