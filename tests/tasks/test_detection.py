"""Two classes, one of which is to be detected: in report and predictions, at the threshold of the training videos."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import luigi
import numpy as np
import pytest
from luigi.configuration import get_config
from sklearn.metrics import f1_score, roc_auc_score

import tasks
from pipeline.errors import InputError
from pipeline.scoring.scores import Scores
from tests.support.small_experiment import Small


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return Small(tmp_path_factory.mktemp("small")).fill()


@pytest.fixture(autouse=True)
def settings(small: Small) -> Iterator[None]:
    for key, value in {"store": small.store, "device": "cpu", "max_failed_videos": 1}.items():
        get_config().set("kinescope", key, str(value))
    yield
    get_config().remove_section("kinescope")


def recipe(small: Small, positive: str, **fields: object) -> str:
    small.fields |= fields
    path = Path(small.recipe)
    path.write_text(f'positive = "{positive}"\n' + path.read_text())
    luigi.task_register.Register.clear_instance_cache()
    return str(path)


def best_f1(values: np.ndarray, true: list[bool]) -> float:
    return max(f1_score(true, values >= threshold) for threshold in values)


@pytest.mark.parametrize("positive", ["a", "b"])
def test_figures_at_the_threshold_of_the_training_videos(small: Small, positive: str) -> None:
    experiment = recipe(small, positive)
    evaluation = tasks.Evaluate(experiment=experiment)
    assert luigi.build([evaluation], local_scheduler=True, workers=1, log_level="ERROR")
    told = json.loads((evaluation.folder() / "metrics.json").read_text())
    assert told["positive"] == positive
    trained = evaluation.runs.trained()
    assert trained is not None
    place = "ab".index(positive)
    for row, stages, of_training in (
        (0, evaluation.runs.predictions(0, 0), trained.predictions(0, 0)),
        (2, evaluation.runs.results(0, 0), trained.results(0, 0)),
    ):
        tested, learnt = (Scores.load(stage[0].path()) for stage in (stages, of_training))
        assert set(learnt.ids) == {f"video{number:02d}" for number in range(5)}  # and the broken one of these failed
        figures, found = told["rows"][row]["runs"][0], told["rows"][row]["detection"][0]
        scores = learnt.probabilities()[:, place]
        learnt_true = [int(id[-2:]) % 2 == place for id in learnt.ids]
        assert f1_score(learnt_true, scores >= found["threshold"]) == best_f1(scores, learnt_true)
        scores, true = tested.probabilities()[:, place], [int(id[-2:]) % 2 == place for id in tested.ids]
        assert figures["f1"] == pytest.approx(100 * f1_score(true, scores >= found["threshold"]), abs=1e-5)
        assert figures["auc"] == pytest.approx(100 * roc_auc_score(true, scores), abs=1e-5)
        assert told["rows"][row]["summary"]["auc"]["mean"] == pytest.approx(figures["auc"])
    page = (evaluation.folder() / "report.html").read_text()
    assert f"Detection of {positive}" in page
    assert page.count("receiver operating characteristic of") == 1


def test_predictions_say_whether_it_is_detected(small: Small) -> None:
    experiment = recipe(small, "a")
    videos = tuple(str(small.root / f"video{number:02d}.txt") for number in range(4))
    task = tasks.Classify(experiment=experiment, videos=videos)
    assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
    told = json.loads((task.folder() / "predictions.json").read_text())
    assert told["detection"]["name"] == "a"
    threshold = told["detection"]["threshold"]
    assert task.contents.threshold == threshold
    for answer in told["videos"].values():
        assert answer["detected"] == (answer["probabilities"]["a"] >= threshold)
    with (task.folder() / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [bool(int(row["a detected"])) for row in rows[::2]] == [v["detected"] for v in told["videos"].values()]
    assert "the best on the training videos" in (task.folder() / "predictions.html").read_text()
    assert " detected · " in (task.folder() / "predictions.html").read_text()


def test_trained_on_everything_the_threshold_is_everythings(small: Small) -> None:
    task = tasks.Classify(experiment=recipe(small, "b"), videos=(str(small.root / "video06.txt"),), runs="everything")
    assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
    assert task.training is not None
    trained = task.training.runs.trained()
    assert trained is not None
    learnt = Scores.load(trained.results(0, 0)[0].path())
    assert len(learnt.ids) == 7
    assert task.contents.threshold is not None
    assert task.contents.threshold <= learnt.probabilities()[:, 1].max()


def test_a_threshold_trains_nothing_anew(small: Small, tmp_path: Path) -> None:
    get_config().set("kinescope", "store", str(tmp_path / "store"))
    evaluation = tasks.Evaluate(experiment=recipe(small, "b"))
    assert luigi.build([evaluation], local_scheduler=True, workers=1, log_level="ERROR")
    assert len(list(tmp_path.glob("store/folder-*/drnn-*/network.safetensors"))) == 1
    assert len(list(tmp_path.glob("store/folder-*/skeleton-*"))) == 1
    assert len({stage.task_id for stage in evaluation.runs.stages() if isinstance(stage, tasks.Train)}) == 2


def test_a_class_that_is_not_there(small: Small) -> None:
    evaluation = tasks.Evaluate(experiment=recipe(small, "c"))
    assert not luigi.build([evaluation], local_scheduler=True, workers=1, log_level="CRITICAL")  # which indexes
    with pytest.raises(
        InputError, match="positive = 'c': one of two classes is needed that no video shares; there are a, b"
    ):
        list(evaluation.needed())
