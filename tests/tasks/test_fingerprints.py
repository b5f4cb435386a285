"""What a bundled experiment computes keeps its fingerprint, so that no store is computed anew by mistake."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from luigi.configuration import get_config

from data import DATASETS
from data.base import Dataset, Fold, Listing, Video
from pipeline.files.digests import Digests, Entry
from tasks.evaluation import Evaluate
from tasks.index import as_if_indexed
from tasks.library import Library
from tasks.recipes import bundled
from tests.support.paths import GOLDEN

KNOWN = GOLDEN / "fingerprints.json"
VIDEOS = ("a/1", "a/2", "b/1", "b/2")
FORMER_WEIGHTS = {"imagenet-squeezenet1_0": "../shared/data/weights/squeezenet1_0-imagenet.safetensors"}
"""Paths by which recipes named weights when the lines were written, and which stand for the same content."""


def _listing() -> Listing:
    """Two classes of two videos each, whatever the data set."""
    files = {id: {"video": Path("/data") / f"{id}.mp4", "skeleton": Path("/data") / f"{id}.txt"} for id in VIDEOS}
    return Listing(("a", "b"), tuple(Video(id, files[id], (VIDEOS.index(id) // 2,), id[-1]) for id in VIDEOS))


def _library() -> Library:
    paths = [str(path) for video in _listing().videos for path in video.files.values()]
    return Library(_listing(), Digests({path: Entry(1, 1, path) for path in paths}), 1)


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every data set holds the same four videos in two folds, and weights have their former names as content."""

    def former(name: str) -> str:
        return FORMER_WEIGHTS.get(name, name)

    def weights(name: str) -> str:
        file = tmp_path / former(name).replace("/", "_")
        file.write_text(former(name))
        return str(file)

    folds = Fold("one", VIDEOS[::2], VIDEOS[1::2]), Fold("two", VIDEOS[1::2], VIDEOS[::2])
    for kind in DATASETS.values():
        monkeypatch.setattr(kind, "folds", lambda self, root, listing: folds)
        monkeypatch.setattr(kind, "split_files", lambda self, root: [])
    monkeypatch.setattr("tasks.pretrained_weights.locate_weights", weights)
    monkeypatch.setattr("tasks.evaluation.known_name", former)
    monkeypatch.setattr("tasks.runs.Runs.positive", None)  # no bundled data set has two classes alone
    config = get_config()
    config.set("kinescope", "store", str(tmp_path / "store"))
    config.set("kinescope", "data_roots", json.dumps(dict.fromkeys(DATASETS, str(tmp_path))))
    yield
    config.remove_section("kinescope")


def _fingerprint(experiment: str) -> str:
    task = Evaluate(experiment=experiment)
    dataset: Dataset = task.recipe.dataset
    # a validation part shares the manifest of the data set that it is a part of
    with as_if_indexed(dataset, _library()):
        return task.fingerprint


@pytest.mark.usefixtures("stand_ins")
def test_no_bundled_experiment_is_computed_anew() -> None:
    """Only a higher ``version``, or another field of a recipe, may change a line of the file: say which.

    ``KINESCOPE_GOLDEN=write`` writes it.
    """
    found = {name: _fingerprint(name) for name in bundled()}
    if os.environ.get("KINESCOPE_GOLDEN") == "write":
        KNOWN.write_text(json.dumps(found, indent=1) + "\n")
    known = json.loads(KNOWN.read_text())
    assert {name: known.get(name) for name in found} == found
    assert known.keys() == found.keys()
