"""Runs at the same time on one store: both end well, with what either would have come to alone."""

import errno
import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.files.lock import exclusive, exclusive_of_all
from tests.support.equality import same_runs
from tests.support.paths import ROOT
from tests.support.recipes import SMALL
from tests.support.runs import Runs

RECIPE = f"""
title = "shared"
{SMALL}
[[streams]]
extractor = {{{{ name = "skeleton" }}}}
model = {{{{ name = "drnn", state = {{state}}, fit = {{{{ epochs = 40 }}}} }}}}
"""
VIDEO = """
[[streams]]
extractor = { name = "convnet3d", stride_frames = 8, network = { stride_frames = 8, fit = { epochs = 2 } } }
model = { name = "lstm", hidden = 8, fit = { epochs = 2 } }
[fusion]
rule = "product"
"""


@pytest.mark.parametrize(
    "more",
    [
        pytest.param("", marks=pytest.mark.torture, id="skeletons"),
        pytest.param(VIDEO, marks=pytest.mark.slow, id="and videos"),
    ],
)
def test_three_runs_at_once_on_one_store(more: str, tmp_path: Path) -> None:
    """Two of the same experiment, and one that shares the data, the features and a stream with them."""
    together, alone_ = (Runs(tmp_path / name, RECIPE.format(state=8) + more) for name in ("together", "alone"))
    for runs in (together, alone_):
        (runs.folder / "other.toml").write_text(RECIPE.format(state=9) + more)
    other = ("--experiment", "other.toml")
    processes = [together.start(), together.start(), together.start(*other)]
    for process in processes:
        said, _ = process.communicate(timeout=200)
        assert process.returncode == 0, said
        assert "report: " in said
        assert "Traceback" not in said
    alone_.to_the_end()
    alone_.to_the_end(*other)
    same_runs(together, alone_)


def _hold(path: Path, lock: Path, inside: Event, seconds: float) -> None:
    with exclusive(path, lock):
        inside.set()
        time.sleep(seconds)


def test_one_at_a_time_for_each_path_and_nobody_waits_for_the_dead(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    inside, entered, lock = context.Event(), context.Event(), tmp_path / "store" / ".lock"
    holder = context.Process(target=_hold, args=(tmp_path / "a", lock, inside, 600))
    waiting = context.Process(target=_hold, args=(tmp_path / "a", lock, entered, 0))
    holder.start()
    assert inside.wait(60)
    with exclusive(tmp_path / "b", lock):
        pass
    waiting.start()
    assert not entered.wait(3)
    holder.kill()
    assert entered.wait(60)
    for process in (holder, waiting):
        process.join(60)
    assert waiting.exitcode == 0
    assert [path.name for path in lock.parent.iterdir()] == [".lock"]


def test_without_locks_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    monkeypatch.setattr(fcntl, "fcntl", refuse)
    with exclusive(tmp_path / "a", tmp_path / ".lock"), exclusive(tmp_path / "a", tmp_path / ".lock"):
        pass


ANOTHER = """
import sys
from pathlib import Path
from pipeline.errors import InputError
from pipeline.files.lock import exclusive_of_all
try:
    with exclusive_of_all(Path(sys.argv[1])):
        print("free")
except InputError:
    print("taken")
"""


def seen_by_another(lock: Path) -> str:
    """What another process finds when it asks for all of a lock file."""
    command = [sys.executable, "-c", ANOTHER, str(lock)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def test_leaving_an_inner_block_keeps_the_outer_one(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    with exclusive(tmp_path / "a", lock):
        with exclusive(tmp_path / "b", lock):
            assert seen_by_another(lock) == "taken"
        assert seen_by_another(lock) == "taken"
        lock.read_bytes()  # closes a descriptor, too
        assert seen_by_another(lock) == "taken"
    assert seen_by_another(lock) == "free"


def test_a_thread_that_is_inside_enters_again_and_stays_inside(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    for outer in (exclusive(tmp_path / "a", lock), exclusive_of_all(lock)):
        with outer:
            with exclusive(tmp_path / "a", lock):
                assert seen_by_another(lock) == "taken"
            assert seen_by_another(lock) == "taken"
        assert seen_by_another(lock) == "free"


def test_everything_is_refused_to_the_process_that_makes_something_and_takes_nothing_from_it(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    with exclusive(tmp_path / "a", lock):
        with pytest.raises(InputError, match="a run is at work"), exclusive_of_all(lock):
            pass
        assert seen_by_another(lock) == "taken"
    with exclusive_of_all(lock):
        assert seen_by_another(lock) == "taken"
    assert seen_by_another(lock) == "free"


def test_threads_of_one_process_take_turns(tmp_path: Path) -> None:
    inside, most = 0, 0

    def make() -> None:
        nonlocal inside, most
        for _ in range(5):
            with exclusive(tmp_path / "a", tmp_path / ".lock"):
                inside += 1
                most = max(most, inside)
                time.sleep(0.01)
                inside -= 1

    threads = [threading.Thread(target=make, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert most == 1
    assert seen_by_another(tmp_path / ".lock") == "free"


def test_a_process_forked_inside_holds_nothing_afterwards(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    with exclusive(tmp_path / "a", lock):
        child = os.fork()
        while not child:  # it must never go on as a second test run
            signal.pause()
    try:
        assert seen_by_another(lock) == "free"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_system_without_locks_of_an_open_file_keeps_processes_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("F_OFD_SETLK", "F_OFD_SETLKW"):
        monkeypatch.delattr(fcntl, name, raising=False)
    with exclusive(tmp_path / "a", tmp_path / ".lock"):
        assert seen_by_another(tmp_path / ".lock") == "taken"
    assert seen_by_another(tmp_path / ".lock") == "free"
