"""Measures rows in and out of a store, against one ``.npy`` file a row.

    python benchmarks/store.py [--json]

Rows are features float32: short ones of few numbers, as of skeletons; of 25 snippets, as TSN makes them; and of long
videos, densely sampled. Writing ours means each row journaled, and sealed with the others in checked and synced shards;
the peer is ``np.save``, and ``np.save`` with the sync that makes a file survive a power cut. Reading is from files that
are in memory already, and, where a line says so, from the disk: the system is then asked to forget them before each
round, and the store to open them anew.
"""

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from table import Comparison, Table, fastest, options

from pipeline.rows import Keys, Row
from pipeline.store import Store
from pipeline.store.journal import Journal
from pipeline.store.seal import seal, write_index

SHARD = 64
WINDOW = 16


def sealed(folder: Path, rows: Iterable[tuple[str, Row]]) -> Path:
    """Make a store of rows by video id, as a run makes it, and return its index."""
    everything = list(rows)
    journal, shards = Journal(folder / "journal"), []
    for start in range(0, len(everything), SHARD):
        keys = []
        for number, (video, row) in enumerate(everything[start : start + SHARD], start):
            keys.append(Keys(video, "digest", (f"{number:032x}",)))
            journal.write(keys[-1], [row])
        shards.append(folder / f"{start:05d}.h5")
        seal(shards[-1], keys, {key.name: journal.path(key) for key in keys}, {})
        journal.discard(keys)
    write_index(folder / "index.h5", shards, {})
    return folder / "index.h5"


def features(count: int, steps: int, width: int) -> list[tuple[str, Row]]:
    """Draw random rows by video id."""
    rng = np.random.default_rng(0)
    starts = np.arange(steps, dtype=np.int64)
    arrays = (rng.random((steps, width), np.float32) for _ in range(count))
    return [(f"video{i:05d}", Row({"features": array, "start_frames": starts})) for i, array in enumerate(arrays)]


def save(folder: Path, rows: list[tuple[str, Row]], sync: bool) -> None:
    """Save rows as a script without a store does."""
    for video, row in rows:
        with (folder / f"{video}.npy").open("wb") as file:
            np.save(file, row.arrays["features"])
            if sync:
                file.flush()
                os.fsync(file.fileno())


def forget(folder: Path) -> None:
    """Ask the system to drop all files of a folder from memory."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def compare(table: Table, folder: Path, rounds: int, rows: list[tuple[str, Row]]) -> None:
    """Add all lines for rows of one size to the table."""
    steps, width = rows[0][1].arrays["features"].shape
    sizes = f"{len(rows)} rows of {steps} x {width} float32"
    rng = np.random.default_rng(1)
    videos = [rows[place][0] for place in rng.permutation(len(rows))]
    starts = rng.integers(steps - WINDOW, size=(len(rows), 4))
    windows = [(video, slice(a, a + WINDOW)) for video, four in zip(videos, starts, strict=True) for a in four]
    store: list[Store] = []

    def write() -> None:
        store[:] = [Store(sealed(folder, rows))]

    def add(what: str, count: int, seconds: tuple[float, float]) -> None:
        table.add(Comparison(what, *(count / second for second in seconds), "1/s", sizes, 1))

    ours, plain, synced = fastest(rounds, write, lambda: save(folder, rows, False), lambda: save(folder, rows, True))
    add("rows written; np.save", len(rows), (ours, plain))
    add("rows written; np.save and fsync", len(rows), (ours, synced))
    ours, loaded = fastest(
        rounds,
        lambda: [store[0].read(video, arrays=["features"]) for video in videos],
        lambda: [np.load(folder / f"{video}.npy") for video in videos],
    )

    def read_all() -> None:
        anew = Store(store[0].index)
        for video in videos:
            anew.read(video, arrays=["features"])

    add("rows read whole, in any order; np.load", len(rows), (ours, loaded))
    cold = from_disk(folder, rounds, (read_all, lambda: [np.load(folder / f"{video}.npy") for video in videos]))
    add("rows read whole, in any order, from disk; np.load", len(rows), cold)
    ours, loaded, mapped = fastest(
        rounds,
        lambda: [store[0].read(video, arrays=["features"], part=part) for video, part in windows],
        lambda: [np.load(folder / f"{video}.npy")[part] for video, part in windows],
        lambda: [np.load(folder / f"{video}.npy", mmap_mode="r")[part].copy() for video, part in windows],
    )
    add(f"random windows of {WINDOW} steps; np.load", len(windows), (ours, loaded))
    add(f"random windows of {WINDOW} steps; np.load mapped", len(windows), (ours, mapped))

    def read_windows() -> None:
        anew = Store(store[0].index)
        for video, part in windows:
            anew.read(video, arrays=["features"], part=part)

    def map_windows() -> None:
        for video, part in windows:
            np.load(folder / f"{video}.npy", mmap_mode="r")[part].copy()

    add(
        f"random windows of {WINDOW} steps, from disk; np.load mapped",
        len(windows),
        from_disk(folder, rounds, (read_windows, map_windows)),
    )


def from_disk(folder: Path, rounds: int, sides: tuple[Callable[[], None], Callable[[], object]]) -> tuple[float, float]:
    """Return the best seconds of both sides, which take turns, each after all files were dropped from memory."""
    seconds = [float("inf")] * 2
    for _ in range(rounds):
        for side, run in enumerate(sides):
            forget(folder)
            seconds[side] = min(seconds[side], *fastest(1, run))
    return seconds[0], seconds[1]


def main() -> None:
    given, table = options(
        __doc__ or "",
        **{"rows": 512, "steps": 25, "width": 1024, "long_rows": 16, "long_steps": 3000},
        **{"short_rows": 512, "short_steps": 20, "short_width": 60, "rounds": 3},
    )
    sizes = (
        (given.rows, given.steps, given.width),
        (given.long_rows, given.long_steps, given.width),
        (given.short_rows, given.short_steps, given.short_width),
    )
    for count, steps, width in sizes:
        with tempfile.TemporaryDirectory() as folder:
            compare(table, Path(folder), given.rounds, features(count, steps, width))


if __name__ == "__main__":
    main()
