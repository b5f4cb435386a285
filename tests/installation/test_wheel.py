"""An installation from the wheel, which knows nothing of the checkout, runs experiments as the checkout does."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import numpy as np
import pytest

from pipeline.video.encode import write
from tests.support.contracts import squeezenet
from tests.support.paths import ROOT
from tests.support.recipes import SKELETONS

pytestmark = pytest.mark.slow

PACKAGES = ("data", "extractors", "pipeline", "sequence_models", "tasks")
TASK_FAILED = 30
VIDEOS = """
title = "videos"
[dataset]
name = "folder"
root = "{root}"
[[streams]]
model = {{ name = "linear_svm" }}
[streams.extractor]
name = "tsn"
snippets = 2
crops = 1
network = {{ backbone = "squeezenet1_0", weights = "{weights}" }}
"""
DEFAULTS = """
import tasks
from luigi.configuration import get_config
tasks.start()
print(tasks.__file__)
print(get_config().getboolean("worker", "force_multiprocessing"))
print(get_config().getint("scheduler", "retry_count"))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of a copy: a build leaves files in the tree it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in (*PACKAGES, "benchmarks", "tests"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("LICENSE", "README.md", "pyproject.toml", "setup.cfg"):
        shutil.copy(ROOT / name, folder / "source")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(folder / "source")], check=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def binaries(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bin`` of an environment that holds the wheel, and what it requires from this interpreter's own."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # A path from here comes after the wheel's packages; files in it that would make the checkout importable go unread.
    (packages / "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


def answer(command: list[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    """What a command says in a folder outside the checkout."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "LUIGI_CONFIG_PATH")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


def test_the_wheel_holds_all_files_of_the_packages_and_no_others(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()}
    assert names == {str(file) for file in files if "__pycache__" not in file.parts}
    assert names >= {"tasks/defaults.cfg", "tasks/experiments/stick-figures.toml"}
    assert "pipeline/report/templates/report.css" in names
    assert names >= {f"{package}/py.typed" for package in PACKAGES}


def test_the_wheel_states_licence_and_pythons(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        (metadata,) = (name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        stated = message_from_bytes(files.read(metadata))
        licence = files.read(metadata.replace("METADATA", "licenses/LICENSE"))
    assert stated["License-Expression"] == "BSD-3-Clause"
    assert licence == (ROOT / "LICENSE").read_bytes()
    versions = [line.removeprefix("Programming Language :: Python :: ") for line in stated.get_all("Classifier") or []]
    assert {"3.11", "3.12", "3.13"} <= set(versions)


def test_the_wheel_brings_its_defaults(binaries: Path, wheel: Path, tmp_path: Path) -> None:
    file, forced, retries = answer([binaries / "python", "-c", DEFAULTS], tmp_path).stdout.split()
    assert Path(file).is_relative_to(binaries.parent)
    assert (forced, retries) == ("True", "2")
    version = answer([binaries / "kinescope", "--version"], tmp_path).stdout
    assert version == f"kinescope {wheel.name.split('-')[1]}\n"


def test_an_experiment_runs_to_its_table(binaries: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(SKELETONS)
    run = answer([binaries / "kinescope", "run", "recipe.toml"], tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "a real run" in run.stdout
    assert list((tmp_path / "store").glob("stick_figures-*/evaluate-*/report.html"))


def test_an_experiment_that_fails_says_so_by_its_code(binaries: Path, tmp_path: Path) -> None:
    for label in ("one", "two"):
        for number in range(2):
            frames = np.full((5, 32, 48, 3), 40 * number, np.uint8)
            write(tmp_path / "videos" / label / f"{number}.mp4", frames, 25)
    (tmp_path / "videos" / "two" / "corrupt.mp4").write_bytes(b"no video")
    recipe = VIDEOS.format(root=tmp_path / "videos", weights=squeezenet(tmp_path))
    (tmp_path / "recipe.toml").write_text(recipe)
    run = answer([binaries / "kinescope", "run", "recipe.toml"], tmp_path)
    assert run.returncode == TASK_FAILED, run.stdout + run.stderr
    assert "two/corrupt" in run.stdout + run.stderr
