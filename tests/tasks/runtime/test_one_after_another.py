"""What a task computes does not depend on the tasks that its process has run before."""

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import luigi
import pytest
from luigi.configuration import get_config
from luigi.task import flatten

import tasks
from tasks.base import SettingsTask, Stage
from tasks.runtime.executor import Assignment
from tasks.runtime.processes import Processes
from tests.support.equality import same_runs
from tests.support.recipes import SMALL
from tests.support.runs import Runs

RECIPE = f"""
title = "one after another"
{SMALL}
[[streams]]
label = "video"
extractor = {{ name = "convnet3d", stride_frames = 16, network = {{ stride_frames = 16, fit = {{ epochs = 1 }} }} }}
reducer = {{ dims = 5 }}
model = {{ name = "lstm", hidden = 4, input_dropout = 0.5, fit = {{ epochs = 2 }} }}
[[streams]]
label = "skeleton"
extractor = {{ name = "skeleton" }}
model = {{ name = "drnn", order = 1, state = 8, input_dropout = 0.5, fit = {{ epochs = 2 }} }}
[fusion]
rule = "sum"
"""


@pytest.fixture
def results() -> Iterator["queue.Queue[Any]"]:
    yield queue.Queue()
    get_config().remove_section("kinescope")
    luigi.task_register.Register.clear_instance_cache()


def run(runs: Runs, results: "queue.Queue[Any]", *, one_process: bool, last_first: bool = False) -> Runs:
    """Every stage of an experiment on its store, in one process, or each in one of its own."""
    for key, value in {"store": str(runs.store), "device": "cpu"}.items():
        get_config().set("kinescope", key, value)
    luigi.task_register.Register.clear_instance_cache()
    experiment = tasks.Evaluate(experiment=str(runs.folder / "recipe.toml"))
    tasks.Generate(dataset=experiment.recipe.dataset.without_protocol()).run()
    experiment.index.run()
    executor = Processes(results)
    stages = experiment.runs.stages()
    for stage in in_order(reversed(stages) if last_first else stages):
        executor.submit(Assignment(stage, "worker", None, True, True))
        assert results.get(timeout=120)[1] == "DONE", stage
        if not one_process:
            executor.close()
            executor = Processes(results)
    executor.close()
    return runs


def in_order(wanted: Any) -> list[SettingsTask]:
    """Tasks after those that they require."""
    found: dict[str, SettingsTask] = {}

    def visit(task: SettingsTask) -> None:
        if task.task_id not in found and isinstance(task, Stage):
            for needed in flatten(task.requires()):
                visit(needed)
            found[task.task_id] = task

    for task in wanted:
        visit(task)
    return list(found.values())


@pytest.mark.slow
def test_numbers_are_those_of_fresh_processes(results: "queue.Queue[Any]", tmp_path: Path) -> None:
    fresh = run(Runs(tmp_path / "fresh", RECIPE), results, one_process=False)
    lived_in = run(Runs(tmp_path / "lived in", RECIPE), results, one_process=True)
    backwards = run(Runs(tmp_path / "backwards", RECIPE), results, one_process=True, last_first=True)
    assert any(name.endswith("network.safetensors") for name in fresh.files())
    same_runs(lived_in, fresh)
    same_runs(backwards, fresh)
