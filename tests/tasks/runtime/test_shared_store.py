"""Runs at the same time on one store: both end well, with what either would have come to alone."""

import errno
import fcntl
import multiprocessing
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from pipeline.files.lock import exclusive
from tests.support.equality import same_runs
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


@pytest.mark.parametrize("more", ["", pytest.param(VIDEO, marks=pytest.mark.slow)], ids=["skeletons", "and videos"])
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
    with exclusive(tmp_path / "a", tmp_path / ".lock"), exclusive(tmp_path / "a", tmp_path / ".lock"):
        pass
