"""Runs that are killed: what is left goes on, ends, and comes to the same to the last bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file

ROOT = Path(__file__).parent.parent
RECIPE = """
title = "killed"
[dataset]
name = "stick_figures"
subjects = 2
scenarios = ["d1"]
train_subjects = 1
[[streams]]
label = "video"
extractor = { name = "convnet3d", stride_frames = 8, network = { stride_frames = 8, fit = { epochs = 2, lr = 0.001 } } }
reducer = { dims = 20 }
model = { name = "res_lstm", steps = 5, fit = { epochs = 3 } }
[[streams]]
label = "skeleton"
extractor = { name = "skeleton" }
model = { name = "drnn", state = 8, fit = { epochs = 30, lr = 0.001 } }
[fusion]
rule = "product"
"""
SETTINGS = """
[core]
local_scheduler = true
workers = 2
log_level = WARNING
no_lock = true
autoload_range = false
[worker]
check_complete_on_run = true
keep_alive = true
force_multiprocessing = true
[scheduler]
retry_count = 2
retry_delay = 1
stable_done_cooldown_secs = 0
[retcode]
task_failed = 30
scheduling_error = 35
unhandled_exception = 40
not_run = 25
[kinescope]
device = cpu
shard_size = 6
store = {store}
"""


class Runs:
    """One experiment, started again and again on one store."""

    def __init__(self, folder: Path, recipe: str = RECIPE, **environment: str) -> None:
        self.folder, self.store = folder, folder / "store"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "recipe.toml").write_text(recipe)
        (folder / "luigi.cfg").write_text(SETTINGS.format(store=self.store))
        self.environment = {
            **os.environ,
            "LUIGI_CONFIG_PATH": str(folder / "luigi.cfg"),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            **environment,
        }

    def start(self, *options: str) -> subprocess.Popen[str]:
        """A run in a process group of its own."""
        command = [sys.executable, "-m", "luigi", "--module", "tasks", "Evaluate", "--experiment", "recipe.toml"]
        return subprocess.Popen(
            [*command, *options],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def to_the_end(self, *options: str) -> str:
        """An undisturbed run; returns what it said."""
        process = self.start(*options)
        said, _ = process.communicate(timeout=600)
        assert process.returncode == 0, said
        return said

    def files(self) -> set[str]:
        """The names of everything in the store."""
        return {str(path.relative_to(self.store)) for path in self.store.rglob("*")}

    def numbers(self) -> Iterator[tuple[str, object]]:
        """Every number of every result, by file and name; provenance (times, who computed what) aside."""
        for path in sorted(self.store.rglob("*")):
            name = str(path.relative_to(self.store))
            if path.suffix == ".h5" and not path.is_symlink():
                with h5py.File(path, locking=False) as file:
                    yield from ((f"{name}:{place}", value) for place, value in _contents(file))
            elif path.suffix == ".safetensors":
                yield from ((f"{name}:{key}", array.tobytes()) for key, array in sorted(load_file(path).items()))
            elif path.suffix == ".npz":
                with np.load(path) as arrays:
                    yield from ((f"{name}:{key}", arrays[key].tobytes()) for key in sorted(arrays))
            elif path.name in ("metrics.json", "predictions.csv", "table.txt"):
                yield name, path.read_bytes()
            elif path.suffix in (".mp4", ".avi", ".txt"):
                yield name, path.read_bytes()


def _contents(file: h5py.File) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        value = np.asarray(item[()]).tobytes() if isinstance(item, h5py.Dataset) else b""
        found.append((name, (value, sorted((key, str(held)) for key, held in item.attrs.items()))))

    file.visititems(note)
    return found


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Runs, float]:
    """A finished run, and the seconds that it took."""
    runs = Runs(tmp_path_factory.mktemp("undisturbed"))
    began = time.monotonic()
    runs.to_the_end()
    return runs, time.monotonic() - began


def same(left: Runs, right: Runs) -> None:
    """The same files with the same numbers in them."""
    assert left.files() == right.files()
    wanted: Mapping[str, object] = dict(right.numbers())
    for name, value in left.numbers():
        assert value == wanted[name], name


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_comes_to_the_same(
    kills: int, undisturbed: tuple[Runs, float], tmp_path: Path
) -> None:
    finished, seconds = undisturbed
    runs, moments = Runs(tmp_path), random.Random(kills)
    killed = 0
    while killed < kills:
        process = runs.start()
        try:
            process.communicate(timeout=moments.uniform(0.2, 0.7) * seconds)
        except subprocess.TimeoutExpired:
            # The main process alone, whose workers must then end by themselves, or all at once.
            (os.kill if killed % 2 else os.killpg)(process.pid, signal.SIGKILL)
            process.communicate()
            killed += 1
        else:
            assert process.returncode == 0
            break
    runs.to_the_end()
    assert killed == kills or json.loads("true")
    same(runs, finished)
