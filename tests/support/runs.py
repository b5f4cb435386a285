"""Runs of luigi in processes of their own, which may be killed or fail."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
from safetensors.numpy import load_file

from tests.support.paths import ROOT

EVALUATE = ("Evaluate", "--experiment", "recipe.toml")


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
wait_interval = 0.1
wait_jitter = 0
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
shard_size = {shard_size}
store = {store}
"""


class Runs:
    """One experiment, or another task, started again and again on one store."""

    def __init__(
        self,
        folder: Path,
        recipe: str,
        *,
        shard_size: int = 6,
        task: Sequence[str] = EVALUATE,
        store: Path | None = None,
        more: str = "",
    ) -> None:
        self.folder, self.store, self.task = folder, store or folder / "store", task
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "recipe.toml").write_text(recipe)
        (folder / "luigi.cfg").write_text(SETTINGS.format(store=self.store, shard_size=shard_size) + more)
        self.environment = {
            **os.environ,
            "LUIGI_CONFIG_PATH": str(folder / "luigi.cfg"),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }

    def start(self, *options: str) -> subprocess.Popen[str]:
        """A run in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "luigi", "--module", "tasks", *self.task, *options],
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
            elif path.name == "metrics.json":
                told = json.loads(path.read_text())
                yield name, {key: value for key, value in told.items() if key not in ("provenance", "blake2b")}
            elif path.suffix in (".csv", ".txt", ".mp4"):
                yield name, path.read_bytes()


def _contents(file: h5py.File) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        value = np.asarray(item[()]).tobytes() if isinstance(item, h5py.Dataset) else b""
        found.append((name, (value, sorted((key, str(held)) for key, held in item.attrs.items()))))

    file.visititems(note)
    return found


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait for something to hold."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.02)
