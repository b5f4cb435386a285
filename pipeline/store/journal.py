"""Keep the finished videos of a stage that no shard holds yet."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from pipeline.errors import Unavailable
from pipeline.files.atomic import atomic_path
from pipeline.files.crash_notes import NOTE, attempt, crashes_in, record
from pipeline.rows import Failure, Keys, Row
from pipeline.store.layout import failure_path, fixed_text, new_file, row_path, write_row
from pipeline.store.seal import shards_by_key


class Journal:
    """Journal of a stage's finished videos that no shard holds yet: one small file each, written atomically.

    ``keys in journal`` tells whether a video is finished, by rows or by a failure.

    Parameters
    ----------
    folder
        Folder of the files, which is made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __contains__(self, keys: Keys) -> bool:
        return self.path(keys).exists()

    def path(self, keys: Keys) -> Path:
        """Return the path of the video's file, whether it exists or not."""
        return self.folder / f"{keys.name}.h5"

    def write(self, keys: Keys, rows: Sequence[Row]) -> None:
        """Write a video's rows.

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
        with self._new(keys) as file:
            for variant, (key, row) in enumerate(zip(keys.variants, rows, strict=True)):
                write_row(file.create_group(row_path(keys.id, variant)), key, keys.source_digest, row)

    def fail(self, keys: Keys, failure: Failure) -> None:
        """Write the reason why a video has no rows."""
        with self._new(keys) as file:
            text = np.array([failure.reason.encode()])
            reason = file.create_dataset(failure_path(keys.id), data=text, chunks=(1,), fletcher32=True)
            reason.attrs.update(key=fixed_text(keys.name), frames_decoded=failure.frames_decoded)

    def holds_failure(self, keys: Keys) -> bool:
        """Return whether a finished video failed; False where another process has just removed its file."""
        try:
            return _is_failure(self.path(keys), keys.id)
        except OSError:
            return False

    def attempt(self, keys: Keys) -> AbstractContextManager[list[str]]:
        """Note that a video is being worked on while the block runs.

        Yields
        ------
        list of str
            The crashes of earlier processes that were working on it, one sentence each.
        """
        return attempt(self._note(keys), keys.id)

    def crashes(self, keys: Keys) -> list[str]:
        """Return the crashes of processes that were working on a video that is not finished, one sentence each."""
        return crashes_in(self._note(keys))

    def record_crash(self, keys: Keys, last_words: str) -> str | None:
        """Note the crash of another process that was working on a video, outside of an ``attempt``.

        Returns its sentence; None, and nothing is noted, where what the process's fault handler wrote tells of none.
        """
        return record(self._note(keys), keys.id, last_words)

    def discard(self, videos: Iterable[Keys]) -> None:
        """Remove the files of videos that a sealed shard now holds."""
        for keys in videos:
            self.path(keys).unlink(missing_ok=True)
            self._note(keys).unlink(missing_ok=True)
        with suppress(OSError):  # another state's videos are in it, or it is gone
            self.folder.rmdir()

    def discard_sealed(self, shards: Iterable[Path]) -> None:
        """Remove the files of videos that these sealed shards hold.

        Such files are left when a process is killed, or slower than another, after the shard was sealed. They stay as
        long as a shard cannot be read.
        """
        try:
            sealed = shards_by_key(shards)
        except Unavailable:
            return
        with suppress(OSError):  # another run may sweep as well
            for path in self.folder.iterdir():
                if path.stem in sealed:
                    path.unlink(missing_ok=True)
            self.folder.rmdir()

    @contextmanager
    def _new(self, keys: Keys) -> Iterator[h5py.File]:
        """Make the file of a video, which states the stage whose folder this is."""
        stage = self.folder.parent.name.rpartition("-")[2]
        with atomic_path(self.path(keys)) as temporary, new_file(temporary) as file:
            file.attrs["fingerprint"] = fixed_text(stage)
            yield file

    def _note(self, keys: Keys) -> Path:
        return self.folder / f"{keys.name}{NOTE}"


@lru_cache(maxsize=2**17)  # a file never changes once it is there, and a run's progress is looked at again and again
def _is_failure(path: Path, video: str) -> bool:
    with h5py.File(path, "r") as file:
        return failure_path(video) in file
