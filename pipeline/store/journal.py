"""Keep the finished videos of a stage that no shard holds yet."""

import warnings
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import h5py

from pipeline.errors import Unavailable
from pipeline.files.crash_notes import CrashNotes
from pipeline.files.place import Contradiction
from pipeline.rows import Failure, Keys, Row
from pipeline.store.layout import failure_path, row_path
from pipeline.store.log import SUFFIX, Entry, Log, is_written_to
from pipeline.store.log_reader import LogReader
from pipeline.store.seal import shards_by_key
from pipeline.store.table import Attributes

_FORMER = ".h5"
"""Suffix of a file that holds one video, as earlier versions wrote them."""


class Journal:
    """Journal of a stage's finished videos that no shard holds yet: logs, of which every process writes its own.

    ``keys in journal`` tells whether a video is finished, by rows or by a failure. What other processes add later is
    not seen. A file that holds one video, as earlier versions wrote them, is read as well.

    Parameters
    ----------
    folder
        Folder of the files, which is made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._notes = CrashNotes(folder)
        self._log: Log | None = None
        self._found: dict[str, Path] | None = None

    def __contains__(self, keys: Keys) -> bool:
        return keys.name in self._paths

    def path(self, keys: Keys) -> Path:
        """Return the file that holds a finished video. Raises KeyError where it is not finished."""
        return self._paths[keys.name]

    def write(self, keys: Keys, rows: Sequence[Row]) -> None:
        """Append a video's rows.

        Parameters
        ----------
        keys
            The video's keys.
        rows
            One row a variant, in order.

        Raises
        ------
        UnusableVideo
            Where a number is not finite; nothing is written.
        ValueError
            Where rows and variants differ in number.
        """
        if len(rows) != len(keys.variants):
            raise ValueError(f"{keys.id}: {len(rows)} rows for {len(keys.variants)} variants")
        self._append(
            keys,
            [
                Entry.of(row_path(keys.id, variant), row, key=key, source_digest=keys.source_digest)
                for variant, (key, row) in enumerate(zip(keys.variants, rows, strict=True))
            ],
        )

    def fail(self, keys: Keys, failure: Failure) -> None:
        """Append the reason why a video has no rows."""
        attributes: Attributes = {"key": keys.name, "frames_decoded": failure.frames_decoded}
        self._append(keys, [Entry(failure_path(keys.id), attributes, {}, failure.reason)])

    def sync(self) -> None:
        """Have the system write what was appended to the disk."""
        if self._log is not None:
            self._log.sync()

    def attempt(self, keys: Keys) -> AbstractContextManager[list[str]]:
        """Note that a video is being worked on while the block runs.

        Yields
        ------
        list of str
            The crashes of earlier processes that were working on it, one sentence each.
        """
        return self._notes.attempt(keys.name, keys.id)

    def crashes(self, keys: Keys) -> list[str]:
        """Return the crashes of processes that were working on a video that is not finished, one sentence each."""
        return self._notes.crashes(keys.name)

    def record_crash(self, keys: Keys, last_words: str) -> str | None:
        """Note the crash of another process that was working on a video, outside of an ``attempt``.

        Returns its sentence; None, and nothing is noted, where what the process's fault handler wrote tells of none.
        """
        return self._notes.record(keys.name, keys.id, last_words)

    def discard(self, videos: Iterable[Keys]) -> None:
        """Remove the files of videos that a sealed shard now holds, and the notes."""
        names = {keys.name for keys in videos}
        self._notes.discard(names)
        if self._log is not None:
            self._log.close()
        self._log, self._found = None, None
        self._remove(names, torn=True)

    def discard_sealed(self, shards: Iterable[Path]) -> None:
        """Remove the files of videos that these sealed shards hold.

        Such files are left when a process is killed, or slower than another, after the shard was sealed. They stay as
        long as a shard cannot be read, and so does a log to which another process may just be writing its first record.
        """
        with suppress(OSError, Unavailable):  # another run may sweep as well; or a newer kinescope wrote here
            sealed = set(shards_by_key(shards))
            self._notes.discard(sealed)
            self._remove(sealed, torn=False)

    @property
    def _paths(self) -> dict[str, Path]:
        if self._found is None:
            self._found = {path.stem: path for path in sorted(self.folder.glob(f"*{_FORMER}"))}
            for path in _logs(self.folder):
                self._found.update((key, path) for key in _keys_in(path, check=True))
        return self._found

    def _append(self, keys: Keys, entries: Sequence[Entry]) -> None:
        paths = self._paths
        if self._log is None:
            self._log = self._new_log()
        self._log.append(keys.name, entries)
        paths[keys.name] = self._log.path

    def _new_log(self) -> Log:
        """Begin a log, under the first number that no other has; it states the stage whose folder this is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        stage = self.folder.parent.name.rpartition("-")[2]
        number = 0
        while True:
            try:
                return Log(self.folder / f"rows-{number}{SUFFIX}", stage)
            except FileExistsError:
                number += 1

    def _remove(self, names: set[str], *, torn: bool) -> None:
        """Remove files that hold none but these videos; with ``torn`` also those that hold no whole one.

        A log to which another process writes stays: it would add to a file that is no more.
        """
        for path in self.folder.glob(f"*{_FORMER}"):
            if path.stem in names:
                path.unlink(missing_ok=True)
        for path in _logs(self.folder):
            if is_written_to(path):
                continue
            held = set(_keys_in(path, check=False))
            if held <= names and (held or torn):
                path.unlink(missing_ok=True)
        with suppress(OSError):  # another state's videos are in it, or it is gone
            self.folder.rmdir()


class Finished(NamedTuple):
    """A finished video in a journal.

    Attributes
    ----------
    key
        Its key.
    time
        When it was finished, in seconds of the system's clock.
    failed
        Whether it has no rows.
    """

    key: str
    time: float
    failed: bool


def finished(folder: Path) -> list[Finished]:
    """List the finished videos in a journal's folder, which another process may be writing to; no row is read."""
    logged = [each for path in _logs(folder) for each in _finished_in(path)]
    return logged + [each for path in folder.glob(f"*{_FORMER}") for each in _finished_before(path)]


def _logs(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


def _finished_in(path: Path) -> list[Finished]:
    """List the videos in a log; none where it cannot be read."""
    try:
        with LogReader(path) as log:
            records = list(log.records())
    except (OSError, Contradiction, Unavailable):  # just removed; or damaged, which is said where the journal is used
        return []
    return [Finished(record.key, record.time, record.items[0][1].reason is not None) for record in records]


def _keys_in(path: Path, *, check: bool) -> list[str]:
    """Return the keys of the videos in a log; with ``check`` the chunks are read, and what is damaged is warned of."""
    try:
        with LogReader(path) as log:
            return [record.key for record in log.all_records(check=check)]
    except FileNotFoundError:
        return []
    except Contradiction as error:
        if check:
            warnings.warn(f"{path} is damaged ({error}): its videos are computed again", RuntimeWarning, stacklevel=3)
        return []


def _finished_before(path: Path) -> list[Finished]:
    """List the video in a file of one video; none where another process has just removed it, or it is damaged."""
    with suppress(OSError):
        return [Finished(path.stem, path.stat().st_mtime, _is_failure(path))]
    return []


@lru_cache(maxsize=2**17)  # a file never changes once it is there, and a run's progress is looked at again and again
def _is_failure(path: Path) -> bool:
    with h5py.File(path, "r", locking=False) as file:
        return "failures" in file
