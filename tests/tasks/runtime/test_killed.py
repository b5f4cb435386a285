"""Runs that are killed: what is left goes on, ends, and comes to the same to the last bit."""

import fcntl
import io
import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import termios
import time
from functools import partial
from pathlib import Path
from typing import IO

import h5py
import numpy as np
import pytest

from data.stick_figures.dataset import ACTIONS
from pipeline.files.atomic import atomic_path, is_abandoned, is_in_use, sweep
from pipeline.files.deferred_errors import DeferredErrors
from pipeline.store import Store, provenance
from pipeline.store.journal import finished
from tasks.runtime import workers as processes
from tasks.runtime.start import INTERRUPTED
from tests.support.equality import same_runs
from tests.support.paths import ROOT
from tests.support.runs import Runs, until

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


SUBJECTS = json.dumps({"name": "stick_figures", "subjects": 2, "scenarios": ["d1"]})


DECODING = ("Decode", "--dataset", SUBJECTS)


FLOW = ("Extract", "--dataset", SUBJECTS, "--extractor", json.dumps({"name": "tvl1", "size_px": [80, 60]}))


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Runs, float]:
    """A finished run, and the seconds that it took."""
    runs = Runs(tmp_path_factory.mktemp("undisturbed"), RECIPE)
    began = time.monotonic()
    runs.to_the_end()
    return runs, time.monotonic() - began


@pytest.mark.parametrize(
    "kills", [pytest.param(20, marks=pytest.mark.slow), pytest.param(60, marks=pytest.mark.torture)]
)
def test_killed_at_random_moments_it_comes_to_the_same(
    kills: int, undisturbed: tuple[Runs, float], tmp_path: Path
) -> None:
    finished, seconds = undisturbed
    rng, killed, times = random.Random(kills), 0, 0
    while killed < kills:
        times += 1
        runs = Runs(tmp_path / str(times), RECIPE)
        while killed < kills:
            process = runs.start()
            try:
                said, _ = process.communicate(timeout=rng.uniform(0.1, 0.45) * seconds)
            except subprocess.TimeoutExpired:
                # The main process alone, whose workers must then end by themselves, or all at once.
                (os.kill if killed % 2 else os.killpg)(process.pid, signal.SIGKILL)
                process.communicate()
                killed += 1
            else:
                assert process.returncode == 0, said
                break
        runs.to_the_end()
        same_runs(runs, finished)


def journaled_by(runs: Runs, extractor: str) -> int:
    """Number of finished videos in an extractor's journals."""
    return sum(len(finished(journal)) for journal in runs.store.glob(f"*/{extractor}-*/journal-*"))


@pytest.mark.slow
def test_a_killed_flow_stage_goes_on_where_it_was(tmp_path: Path) -> None:
    finished, runs = (Runs(tmp_path / name, RECIPE, shard_size=12, task=FLOW) for name in ("finished", "killed"))
    for each in (finished, runs):
        Runs(each.folder, RECIPE, shard_size=12, task=("Index", "--dataset", SUBJECTS)).to_the_end()
    finished.to_the_end()
    for kill in range(1, 4):
        process = runs.start()
        until(lambda kill=kill: journaled_by(runs, "tvl1") >= 2 * kill)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    journaled = journaled_by(runs, "tvl1")
    assert 6 <= journaled < 12
    runs.to_the_end()
    same_runs(runs, finished)
    (shard,) = runs.store.glob("*/tvl1-*/000-of-001-*.h5")
    assert provenance(shard)["computed"] == 12 - journaled


def workers(process: subprocess.Popen[str]) -> set[int]:
    """The living processes of a run's session, but its first."""
    found = subprocess.run(["pgrep", "-s", str(process.pid)], capture_output=True, text=True, check=False)
    return {int(number) for number in found.stdout.split()} - {process.pid}


@pytest.mark.parametrize("by", ["SIGTERM", pytest.param("Ctrl-C", marks=pytest.mark.slow)])
def test_ending_the_main_process_ends_its_workers_and_keeps_what_they_journaled(by: str, tmp_path: Path) -> None:
    runs = Runs(tmp_path, VIDEOS, shard_size=12)
    process = runs.start()
    until(lambda: journaled_by(runs, "person_boxes"))
    if by == "SIGTERM":
        process.terminate()
    else:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    said, _ = process.communicate(timeout=30)
    if by == "Ctrl-C":
        assert INTERRUPTED in said.splitlines()
        assert "Traceback" not in said
        assert "resource_tracker" not in said
    until(lambda: not workers(process), seconds=10)
    assert process.returncode not in (0, None)
    journaled = journaled_by(runs, "person_boxes")
    assert 0 < journaled < 12
    assert not [name for name in runs.files() if ".tmp" in name]
    runs.to_the_end()
    (index,) = runs.store.glob("*/person_boxes-*/index.h5")
    (shard,) = index.parent.glob("000-of-001-*.h5")
    assert len(Store(index).ids()) == 12
    assert provenance(shard)["computed"] == 12 - journaled


def helped() -> None:
    """A task's process with a helper that ends, and an eye on it, as torch's loading has."""
    processes.GRACE_S = 0.2
    processes.end_with_the_main_process()
    signal.signal(signal.SIGCHLD, lambda *_: None)
    subprocess.run([sys.executable, "-c", ""], check=True)
    time.sleep(2 * processes.GRACE_S)


def _write_into_a_pipe(pipe: Path, path: Path) -> None:
    """A task's process that writes an array, as stores are written, until it is told to end."""
    processes.GRACE_S = 60.0  # so that it ends by itself
    with io.FileIO(str(pipe), "w") as slow:

        class Blocking(io.FileIO):
            write = slow.write  # one of the system's own, in which a signal finds the process

        class Slow(DeferredErrors, Blocking):
            """What is written goes into the pipe, and waits there until somebody reads."""

        processes.end_with_the_main_process()
        with Slow(path) as taking, h5py.File(taking, "w") as file:
            file.create_dataset("array", data=ARRAY)
            file.flush()
    while True:
        time.sleep(0.01)


ARRAY = np.random.default_rng(0).integers(0, 256, 2**18, np.uint8)
"""Larger than a pipe, which takes 64 KiB."""


def test_a_signal_does_not_interrupt_hdf5_where_it_writes_and_ends_the_process_a_moment_later(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = multiprocessing.get_context("spawn").Process(target=_write_into_a_pipe, args=(pipe, tmp_path / "file.h5"))
    process.start()
    with pipe.open("rb", buffering=0) as reading:
        until(lambda: _waiting(reading) >= 2**16)
        process.terminate()
        time.sleep(0.2)
        assert process.is_alive()
        written = b"".join(iter(partial(reading.read, 2**16), b""))
    process.join(30)
    assert ARRAY.tobytes() in written
    assert process.exitcode == processes.TERMINATED


def _waiting(pipe: IO[bytes]) -> int:
    """Bytes that a pipe holds."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


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
    foreign = theirs.with_name(re.sub(r"kinescope-[^.]+-(\d+)\.tmp", r"kinescope-another-host-\1.tmp", theirs.name))
    unmarked = theirs.with_name(theirs.name.replace("kinescope-", ""))
    for path in (foreign, unmarked):
        path.touch()
    with atomic_path(living[0]) as mine:
        mine.write_text("half")
        assert sweep(tmp_path) == []
        other.kill()
        other.wait()
        assert sweep(tmp_path) == [theirs]
        assert mine.exists()
        assert is_in_use(foreign)
        for path in (foreign, unmarked):
            os.utime(path, (0, 0))
        assert sweep(tmp_path) == []
        assert is_abandoned(foreign)
        assert not is_abandoned(unmarked)
    assert living[0].read_text() == "half"


@pytest.mark.slow
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


@pytest.mark.parametrize("options", [pytest.param(["--workers", "1"], marks=pytest.mark.slow), []])
def test_a_video_that_kills_its_process_twice_is_a_failure_and_the_others_go_on(
    options: list[str], tmp_path: Path
) -> None:
    runs = Runs(tmp_path, "", task=DECODING)
    crashing(runs, {"person01_walking_d1.mp4", "person02_boxing_d1.mp4"}, signal.SIGSEGV)
    process = runs.start(*options)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 30, said
    assert "its process died of SIGSEGV while computing person01_walking_d1" in said
    assert "resource_tracker" not in said
    (index,) = runs.store.glob("*/frames-*/index.h5")
    failures = Store(index).failures()
    assert set(failures) == {"person01_walking_d1", "person02_boxing_d1"}
    assert "died 2 times: Segmentation fault in" in failures["person01_walking_d1"].reason
    assert len(Store(index).ids()) == 10
    assert not [name for name in runs.files() if "journal" in name or ".started" in name]


def test_a_crash_with_no_video_in_hand_ends_the_run(tmp_path: Path) -> None:
    runs = Runs(tmp_path, "", task=DECODING)
    crashing(runs, {"person01_walking_d1.mp4"}, signal.SIGKILL)
    runs.start().communicate(timeout=600)
    assert [name for name in runs.files() if name.endswith(".started")]
    (runs.folder / "sitecustomize.py").write_text(
        "import os\nfrom extractors.frames import Frames\n"
        f"Frames.build = lambda *_: os.kill(os.getpid(), {signal.SIGILL:d})\n"
    )
    said, _ = runs.start().communicate(timeout=120)
    assert "died of SIGILL" in said
    assert "while computing" not in said


@pytest.mark.slow
def test_files_that_no_stream_reads_are_not_opened_for_pictures(tmp_path: Path) -> None:
    runs = Runs(tmp_path, SKELETONS)
    crashing(runs, {f"person0{person}_{action}_d1.mp4" for person in (1, 2) for action in ACTIONS}, signal.SIGSEGV)
    runs.to_the_end()


def test_a_killed_process_is_no_fault_of_its_video(tmp_path: Path) -> None:
    runs = Runs(tmp_path, "", task=DECODING)
    crashing(runs, {"person01_walking_d1.mp4"}, signal.SIGKILL)
    process = runs.start()
    said, _ = process.communicate(timeout=600)
    assert process.returncode != 0
    assert "SIGKILL (the system does that when memory runs out) while computing person01_walking_d1" in said
    assert not list(runs.store.glob("*/frames-*/index.h5"))
    (runs.folder / "sitecustomize.py").unlink()
    runs.to_the_end()
    (index,) = runs.store.glob("*/frames-*/index.h5")
    assert len(Store(index).ids()) == 12
