"""A disk that fills up: one sentence, nothing sealed because of it, and a store that goes on from there."""

import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.files.deferred_errors import DeferredErrors
from pipeline.store import Store
from pipeline.store.journal import finished
from pipeline.store.sealed import verify
from pipeline.video.encode import write
from tests.support.equality import same_runs
from tests.support.runs import Runs

MIB = 2**20
RECIPE = """
title = "full"
[dataset]
name = "folder"
root = "{root}"
[[streams]]
extractor = {{ name = "skeleton" }}
reducer = {{ dims = 20 }}
model = {{ name = "drnn", state = 16, fit = {{ epochs = 2 }} }}
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """On skeleton files whose rows take 2.1 MiB, and up to twice that while they are sealed."""
    root, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    for label in ("a", "b"):
        (root / label).mkdir()
        for number in range(6):
            walk = rng.normal(size=(1, 20, 3)) + rng.normal(scale=0.05, size=(80, 20, 3)).cumsum(0)
            np.savetxt(root / label / f"{number}.txt", np.concatenate([walk, np.ones((80, 20, 1))], 2).reshape(-1, 4))
    return RECIPE.format(root=root)


@pytest.fixture(scope="module")
def undisturbed(recipe: str, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    runs = Runs(tmp_path_factory.mktemp("undisturbed"), recipe)
    runs.to_the_end()
    return runs


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A disk of its own, of so many bytes; called again it grows."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def sized(size: int) -> Path:
        again = "remount," if os.path.ismount(folder) else ""
        command = ["mount", "-t", "tmpfs", "-o", f"{again}size={size}", "tmpfs", str(folder)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            pytest.skip(f"no file system may be mounted here: {answer.stderr.strip()}")
        return folder

    try:
        yield sized
    finally:
        if os.path.ismount(folder):
            subprocess.run(["umount", str(folder)], check=True)


def whole(store: Path) -> None:
    """Every file that has its name is whole and holds rows alone; nothing else is left."""
    for path in store.rglob("*.h5"):
        if path.is_symlink() or not path.name.startswith("index"):
            verify(path)
            assert not Store(path).failures()
    assert not [path for path in store.rglob("*") if ".tmp" in path.name or ".damaged" in path.name]


def failed_for_space(process: "subprocess.Popen[str]") -> None:
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 30, said
    assert "no space left on " in said
    assert "free some and run again; finished rows are kept" in said
    assert "Traceback" not in said
    assert "could not be used" not in said


@pytest.mark.parametrize("sizes", [(MIB,), pytest.param([n * MIB // 4 for n in range(1, 9)], marks=pytest.mark.slow)])
def test_a_full_disk_that_grows(
    recipe: str, undisturbed: Runs, disk: Callable[[int], Path], tmp_path: Path, sizes: list[int]
) -> None:
    folder = disk(sizes[0])
    runs = Runs(folder, recipe)
    for size in sizes:
        disk(size)
        failed_for_space(runs.start())
        whole(runs.store)
    disk(64 * MIB)
    runs.to_the_end()
    whole(runs.store)
    same_runs(runs, undisturbed)


def test_a_limit_on_the_size_of_files(recipe: str, undisturbed: Runs, tmp_path: Path) -> None:
    """What a disk quota does, which needs no privileges here: single files come up against it."""
    runs = Runs(tmp_path, recipe)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB // 2, before[1]))
        process = runs.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    failed_for_space(process)
    whole(runs.store)
    assert sum(len(finished(journal)) for journal in runs.store.glob("*/*/journal-*")) > 0
    runs.to_the_end()
    same_runs(runs, undisturbed)


@pytest.mark.parametrize("count", [1, 5000])
def test_hdf5_on_a_full_disk_ends_in_the_systems_error(count: int) -> None:
    """Few bytes are written at the end, more before it."""

    def write_it() -> None:
        with DeferredErrors(Path("/dev/full")) as taking, h5py.File(taking, "w") as file:
            for number in range(count):
                file.create_dataset(f"{number}/array", data=np.arange(50), chunks=(50,), fletcher32=True)

    with pytest.raises(OSError, match="No space left") as caught:
        write_it()
    assert caught.value.errno == errno.ENOSPC


def test_a_file_without_trouble_is_as_usual(tmp_path: Path) -> None:
    with DeferredErrors(tmp_path / "file") as file:
        assert file.write(b"abcdef") == 6
        file.seek(2)
        file.write(memoryview(b"CD"))
        file.truncate(5)
    assert (tmp_path / "file").read_bytes() == b"abCDe"
    with pytest.raises(ValueError, match="closed"):
        file.write(b"more")


def test_a_video_for_which_there_is_no_room_leaves_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        with pytest.raises(OSError, match=r"x\.mp4") as caught:
            write(tmp_path / "x.mp4", rng.integers(0, 256, (60, 120, 160, 3), np.uint8), 25)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []
