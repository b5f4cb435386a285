"""`make gpu`: every part runs on a CPU, at sizes that say nothing of speed, and none can take more than its time."""

import json
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.processes import runs

RUN = ROOT / "benchmarks" / "gpu" / "run.py"
PARTS = [part.name for part in runpy.run_path(str(RUN))["PARTS"]]


def environment(out: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "OUT": str(out), **more}


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "gpu.jsonl").read_text().splitlines()]


def run(out: Path, *options: str, **more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(RUN), "--device", "cpu", "--small", *options]
    return subprocess.run(command, capture_output=True, text=True, env=environment(out, **more), check=False)


def test_all_parts_take_eight_minutes() -> None:
    assert runpy.run_path(str(RUN))["BUDGET_S"] == 480


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_each_part_runs_on_a_cpu(part: str, tmp_path: Path) -> None:
    ended = run(tmp_path, "--parts", part, "--budget", "20000")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    *figures, end = lines(tmp_path)
    assert (end["part"], end["ended"]) == (part, 0)
    assert all(line["part"] == part and "error" not in line for line in figures)
    assert bool(figures) == (part != "tests")
    numbers = [value for line in figures for value in line.values() if isinstance(value, float)]
    assert all(number >= 0 for number in numbers)
    assert ended.stdout.splitlines()[-len(figures) - 1].startswith(part)  # a table at the end, a row each


@pytest.mark.slow
def test_without_real_clips_films_are_made(tmp_path: Path) -> None:
    parts = ("--parts", "smoke", "extraction")
    ended = run(tmp_path, *parts, "--budget", "20000", KINESCOPE_SHARED=str(tmp_path / "none"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {line["clips"] for line in lines(tmp_path) if "clips" in line} == {"made up"}


def test_without_a_gpu_one_sentence_is_said(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, str(RUN)], capture_output=True, text=True, env=environment(tmp_path, CUDA_VISIBLE_DEVICES="")
    )
    assert ended.returncode == 1
    assert ended.stderr == "torch sees no CUDA device here; --device cpu --small runs every part without one\n"
    assert ended.stdout == ""


def test_a_part_that_takes_too_long_is_ended_and_so_is_what_it_started(tmp_path: Path) -> None:
    sleeper = (
        "import subprocess; child = subprocess.Popen(['sleep', '1000']); print(child.pid, flush=True); child.wait()"
    )
    assert runpy.run_path(str(RUN))["_run"]("sleeper", [sys.executable, "-c", sleeper], 5.5, dict(os.environ), tmp_path)
    assert lines(tmp_path)[-1]["ended"] == "out of time"
    sleeping, deadline = int((tmp_path / "sleeper.log").read_text()), time.monotonic() + 30
    while runs(sleeping):  # it has been killed, and ends as soon as it has a processor
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_part_that_has_no_time_left_is_told(tmp_path: Path) -> None:
    module = runpy.run_path(str(RUN))
    assert module["_run"]("late", [sys.executable, "-c", ""], 1.0, dict(os.environ), tmp_path)
    assert not module["_run"]("quick", [sys.executable, "-c", ""], 60.0, dict(os.environ), tmp_path)
    late, quick = lines(tmp_path)
    assert late == {"part": "late", "skipped": "no time left"}
    assert quick["ended"] == 0


def test_the_table_names_what_was_measured() -> None:
    given = [{"part": "tvl1", "size": "320x240", "pairs_s": 2000.0}, {"part": "tests", "ended": 0}]
    assert runpy.run_path(str(RUN))["table"](given).splitlines() == [
        "tvl1   320x240  pairs_s 2000",
        "tests           ended 0",
    ]
