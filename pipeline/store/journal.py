"""Journal of one stage: finished videos that no shard holds yet."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import numpy as np

from pipeline.files.atomic import atomic_path
from pipeline.files.crash_notes import NOTE, attempt
from pipeline.rows import Failure, Keys, Row
from pipeline.store.layout import failure_path, fixed_text, new_file, row_path, write_row
from pipeline.store.seal import shards_by_key


class Journal:
    """Finished videos of one stage that no shard holds yet: one small file each, which appears atomically."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __contains__(self, keys: Keys) -> bool:
        return self.path(keys).exists()

    def path(self, keys: Keys) -> Path:
        """Where the video's file is, or will be."""
        return self.folder / f"{keys.name}.h5"

    def write(self, keys: Keys, rows: Iterable[Row]) -> None:
        """Keep one row a variant. Raises UnusableVideo where a number is not finite, having kept nothing."""
        rows = list(rows)
        if len(rows) != len(keys.variants):
            raise ValueError(f"{keys.id}: {len(rows)} rows for {len(keys.variants)} variants")
        with atomic_path(self.path(keys)) as temporary, new_file(temporary) as file:
            for variant, (key, row) in enumerate(zip(keys.variants, rows, strict=True)):
                write_row(file.create_group(row_path(keys.id, variant)), key, keys.source_digest, row)

    def fail(self, keys: Keys, failure: Failure) -> None:
        """Keep the reason why there is no row."""
        with atomic_path(self.path(keys)) as temporary, new_file(temporary) as file:
            text = np.array([failure.reason.encode()])
            reason = file.create_dataset(failure_path(keys.id), data=text, chunks=(1,), fletcher32=True)
            reason.attrs.update(key=fixed_text(keys.name), frames_decoded=failure.frames_decoded)

    def attempt(self, keys: Keys) -> AbstractContextManager[list[str]]:
        """Note that the video is in hand while the block runs; yields how processes died that had it in hand before."""
        return attempt(self._note(keys), keys.id)

    def discard(self, videos: Iterable[Keys]) -> None:
        """Forget what a sealed shard holds now."""
        for keys in videos:
            self.path(keys).unlink(missing_ok=True)
            self._note(keys).unlink(missing_ok=True)
        with suppress(OSError):  # another state's videos are in it, or it is gone
            self.folder.rmdir()

    def discard_sealed(self, shards: Iterable[Path]) -> None:
        """Forget what these shards hold: a process was killed, or slower than another, after they were sealed."""
        held = shards_by_key(shards)
        with suppress(OSError):  # another run may sweep as well
            for path in self.folder.iterdir():
                if path.stem in held:
                    path.unlink(missing_ok=True)
            self.folder.rmdir()

    def _note(self, keys: Keys) -> Path:
        return self.folder / f"{keys.name}{NOTE}"
