"""A part of UCF-101 by its fields is the same experiment as the same videos by themselves: fingerprints and figures."""

import json
from collections.abc import Iterator
from pathlib import Path

import luigi
import numpy as np
import pytest
from luigi.configuration import get_config

import tasks
from data.ucf101 import UCF101
from data.validation import Validation
from pipeline.results.report_files import read_figures
from pipeline.store import inspection
from tasks.index import library
from tests.support.stripe_films import splice
from tests.support.toy_datasets import UCF_TOY, ucf101

RECIPE = """
title = "a part"
[dataset]
name = "ucf101"
split = "all"
{part}
[[streams]]
extractor = {{ name = "hog3d", dims = 6, sampled_frames = 4 }}
model = {{ name = "linear_svm" }}
"""
BY_PRESENCE = "present_only = true"
BY_FIELDS = 'classes = ["YoYo", "Archery"]\nclips = [1]'
ON_ELEVEN_CLASSES = """
title = "UCF-101, 11 classes, clips c01–c03: mean pooling and a linear SVM on SqueezeNet features"
notes = ["SqueezeNet 1.0 features of ImageNet weights and the centre crop stand in for the paper's fine-tuned networks and ten crops.", "A subset of UCF-101: no figure of the paper compares."]
seeds = [0]

[dataset]
name = "ucf101"
split = "all"
present_only = true

[[streams]]
label = "mean + linear SVM"
extractor = {{ name = "tsn", snippets = 25, crops = 1, network = {{ backbone = "squeezenet1_0", weights = "{weights}" }} }}
model = {{ name = "linear_svm" }}
"""  # noqa: E501
"""The recipe ucf101-11-svm as it was before there were fields for a part of the data."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    for key, value in {"store": tmp_path / "store", "shard_size": 3, "device": "cpu"}.items():
        get_config().set("kinescope", key, str(value))
    yield tmp_path
    get_config().remove_section("kinescope")
    luigi.task_register.Register.clear_instance_cache()


def films(root: Path, ids: list[str]) -> Path:
    """A data set with the lists of all videos and the films of some."""
    ucf101(root)
    for name, stems in UCF_TOY.items():
        for number, id in enumerate(stems):
            path = root / "UCF-101" / f"{id}.avi"
            path.unlink()
            if id in ids:
                scene = ("across" if name == "YoYo" else "down", 16)
                splice(path.with_suffix(".mp4"), [scene], shift=3 * number)
    return root


def experiment(folder: Path, name: str, text: str, root: Path) -> tasks.Evaluate:
    get_config().set("kinescope", "data_roots", json.dumps({"ucf101": str(root)}))
    (folder / name).write_text(text)
    luigi.task_register.Register.clear_instance_cache()
    return tasks.Evaluate(experiment=str(folder / name))


def run(task: luigi.Task) -> None:
    assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")


def computed(task: tasks.Evaluate) -> int:
    """Number of rows that were computed for it, and not found in the store."""
    stages = [stage for each in task.runs.all_predictions() for stage in each.features]
    shards = {shard.path() for stage in stages for shard in stage.requires()}
    return sum(inspection.provenance(shard)["computed"] for shard in shards)


def test_a_part_of_all_videos_has_the_rows_the_fingerprint_and_the_figures_of_these_alone(
    folder: Path, no_drawings: None
) -> None:
    everything = [id for stems in UCF_TOY.values() for id in stems]
    part = [id for id in everything if id.endswith("_c01") and not id.startswith("Basketball")]
    alone = experiment(folder, "alone.toml", RECIPE.format(part=BY_PRESENCE), films(folder / "part", part))
    run(alone)
    assert computed(alone) > 0
    before, figures = alone.fingerprint, read_figures(alone.folder())
    for root in (folder / "part", films(folder / "all", everything)):
        chosen = experiment(folder, "chosen.toml", RECIPE.format(part=BY_FIELDS), root)
        run(chosen)
        assert [video.id for video in library(chosen.recipe.dataset).listing.videos] == part
        assert chosen.fingerprint == before
        assert chosen.folder() != alone.folder()
        assert computed(chosen) == 0
        assert read_figures(chosen.folder()).rows == figures.rows
    whole = experiment(folder, "whole.toml", RECIPE.format(part=""), folder / "all")
    run(whole)
    assert whole.fingerprint != before
    assert whole.folder().parent != chosen.folder().parent


def test_the_figures_are_no_other_where_another_class_is_beside_the_part(folder: Path) -> None:
    """Another part of the same root is another data set in the store, and another fingerprint."""
    root = films(folder / "all", [id for stems in UCF_TOY.values() for id in stems])
    found = {}
    for part in (BY_FIELDS, 'classes = ["YoYo", "Archery"]', "clips = [1]", 'classes = ["YoYo", "Basketball"]'):
        task = experiment(folder, "part.toml", RECIPE.format(part=part), root)
        run(task.index)
        found[part] = task.fingerprint, task.folder().parent
    assert len(set(found.values())) == len({name for name, _ in found.values()}) == len(found)


def test_the_recipes_on_eleven_classes_are_what_they_were(shared: Path, folder: Path) -> None:
    """Before, they took whatever was present, and named weights by a path: the same fingerprints from first to last."""
    weights = shared / "weights" / "squeezenet1_0-imagenet.safetensors"
    get_config().set("kinescope", "weights", str(weights.parent))
    root = shared / "ucf101-11"
    former = experiment(folder, "former.toml", ON_ELEVEN_CLASSES.format(weights=weights), root)
    now = tasks.Evaluate(experiment="ucf101-11-svm")
    for task in (former, now):
        run(task.index)
    assert library(now.recipe.dataset).listing == library(former.recipe.dataset).listing
    assert now.fingerprint == former.fingerprint
    for before, after in zip(former.runs.stages(), now.runs.stages(), strict=True):
        assert (type(after), after.fingerprint) == (type(before), before.fingerprint)
        assert after.path().name == before.path().name


def test_what_divides_a_part_otherwise_has_its_fingerprint_too() -> None:
    part, present = UCF101(classes=("YoYo",)), UCF101(present_only=True)
    assert part.as_present == present
    assert present.as_present == present
    assert UCF101().as_present == UCF101()
    assert Validation(of=part).as_present == Validation(of=present)
    assert part.store_name != present.store_name == UCF101().store_name == "ucf101"
    assert UCF101(classes=("A", "B")).store_name == UCF101(classes=("B", "A")).store_name
    assert np.unique([UCF101(clips=clips).store_name for clips in ((1,), (2,), (1, 2))]).size == 3
