"""Runs bear a working directory whose folders and files are named as this project's packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.recipes import SKELETONS

PACKAGES = ("data", "extractors", "pipeline", "sequence_models")
RAISING = 'raise RuntimeError(f"{__file__} was imported")\n'  # of an ImportError the fork server would say nothing
RUNS = {
    "luigi": ("--module", "tasks", "Evaluate", "--experiment", "recipe.toml"),
    "kinescope": ("run", "recipe.toml"),
}


@pytest.mark.parametrize("script", ["luigi", pytest.param("kinescope", marks=pytest.mark.slow)])
def test_modules_of_the_same_names_are_not_imported(script: str, tmp_path: Path) -> None:
    for module in (*(f"{package}/__init__" for package in PACKAGES), "tasks"):
        path = tmp_path / f"{module}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(RAISING)
    (tmp_path / "recipe.toml").write_text(SKELETONS)
    command = [str(Path(sys.executable).with_name(script)), *RUNS[script]]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
    environment["PYTHONPATH"] = str(ROOT)

    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    assert run.returncode == 0, run.stdout + run.stderr
    assert "a real run" in run.stdout  # the table's title
    assert list((tmp_path / "store").glob("stick_figures-*/evaluate-*/report.html"))
