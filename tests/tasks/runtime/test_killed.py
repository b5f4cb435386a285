"""Runs that are killed: what is left goes on, ends, and comes to the same to the last bit."""

import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import h5py
import luigi
import numpy as np
import pytest
from safetensors.numpy import load_file

from data.stick_figures.dataset import ACTIONS
from pipeline.files.atomic import atomic_path, sweep
from pipeline.store import Store, provenance
from tasks.runtime import workers as processes
from tests.support.paths import ROOT

DATA = """
title = "killed"
[dataset]
name = "stick_figures"
subjects = 2
scenarios = ["d1"]
train_subjects = 1
"""
RECIPE = (
    DATA
    + """
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
)
SKELETONS = (
    DATA
    + """
[[streams]]
extractor = { name = "skeleton" }
model = { name = "drnn", state = 8, fit = { epochs = 2 } }
"""
)
VIDEOS = (
    DATA
    + """
[[streams]]
extractor = { name = "convnet3d", stride_frames = 8, network = { stride_frames = 8, fit = { epochs = 1, lr = 0.001 } } }
model = { name = "consensus", rule = "vote" }
"""
)
EVALUATE = ("Evaluate", "--experiment", "recipe.toml")
SUBJECTS = json.dumps({"name": "stick_figures", "subjects": 2, "scenarios": ["d1"]})
FLOW = ("Extract", "--dataset", SUBJECTS, "--extractor", json.dumps({"name": "tvl1", "size_px": [80, 60]}))
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
shard_size = {shard_size}
store = {store}
"""


class Runs:
    """One experiment, or another task, started again and again on one store."""

    def __init__(
        self, folder: Path, recipe: str = RECIPE, *, shard_size: int = 6, task: Sequence[str] = EVALUATE
    ) -> None:
        self.folder, self.store, self.task = folder, folder / "store", task
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "recipe.toml").write_text(recipe)
        (folder / "luigi.cfg").write_text(SETTINGS.format(store=self.store, shard_size=shard_size))
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
                yield name, {key: value for key, value in json.loads(path.read_text()).items() if key != "provenance"}
            elif path.suffix in (".csv", ".txt", ".mp4"):
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
    rng, killed, times = random.Random(kills), 0, 0
    while killed < kills:
        times += 1
        runs = Runs(tmp_path / str(times))
        while killed < kills:
            process = runs.start()
            try:
                said, _ = process.communicate(timeout=rng.uniform(0.1, 0.6) * seconds)
            except subprocess.TimeoutExpired:
                # The main process alone, whose workers must then end by themselves, or all at once.
                (os.kill if killed % 2 else os.killpg)(process.pid, signal.SIGKILL)
                process.communicate()
                killed += 1
            else:
                assert process.returncode == 0, said
                break
        runs.to_the_end()
        same(runs, finished)


@pytest.mark.slow
def test_a_killed_flow_stage_goes_on_where_it_was(tmp_path: Path) -> None:
    finished, runs = (Runs(tmp_path / name, shard_size=12, task=FLOW) for name in ("finished", "killed"))
    for each in (finished, runs):
        Runs(each.folder, shard_size=12, task=("Index", "--dataset", SUBJECTS)).to_the_end()
    finished.to_the_end()
    rows = "*/tvl1-*/journal-*/[!.]*.h5"
    for kill in range(1, 4):
        process = runs.start()
        until(lambda kill=kill: len(list(runs.store.glob(rows))) >= 2 * kill)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    journaled = len(list(runs.store.glob(rows)))
    assert 6 <= journaled < 12
    runs.to_the_end()
    same(runs, finished)
    (shard,) = runs.store.glob("*/tvl1-*/000-of-001-*.h5")
    assert provenance(shard)["computed"] == 12 - journaled


def workers(process: subprocess.Popen[str]) -> set[int]:
    """The living processes of a run's session, but its first."""
    found = subprocess.run(["pgrep", "-s", str(process.pid)], capture_output=True, text=True, check=False)
    return {int(number) for number in found.stdout.split()} - {process.pid}


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait for something to hold."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.02)


def test_terminating_the_main_process_ends_its_workers_and_keeps_what_they_journaled(tmp_path: Path) -> None:
    runs = Runs(tmp_path, VIDEOS, shard_size=12)
    process = runs.start()
    until(lambda: list(runs.store.glob("*/person_boxes-*/journal-*/[!.]*.h5")))
    process.terminate()
    process.communicate(timeout=30)
    until(lambda: not workers(process), seconds=10)
    assert process.returncode not in (0, None)
    journaled = list(runs.store.glob("*/person_boxes-*/journal-*/[!.]*.h5"))
    assert 0 < len(journaled) < 12
    assert not [name for name in runs.files() if ".tmp" in name]
    runs.to_the_end()
    (index,) = runs.store.glob("*/person_boxes-*/index.h5")
    (shard,) = index.parent.glob("000-of-001-*.h5")
    assert len(Store(index).ids()) == 12
    assert provenance(shard)["computed"] == 12 - len(journaled)


@pytest.mark.parametrize("host", ["", "node01.cluster.example.org"])
def helped() -> None:
    """A task's process with a helper that ends, and an eye on it, as torch's loading has."""
    processes.GRACE_S = 0.2
    processes._end_with_the_main_process(luigi.Task())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    subprocess.run([sys.executable, "-c", ""], check=True)
    time.sleep(2 * processes.GRACE_S)


def test_the_end_of_a_helper_does_not_end_its_task() -> None:
    process = multiprocessing.get_context("spawn").Process(target=helped)
    process.start()
    process.join()
    assert process.exitcode == 0


@pytest.mark.parametrize("host", ["", "node01.cluster.example.org"])
def test_leftovers_of_the_dead_are_swept_and_those_of_the_living_stay(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = f"import socket; socket.gethostname = lambda: {host!r}\n" if host else ""
    if host:
        monkeypatch.setattr("socket.gethostname", lambda: host)
    living = [tmp_path / "shards" / name for name in ("mine.h5", "theirs.h5")]
    script = renamed + (
        "import sys, time; from pathlib import Path; from pipeline.files.atomic import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); print(temporary, flush=True); time.sleep(600)"
    )
    other = subprocess.Popen([sys.executable, "-c", script, living[1]], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert other.stdout
    theirs = Path(other.stdout.readline().strip())
    foreign = theirs.with_name(re.sub(r"\.[^.]+-(\d+)\.tmp", r".another-host-\1.tmp", theirs.name))
    foreign.touch()
    with atomic_path(living[0]) as mine:
        mine.write_text("half")
        assert sweep(tmp_path) == []
        other.kill()
        other.wait()
        assert sweep(tmp_path) == [theirs]
        assert mine.exists()
        os.utime(foreign, (0, 0))
        assert sweep(tmp_path) == [foreign]
    assert living[0].read_text() == "half"


def test_what_a_kill_after_the_last_byte_leaves_is_swept_by_the_next_run(tmp_path: Path) -> None:
    runs = Runs(tmp_path, SKELETONS)
    runs.to_the_end()
    before, (network,) = runs.files(), runs.store.glob("*/drnn-*/network.safetensors")
    network.with_name("checkpoint.pt").touch()
    next(runs.store.glob("*/evaluate-*/metrics.json")).unlink()
    runs.to_the_end()
    assert runs.files() == before


CRASHING = """
import faulthandler, os
from pathlib import Path
from pipeline.video import decode as module

plain = module.decode

def decode(path, *args, **named):
    if Path(path).name in {files}:
        os.kill(os.getpid(), {signal})
    return plain(path, *args, **named)

module.decode = decode
"""


def crashing(runs: Runs, files: set[str], number: int) -> None:
    """Every worker of these runs dies of a signal when it decodes one of the files."""
    (runs.folder / "sitecustomize.py").write_text(CRASHING.format(files=files, signal=number))
    runs.environment["PYTHONPATH"] = f"{runs.folder}{os.pathsep}{ROOT}"


@pytest.mark.parametrize("options", [["--workers", "1"], []])
def test_a_video_that_kills_its_process_twice_is_a_failure_and_the_others_go_on(
    options: list[str], tmp_path: Path
) -> None:
    runs = Runs(tmp_path, VIDEOS)
    crashing(runs, {"person01_walking_d1.mp4", "person02_boxing_d1.mp4"}, signal.SIGSEGV)
    process = runs.start(*options)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 30, said
    assert "its process died of SIGSEGV with person01_walking_d1 in hand" in said
    (index,) = runs.store.glob("*/person_boxes-*/index.h5")
    failures = Store(index).failures()
    assert set(failures) == {"person01_walking_d1", "person02_boxing_d1"}
    assert "died 2 times: Segmentation fault in" in failures["person01_walking_d1"].reason
    assert len(Store(index).ids()) == 10
    assert not [name for name in runs.files() if "journal" in name or ".started" in name]


def test_a_crash_with_no_video_in_hand_ends_the_run(tmp_path: Path) -> None:
    runs = Runs(tmp_path, VIDEOS)
    crashing(runs, {"person01_walking_d1.mp4"}, signal.SIGKILL)
    runs.start().communicate(timeout=600)
    assert [name for name in runs.files() if name.endswith(".started")]
    (runs.folder / "sitecustomize.py").write_text(
        "import os\nfrom extractors.convnet3d.person_boxes import PersonBoxes\n"
        f"PersonBoxes.build = lambda *_: os.kill(os.getpid(), {signal.SIGILL:d})\n"
    )
    said, _ = runs.start().communicate(timeout=120)
    assert "died of SIGILL" in said
    assert "in hand" not in said


def test_files_that_no_stream_reads_are_not_opened_for_pictures(tmp_path: Path) -> None:
    runs = Runs(tmp_path, SKELETONS)
    crashing(runs, {f"person0{person}_{action}_d1.mp4" for person in (1, 2) for action in ACTIONS}, signal.SIGSEGV)
    runs.to_the_end()


def test_a_killed_process_is_no_fault_of_its_video(tmp_path: Path) -> None:
    runs = Runs(tmp_path, VIDEOS)
    crashing(runs, {"person01_walking_d1.mp4"}, signal.SIGKILL)
    process = runs.start()
    said, _ = process.communicate(timeout=600)
    assert process.returncode != 0
    assert "SIGKILL (the system does that where memory runs out) with person01_walking_d1 in hand" in said
    assert not list(runs.store.glob("*/person_boxes-*/index.h5"))
    (runs.folder / "sitecustomize.py").unlink()
    runs.to_the_end()
    (index,) = runs.store.glob("*/person_boxes-*/index.h5")
    assert len(Store(index).ids()) == 12
