"""What running tasks changes in the interpreter, and that importing them changes nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

STATE = """
import json, logging, multiprocessing, os, sys
from luigi.configuration import get_config

def state():
    return {
        "method": multiprocessing.get_start_method(allow_none=True),
        "filters": len(logging.getLogger("luigi-interface").filters),
        "safe path": os.environ.get("PYTHONSAFEPATH"),
        "retries": get_config().get("scheduler", "retry_count", None),
        "path": sys.path,
    }

before = state()
"""
CHANGED = {"method": "forkserver", "filters": 1, "safe path": "1", "retries": "2"}


def states(code: str, folder: Path) -> tuple[dict[str, object], dict[str, object]]:
    """State of an interpreter before and after some code, in an empty folder."""
    code = f"{STATE}{code}\nprint(json.dumps([before, state()]))"
    answer = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    before, after = json.loads(answer.stdout)
    return before, after


@pytest.mark.parametrize("code", ["import tasks", "from tasks.experiment import Experiment"])
def test_an_import_changes_nothing(code: str, tmp_path: Path) -> None:
    before, after = states(code, tmp_path)
    assert after == before


@pytest.mark.parametrize(
    "code",
    [
        "import tasks; tasks.start()",
        "import tasks; tasks.start(); tasks.start()",
        "import luigi.cmdline, tasks",  # as ``luigi --module tasks`` does
        "import tasks.runtime.worker_process",
        "from typer.testing import CliRunner; from tasks.commands.app import app; CliRunner().invoke(app, ['list'])",
    ],
)
def test_entry_points_start_once(code: str, tmp_path: Path) -> None:
    before, after = states(code, tmp_path)
    assert {name: after[name] for name in CHANGED} == CHANGED != {name: before[name] for name in CHANGED}
    assert after["path"] == before["path"]


def test_a_name_that_is_not_utf_8_is_printed_as_it_is(tmp_path: Path) -> None:
    code = "import tasks; tasks.start(); print('caf\\udce9')"
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict", "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, cwd=tmp_path, env=environment
    )
    assert answer.stdout == b"caf\xe9\n"
