"""Processes that live on: tasks follow one another in them, a death costs one task, and nothing is left at the end."""

import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import luigi
import pytest
from luigi.worker import fork_lock

from pipeline.errors import InputError
from tasks.base import SettingsTask
from tasks.runtime.executor import Assignment
from tasks.runtime.processes import Processes
from tests.support.runs import until


class WhoAmI(SettingsTask):
    """Task that says in which process it ran, or ends it."""

    number = luigi.IntParameter()
    ends_by = luigi.OptionalIntParameter(default=None)
    seconds = luigi.FloatParameter(default=0.0)
    fails = luigi.BoolParameter(default=False)
    exits = luigi.BoolParameter(default=False)
    on_gpu = luigi.BoolParameter(default=False)

    @property
    def resources(self) -> dict[str, int]:  # type: ignore[override]
        raise InputError("the weights that name its output have just been deleted")

    def run(self) -> None:
        if self.fails:
            raise ValueError("a fault")
        if self.exits:  # as a library may do that thinks the process its own
            os._exit(0)
        if self.ends_by is not None:
            os.kill(os.getpid(), self.ends_by)
        time.sleep(self.seconds)

    def complete(self) -> bool:
        return False

    def on_success(self) -> int:
        return os.getpid()


def assigned(number: int, **named: Any) -> Assignment:
    return Assignment(WhoAmI(number=number, **named), "worker", None, True, False)


@pytest.fixture
def results() -> "queue.Queue[Any]":
    return queue.Queue()


@pytest.fixture
def processes(results: "queue.Queue[Any]") -> Iterator[Processes]:
    executor = Processes(results)
    yield executor
    executor.close()
    assert not [child for child in multiprocessing.active_children() if child.is_alive()]


def test_one_process_takes_task_after_task(processes: Processes, results: "queue.Queue[Any]") -> None:
    found = []
    for number in range(3):
        job = processes.submit(assigned(number))
        found.append(results.get(timeout=60))
        assert job.exitcode == 0
    assert [(status, new) for _, status, _, _, new in found] == [("DONE", None)] * 3
    assert len({process for _, _, process, _, _ in found}) == 1


def test_two_at_a_time_have_two_processes(processes: Processes, results: "queue.Queue[Any]") -> None:
    for number in range(2):
        processes.submit(assigned(number, seconds=0.5))
    assert len({results.get(timeout=60)[2] for _ in range(2)}) == 2


def test_a_death_is_told_and_another_process_goes_on(processes: Processes, results: "queue.Queue[Any]") -> None:
    job = processes.submit(assigned(0, ends_by=signal.SIGKILL))
    until(lambda: job.exitcode is not None)
    assert job.exitcode == -signal.SIGKILL
    assert results.empty()
    processes.submit(assigned(1))
    assert results.get(timeout=60)[1] == "DONE"


def test_a_process_that_ends_as_if_all_were_well_is_told_as_a_death(
    processes: Processes, results: "queue.Queue[Any]"
) -> None:
    job = processes.submit(assigned(0, exits=True))
    until(lambda: job.exitcode is not None)
    assert job.exitcode != 0
    assert results.empty()
    processes.submit(assigned(1))
    assert results.get(timeout=60)[1] == "DONE"


def test_a_process_that_dies_between_two_tasks_costs_none(processes: Processes, results: "queue.Queue[Any]") -> None:
    first = processes.submit(assigned(0))
    process = results.get(timeout=60)[2]
    os.kill(process, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{process}").exists())
    second = processes.submit(assigned(1))
    assert results.get(timeout=60)[1] == "DONE"
    assert (first.exitcode, second.exitcode) == (0, 0)


def test_a_death_in_the_moment_of_the_next_task_costs_none(processes: Processes, results: "queue.Queue[Any]") -> None:
    processes.submit(assigned(0))
    process = results.get(timeout=60)[2]
    with fork_lock:  # which luigi's worker holds while it has a task executed
        os.kill(process, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{process}").exists())
        processes.submit(assigned(1))
    assert results.get(timeout=60)[1] == "DONE"


def test_what_a_failure_leaves_behind_is_no_next_task_s(processes: Processes, results: "queue.Queue[Any]") -> None:
    processes.submit(assigned(0))
    first = results.get(timeout=60)[2]
    job = processes.submit(assigned(1, fails=True))
    assert results.get(timeout=60)[1] == "FAILED"
    assert job.exitcode == 0
    processes.submit(assigned(2))
    assert results.get(timeout=60)[2] != first
    until(lambda: not Path(f"/proc/{first}").exists())


def test_tasks_on_a_gpu_have_processes_of_their_own(processes: Processes, results: "queue.Queue[Any]") -> None:
    found = []
    for number, on_gpu in enumerate((True, False, True, False)):
        processes.submit(assigned(number, on_gpu=on_gpu))
        found.append(results.get(timeout=60)[2])
    assert found[:2] == found[2:]
    assert found[0] != found[1]


def test_results_that_nobody_reads_do_not_hold_up_the_end() -> None:
    script = """
from luigi.scheduler import Scheduler
from tasks.runtime.luigi_worker import WorkerSchedulerFactory

with WorkerSchedulerFactory().create_worker(Scheduler(), 2) as worker:
    worker._task_result_queue.put(bytes(2**20))
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_what_runs_can_be_terminated(processes: Processes) -> None:
    job = processes.submit(assigned(0, seconds=100))
    time.sleep(0.5)
    job.terminate()
    until(lambda: job.exitcode is not None)
    assert job.exitcode != 0
