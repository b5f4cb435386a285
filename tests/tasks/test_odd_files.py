"""Files with odd names, and links that lead nowhere, go through a whole run: they cost themselves at most."""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

import luigi
import pytest
from luigi.configuration import get_config
from typer.testing import CliRunner

import tasks
from pipeline.store import Store
from tasks.commands.app import app
from tasks.index import library, manifest
from tests.support.recipes import write_skeleton

RECIPE = """
title = "odd files"
[dataset]
name = "folder"
root = "{root}"
test_fraction = 0.5
[[streams]]
extractor = {{ name = "skeleton", variant = "472" }}
model = {{ name = "drnn", order = 0, state = 4, fit = {{ epochs = 1 }} }}
"""
ODD = {os.fsdecode(b"caf\xe9"): "caf\\xe9", "reason": "\\x72eason", "variant-0": "\\x76ariant-0", "=1+1": "=1+1"}
"""File names, and what ids make of them."""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Two classes, one of a name that is not UTF-8, with a file of each odd name in each and a link to nothing."""
    for key, value in {"store": tmp_path / "store", "device": "cpu"}.items():
        get_config().set("kinescope", key, str(value))
    (tmp_path / "files").mkdir()
    for number, label in enumerate(("run", os.fsdecode(b"\xfcben"))):
        for place, stem in enumerate((*ODD, "plain")):
            write_skeleton(tmp_path / "files" / label / f"{stem}.txt", 10 * number + place)
    (tmp_path / "files/run/gone.txt").symlink_to(os.fsdecode(b"/nowhere/\xff"))
    yield tmp_path / "files"
    get_config().remove_section("kinescope")


def evaluate(root: Path, folder: Path) -> tasks.Evaluate:
    recipe = folder / "odd.toml"
    recipe.write_text(RECIPE.format(root=root))
    luigi.task_register.Register.clear_instance_cache()
    luigi.build([tasks.Evaluate(experiment=str(recipe))], local_scheduler=True, workers=1, log_level="WARNING")
    luigi.task_register.Register.clear_instance_cache()
    return tasks.Evaluate(experiment=str(recipe))


def test_a_run_over_odd_files(root: Path, tmp_path: Path, said: list[str]) -> None:
    task = evaluate(root, tmp_path)
    told = "\n".join(said)
    assert told.count("videos that could not be used: 1") == 1
    assert r"run/gone: " in told
    assert r"gone.txt, a link to /nowhere/\xff: No such file or directory" in told
    assert "Traceback" not in told
    get_config().set("kinescope", "max_failed_videos", "1")
    assert task.complete()
    ids = {f"{label}/{stem}" for label in ("run", "\\xfcben") for stem in (*ODD.values(), "plain")}
    (prediction,) = task.runs.all_predictions()
    store = Store(prediction.features[0].path())
    assert set(store.ids()) == ids
    assert store.failures().keys() == {"run/gone"}
    with open(task.folder() / "predictions.csv", newline="", encoding="utf-8") as file:
        predicted = {row["video"].lstrip("'") for row in csv.DictReader(file)}
    assert predicted < ids | {"run/gone"}
    assert "run/gone" in json.loads((task.folder() / "metrics.json").read_text())["failures"]
    dataset = task.recipe.dataset.without_protocol()
    files = {video.id: video.files["skeleton"] for video in library(dataset).listing.videos}
    assert all(path.exists() for id, path in files.items() if id != "run/gone")
    assert files["run/caf\\xe9"].name == os.fsdecode(b"caf\xe9.txt")
    assert manifest(dataset).read_bytes().isascii()

    exported = CliRunner().invoke(app, ["export", str(prediction.features[0].folder), str(tmp_path / "out"), "--npy"])
    assert exported.exit_code == 0, exported.output
    assert {str(path.parents[1].relative_to(tmp_path / "out")) for path in tmp_path.rglob("features.npy")} == ids


def test_a_link_that_leads_somewhere_by_now_is_computed(root: Path, tmp_path: Path) -> None:
    get_config().set("kinescope", "max_failed_videos", "1")
    evaluate(root, tmp_path)
    (root / "run/gone.txt").unlink()
    write_skeleton(root / "run/gone.txt", 99)
    get_config().set("kinescope", "max_failed_videos", "0")
    assert evaluate(root, tmp_path).complete()


def test_what_is_left_out_stands_in_log_and_report(root: Path, tmp_path: Path, said: list[str]) -> None:
    (root / "run/sheet.ods").touch()
    (root / "run/gone.txt").unlink()
    task = evaluate(root, tmp_path)
    left_out = "1 file is not taken, as neither a video nor a skeleton file in the folder of a class: run/sheet.ods"
    assert sum(left_out in line for line in said) == 1
    assert task.complete()
    assert left_out in (task.folder() / "report.html").read_text()
    said.clear()
    evaluate(root, tmp_path)
    assert not any(left_out in line for line in said)
