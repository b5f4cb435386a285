"""A part of UCF-101 by its fields is the same experiment as the same videos by themselves: fingerprints and figures."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import luigi
import numpy as np
import pytest
from luigi.configuration import get_config
from safetensors.torch import save_file

import tasks
from data.ucf101 import UCF101
from data.validation import Validation
from extractors.backbones.squeezenet import SqueezeNet
from pipeline.scoring.scores import Scores
from pipeline.store import inspection
from pipeline.training.random_state import seeded
from tasks.commands import garbage
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
model = {{ name = "linear_svm" }}
[streams.extractor]
name = "tsn"
snippets = 2
crops = 1
network = {{ backbone = "squeezenet1_0", weights = "random.safetensors" }}
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
    with seeded(0):
        save_file(SqueezeNet().state_dict(), tmp_path / "random.safetensors")
    for key, value in {"store": tmp_path / "store", "weights": tmp_path, "shard_size": 3, "device": "cpu"}.items():
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
                scene = ("across" if name == "YoYo" else "down", 4)
                splice(path.with_suffix(".mp4"), [scene], shift=3 * number)
    return root


def experiment(folder: Path, name: str, text: str, root: Path) -> tasks.Evaluate:
    get_config().set("kinescope", "data_roots", json.dumps({"ucf101": str(root)}))
    (folder / name).write_text(text)
    luigi.task_register.Register.clear_instance_cache()
    return tasks.Evaluate(experiment=str(folder / name))


def run(*wanted: luigi.Task) -> None:
    assert luigi.build(wanted, local_scheduler=True, workers=1, log_level="ERROR")


class Found(NamedTuple):
    """What an experiment came to: its fingerprint, the number of rows that had to be computed, and all scores."""

    fingerprint: str
    computed: int
    scores: list[Scores]


def found(task: tasks.Evaluate) -> Found:
    run(task.index)
    results = task.runs.all_results()
    run(*results)
    stages = [stage for each in task.runs.all_predictions() for stage in each.features]
    shards = {shard.path() for stage in stages for shard in stage.requires()}
    computed = sum(inspection.provenance(shard)["computed"] for shard in shards)
    return Found(task.fingerprint, computed, [Scores.load(stage.path()) for stage in results])


def test_a_part_of_all_videos_has_the_rows_the_fingerprint_and_the_scores_of_these_alone(folder: Path) -> None:
    everything = [id for stems in UCF_TOY.values() for id in stems]
    part = [id for id in everything if id.endswith("_c01") and not id.startswith("Basketball")]
    alone, whole = films(folder / "part", part), films(folder / "all", everything)
    first = found(experiment(folder, "alone.toml", RECIPE.format(part=BY_PRESENCE), alone))
    assert first.computed == len(part)
    for root in (alone, whole):
        chosen = found(experiment(folder, "chosen.toml", RECIPE.format(part=BY_FIELDS), root))
        assert (chosen.fingerprint, chosen.computed) == (first.fingerprint, 0)
        for after, before in zip(chosen.scores, first.scores, strict=True):
            assert (after.ids, after.classes, after.failed) == (before.ids, before.classes, before.failed)
            assert np.array_equal(after.values, before.values)
    task = experiment(folder, "whole.toml", RECIPE.format(part=""), whole)
    run(task.index)
    assert task.fingerprint != first.fingerprint
    assert len([path for path in (folder / "store").iterdir() if path.name.startswith("ucf101-")]) == 4


def old(store: Path) -> None:
    """Make a store that nobody has written to for hours."""
    then = time.time() - 2 * garbage.REST_S
    for path in store.rglob("*"):
        os.utime(path, (then, then), follow_symlinks=False)


def test_gc_keeps_what_a_part_takes_over_before_its_first_run(folder: Path) -> None:
    """Rows, networks and scores of before lie in the folder of the whole data set, of whatever root."""
    part = [id for stems in UCF_TOY.values() for id in stems if id.endswith("_c01") and not id.startswith("Basketball")]
    former = experiment(folder, "alone.toml", RECIPE.format(part=BY_PRESENCE), films(folder / "part", part))
    before, kept = found(former), former.folder().parent
    files = sorted(folder.glob("store/*/*/*"))
    old(folder / "store")
    (folder / "part").rename(folder / "moved")
    now = experiment(folder, "chosen.toml", RECIPE.format(part=BY_FIELDS), folder / "moved")
    assert list(garbage.present([now])) == [now]
    said = [f"kept, as its data set is not indexed or its files are missing: {kept}", "nothing to free"]
    assert list(garbage.collect([now], delete=True)) == said
    assert sorted(folder.glob("store/*/*/*")) == files
    after = found(now)
    assert (after.fingerprint, after.computed) == (before.fingerprint, 0)


def test_gc_keeps_no_other_data_set_for_a_part(folder: Path) -> None:
    root = films(folder / "all", [id for stems in UCF_TOY.values() for id in stems])
    for fields in ("clips = [2]", BY_PRESENCE):
        run(experiment(folder, "other.toml", RECIPE.format(part=fields), root).index)
    old(folder / "store")
    other = folder / "store" / "hmdb51-0123456789ab"
    other.mkdir()
    (other / "index.json").touch()
    now = experiment(folder, "chosen.toml", RECIPE.format(part=BY_FIELDS), root)
    (kept,) = garbage.reached([now]).whole
    assert kept.name.rpartition("-")[0] == "ucf101"


def test_another_part_of_the_same_root_is_another_data_set_in_the_store_and_another_fingerprint(folder: Path) -> None:
    root = films(folder / "all", [id for stems in UCF_TOY.values() for id in stems])
    fingerprints = {}
    for part in (BY_FIELDS, 'classes = ["YoYo", "Archery"]', "clips = [1]", 'classes = ["YoYo", "Basketball"]'):
        task = experiment(folder, "part.toml", RECIPE.format(part=part), root)
        run(task.index)
        fingerprints[task.fingerprint] = task.folder().parent
    assert len(set(fingerprints.values())) == len(fingerprints) == 4


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
