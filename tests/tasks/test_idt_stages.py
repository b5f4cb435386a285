"""Improved trajectories through luigi, to the scores of a stream that is fused like any other."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import luigi
import numpy as np
import pytest
from luigi.configuration import get_config
from scipy.special import softmax

import tasks
from extractors.base import Labelled
from extractors.trajectories.fisher_config import IDT
from pipeline.scoring.scores import Scores
from pipeline.store import Store
from pipeline.training.sequences import StoredRows
from pipeline.training.weights_file import load_state
from tasks.index import fold
from tests.support.recipes import SMALL

RECIPE = f"""
title = "IDT"
{SMALL}
[[streams]]
model = {{ name = "linear_svm", C = 100, scaling = "none" }}
[streams.extractor]
name = "idt"
gaussians = 4
sampled_trajectories = 600
trajectories = {{ size_px = [80, 60], scales = 1, camera_motion = false }}
"""


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tasks.Evaluate]:
    folder = tmp_path_factory.mktemp("idt")
    for key, value in {"store": folder / "store", "device": "cpu"}.items():
        get_config().set("kinescope", key, str(value))
    path = folder / "recipe.toml"
    path.write_text(RECIPE)
    luigi.task_register.Register.clear_instance_cache()
    task = tasks.Evaluate(experiment=str(path))
    assert luigi.build([task.index], local_scheduler=True, workers=1, log_level="ERROR")
    assert luigi.build(task.runs.predictions(0, 0), local_scheduler=True, workers=1, log_level="ERROR")
    yield task
    get_config().remove_section("kinescope")


def test_a_video_has_one_fisher_vector_of_all_its_trajectories(evaluation: tasks.Evaluate) -> None:
    stage = evaluation.runs.predictions(0, 0)[0].features[0]
    vectors, trajectories = Store(stage.path()), Store(stage.source().path())
    assert len(vectors.ids()) == 12
    for video in vectors.ids():
        row, given = vectors.read(video), trajectories.read(video)
        assert row.arrays["features"].shape == (1, 2 * 4 * 213)
        assert row.attributes["trajectories"] == len(given.arrays["features"])
        assert {name: row.attributes[name] for name in ("fps", "frames")} == {
            name: given.attributes[name] for name in ("fps", "frames")
        }


def test_the_vocabulary_sees_training_videos_only(evaluation: tasks.Evaluate) -> None:
    (fitted,) = evaluation.runs.predictions(0, 0)[0].features[0].fitting().values()
    train = fold(evaluation.recipe.dataset, 0).train
    rows = StoredRows(Store(fitted.material.path()), train)
    material = Labelled(rows, [0] * len(rows), 1, [video for video, _ in rows.places])
    network = cast(IDT, evaluation.recipe.streams[0].extractor).fitted
    again, _ = network.train(material, device="cpu", checkpoint=Path("none"))
    state = load_state(fitted.path())
    assert all(np.array_equal(state[name], again[name]) for name in again)


def test_margins_become_probabilities_by_softmax(evaluation: tasks.Evaluate) -> None:
    scores = Scores.load(evaluation.runs.predictions(0, 0)[0].path())
    assert scores.kind == "logits"
    np.testing.assert_allclose(scores.probabilities(), softmax(scores.values, axis=1), rtol=1e-12)
