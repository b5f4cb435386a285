"""KTH through luigi: from segments of files to a report, and what another seed computes again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import luigi
import numpy as np
import pytest
from luigi.configuration import get_config

import tasks
from pipeline.store import Store
from pipeline.video.encode import write
from tests.support.toy_datasets import write_segments

RECIPE = """
title = "kth"
notes = ["mine"]
[dataset]
name = "kth"
form = "kth2"
present_only = true
trials = {trials}
protocol_seed = {seed}
[[streams]]
extractor = {{ name = "convnet3d", stride_frames = 8, network = {{ fit = {{ epochs = 1 }} }} }}
model = {{ name = "consensus", rule = "vote" }}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Iterator[Any]:
    """Four tiny videos of two subjects; one of the eight segments ends beyond its file."""
    rng = np.random.default_rng(0)
    stems = [f"person{subject:02d}_{action}_d1" for subject in (1, 2, 3) for action in ("boxing", "walking")]
    (tmp_path / "root").mkdir()
    for stem in stems:
        write(tmp_path / f"root/{stem}.mp4", rng.integers(0, 255, (24, 120, 160, 3)).astype(np.uint8), 25)
    write_segments(tmp_path / "root", *(f"{stem} frames 1-12, 13-{24 + (stem == stems[0])}" for stem in stems))
    settings = {"store": tmp_path / "store", "device": "cpu", "max_failed_videos": 1}
    for key, value in {**settings, "data_roots": json.dumps({"kth": str(tmp_path / "root")})}.items():
        get_config().set("kinescope", key, str(value))

    def evaluate(**fields: int) -> tasks.Evaluate:
        path = tmp_path / "recipe.toml"
        path.write_text(RECIPE.format(**{"trials": 1, "seed": 0, **fields}))
        luigi.task_register.Register.clear_instance_cache()
        return tasks.Evaluate(experiment=str(path))

    yield evaluate
    get_config().remove_section("kinescope")


def test_segments_from_files_to_a_report(recipe: Any):
    task = recipe(trials=2)
    assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
    assert task.folder().parent.name.startswith("kth-2-")
    features = Store(task.runs.predictions(0, 0)[0].features[0].path())
    assert len(features.ids()) == 11
    assert features.read("person02_walking_d1/2").attributes["frames"] == 12
    (failed,) = features.failures().items()
    assert failed[0] == "person01_boxing_d1/2"
    assert "there are 24 frames, and the range 12-25 ends beyond them" in failed[1].reason
    page = (task.folder() / "report.html").read_text()
    for note in ("mine", "Only 6 of KTH&#39;s 599 videos are present", "2 train and 1 is tested in each fold"):
        assert note in page

    saved = json.loads((task.folder() / "folds.json").read_text())
    assert saved["dataset"] == "kth"
    assert saved["protocol"]["protocol_seed"] == 0
    assert saved["protocol"]["protocol"] == "trials"
    assert [fold["name"] for fold in saved["folds"]] == ["trial-1", "trial-2"]
    for fold in saved["folds"]:
        for half, subjects in (("train", 2), ("test", 1)):
            assert len(fold[half]["subjects"]) == subjects
            assert {id.split("_")[0] for id in fold[half]["videos"]} == set(fold[half]["subjects"])
            assert len(fold[half]["videos"]) == 4 * subjects
    assert {fold["test"]["subjects"][0] for fold in saved["folds"]} <= {"person01", "person02", "person03"}


def test_another_seed_is_another_fit_and_a_fold_drawn_again_is_the_same(recipe: Any):
    assert luigi.build([recipe().index], local_scheduler=True, workers=1, log_level="ERROR")
    tested: dict[tuple[str, ...], set[str]] = {}
    fits: dict[tuple[str, ...], set[str]] = {}
    for seed in range(8):
        task = recipe(seed=seed)
        dataset, prediction = task.recipe.dataset, task.runs.predictions(0, 0)[0]
        test = tasks.index.fold(dataset, 0).test
        tested.setdefault(test, set()).add(prediction.fingerprint)
        fits.setdefault(test, set()).add(next(iter(prediction.features[0].fitting().values())).fingerprint)
    assert len(tested) == 3
    assert all(len(found) == 1 for found in (*tested.values(), *fits.values()))
    assert len(set().union(*fits.values())) == len(set().union(*tested.values())) == 3
    assert recipe(seed=0).fingerprint != recipe(seed=1).fingerprint
