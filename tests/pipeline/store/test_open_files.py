"""A process keeps only so many files of its stores open, and reads the others all the same."""

import gc
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from pipeline.rows import Keys, Row
from pipeline.store import Store
from pipeline.store.journal import Journal
from pipeline.store.seal import seal, write_index
from tests.support.paths import ROOT

SHARDS = 72
FEW = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"


def written(folder: Path, shards: int, first: float = 0) -> Path:
    """The index of a store with a video in each shard, whose numbers say which one it is."""
    journal, paths = Journal(folder / "journal"), []
    for number in range(shards):
        keys = Keys(f"video{number}", "digest", (f"key{number}",))
        journal.write(keys, [Row({"features": np.full((4, 2), first + number, np.float32)})])
        paths.append(folder / f"{number:03d}.h5")
        seal(paths[-1], [keys], {keys.name: journal.path(keys)}, {})
    write_index(folder / "index.h5", paths, {})
    return folder / "index.h5"


@pytest.fixture(scope="module")
def indices(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return (
        written(tmp_path_factory.mktemp("one"), SHARDS),
        written(tmp_path_factory.mktemp("other"), SHARDS, first=1000),
    )


def in_a_process(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


AT_RANDOM = """
import os
import random
import sys
from pathlib import Path
from pipeline.store import Store
stores = [Store(Path(path)) for path in sys.argv[1:]]
videos = [(start, store, f"video{number}", number) for start, store in enumerate(stores) for number in range(72)]
partial = [(1000 * start + number, store.partial(video)["features"]) for start, store, video, number in videos]
random.Random(0).shuffle(videos)
for start, store, video, number in videos * 2:
    assert store.read(video).arrays["features"][0, 0] == 1000 * start + number
for number, array in partial + partial[::-1]:
    assert (array[1:3] == number).all() and array[1:3].shape == (2, 2)
for store in stores:
    assert len(store.ids()) == 72 and store.failures() == {}
print(len(os.listdir("/proc/self/fd")))
"""


def test_more_shards_than_descriptors_are_read(indices: tuple[Path, Path]) -> None:
    assert int(in_a_process(FEW + AT_RANDOM, indices[0])) < 40


def test_two_stores_share_what_may_be_open(indices: tuple[Path, Path]) -> None:
    assert int(in_a_process(FEW + AT_RANDOM, *indices)) < 40


def test_a_forked_process_has_as_many_again(indices: tuple[Path, Path]) -> None:
    fork = """
child = os.fork()
for start, store, video, number in videos:
    assert store.read(video).arrays["features"][0, 0] == 1000 * start + number
for number, array in partial:
    assert (array[1:3] == number).all()
if not child:
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert in_a_process(FEW + AT_RANDOM + fork, *indices).splitlines()[-1] == "0"


def open_descriptors(folder: Path) -> int:
    """Number of files in a folder that this process holds open."""
    links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    return sum(os.path.realpath(link).startswith(f"{folder}{os.sep}") for link in links if link.is_symlink())


def test_what_nobody_reads_any_more_is_closed(indices: tuple[Path, Path]) -> None:
    store = Store(indices[0])
    array = store.partial("video3")["features"]
    store.read("video4")
    assert open_descriptors(indices[0].parent) == 3
    del store
    gc.collect()
    assert open_descriptors(indices[0].parent) == 1
    assert array[0, 0] == 3
    del array
    assert open_descriptors(indices[0].parent) == 0


def test_threads_read_while_others_make_files_close(
    indices: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.store.open_files.MAX_OPEN", 3)
    stores, wrong = [Store(index) for index in indices], list[str]()

    def read(seed: int) -> None:
        for number in np.random.default_rng(seed).integers(SHARDS, size=60):
            store = stores[number % 2]
            found = (
                store.read(f"video{number}").arrays["features"][0, 0],
                store.partial(f"video{number}")["features"][2, 1],
            )
            if found != (number + 1000 * (number % 2),) * 2:
                wrong.append(f"video{number}: {found}")

    threads = [threading.Thread(target=read, args=(seed,), daemon=True) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    assert sum(open_descriptors(index.parent) for index in indices) == 3


def _read(store: Store, results: "multiprocessing.Queue[float]") -> None:
    results.put(float(store.read("video5").arrays["features"][0, 0]))


def test_a_process_forked_while_another_thread_reads_is_not_kept_waiting(indices: tuple[Path, Path]) -> None:
    store, context = Store(indices[0]), multiprocessing.get_context("fork")
    results, done = context.Queue(), threading.Event()

    def read() -> None:
        while not done.is_set():
            store.read("video6")

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        for _ in range(10):
            worker = context.Process(target=_read, args=(store, results))
            worker.start()
            assert results.get(timeout=60) == 5
            worker.join(60)
            assert worker.exitcode == 0
    finally:
        done.set()
    thread.join(60)
    assert not thread.is_alive()
