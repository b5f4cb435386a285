"""New videos, asked of what an experiment trained: the same numbers as its evaluation, here and on another machine."""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import luigi
import numpy as np
import pytest
from luigi.configuration import get_config

import tasks
from pipeline.errors import InputError
from pipeline.results import recognizer
from pipeline.scoring.scores import Scores
from tasks.fusion import Fuse
from tests.support.small_experiment import BROKEN, Small


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """One folder for all, with the files and the store: what earlier tests trained is there."""
    return Small(tmp_path_factory.mktemp("small")).fill()


@pytest.fixture
def small(filled: Small) -> Iterator[Small]:
    for key, value in {"store": filled.store, "device": "cpu", "max_failed_videos": 1}.items():
        get_config().set("kinescope", key, str(value))
    yield filled
    get_config().remove_section("kinescope")


def ask(task: luigi.Task) -> Any:
    assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
    return task


def classify(small: Small, *videos: Path | str, **named: Any) -> tasks.Classify:
    """The finished task about some videos."""
    luigi.task_register.Register.clear_instance_cache()
    named = {"experiment": small.recipe} | named
    return ask(tasks.Classify(videos=tuple(map(str, videos)), **named))


def told(task: tasks.Classify) -> dict[str, Any]:
    """The numbers in predictions.json."""
    return dict(json.loads((task.folder() / "predictions.json").read_text()))


def asked(small: Small) -> list[Path]:
    return [small.root / f"video{number:02d}.txt" for number in (6, 7)]


def test_what_is_not_trained_yet_is_trained_first_and_nothing_else(small: Small) -> None:
    assert not small.store.exists()  # it is the first of the module's tests
    task = classify(small, *asked(small))
    assert not list(small.store.glob("*/evaluate-*"))
    assert len(list(small.store.glob("folder-*/drnn-*/network.safetensors"))) == 1
    before = small.files()
    luigi.task_register.Register.clear_instance_cache()
    again = tasks.Classify(experiment=small.recipe, videos=tuple(map(str, asked(small))))
    assert again.complete()
    assert again.folder() == task.folder()
    assert small.files() == before


def test_test_videos_get_the_scores_of_the_evaluation_to_the_last_bit(small: Small) -> None:
    small.run()
    (fused,) = small.experiment().runs.results(0, 0)
    assert isinstance(fused, Fuse)
    expected = Scores.load(fused.path())
    task = classify(small, *asked(small))
    videos = told(task)["videos"]
    assert list(videos) == list(expected.ids)
    for row, video in enumerate(expected.ids):
        given = [videos[video]["probabilities"][name] for name in expected.classes]
        assert np.array_equal(given, expected.probabilities()[row])
    streams = [Scores.load(stage.path()) for stage in small.experiment().runs.predictions(0, 0)]
    for title, stream in zip(("recurrent", "reduced"), streams, strict=True):
        for row, video in enumerate(stream.ids):
            given = [videos[video]["streams"][title][name] for name in stream.classes]
            assert np.array_equal(given, stream.probabilities()[row])


def test_a_video_that_cannot_be_used_is_listed_and_the_others_are_answered(small: Small, tmp_path: Path) -> None:
    get_config().set("kinescope", "max_failed_videos", "0")
    luigi.task_register.Register.clear_instance_cache()
    places = (str(small.root / f"{BROKEN}.txt"), *map(str, asked(small)))
    task = tasks.Classify(experiment=small.recipe, videos=places, out=str(tmp_path / "out"))
    assert not luigi.build([task], local_scheduler=True, workers=1, log_level="CRITICAL")
    assert not task.complete()  # so that the next run says it again
    numbers = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert list(numbers["videos"]) == ["video06", "video07"]
    assert list(numbers["failures"]) == [BROKEN]
    assert "videos that could not be used: 1" in (tmp_path / "out" / "table.txt").read_text()


def test_answers_about_other_videos_are_not_taken_for_these(small: Small, tmp_path: Path) -> None:
    first = classify(small, asked(small)[0], out=str(tmp_path / "out"))
    assert list(told(first)["videos"]) == ["video06"]
    second = classify(small, *asked(small), out=str(tmp_path / "out"))
    assert list(told(second)["videos"]) == ["video06", "video07"]


def test_where_no_video_can_be_used_all_are_listed(small: Small) -> None:
    task = classify(small, small.root / f"{BROKEN}.txt")
    assert told(task)["videos"] == {}
    assert list(told(task)["failures"]) == [BROKEN]


def test_below_the_threshold_the_answer_is_unknown(small: Small) -> None:
    plain, careful = classify(small, *asked(small)), classify(small, *asked(small), threshold=0.999)
    assert {video["answer"] for video in told(plain)["videos"].values()} <= {"a", "b"}
    assert {video["answer"] for video in told(careful)["videos"].values()} == {"unknown"}
    assert plain.folder() != careful.folder()


def test_the_table_has_a_line_for_each_rank_and_a_column_for_each_stream(small: Small) -> None:
    task = classify(small, *asked(small))
    with (task.folder() / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["video", "rank", "class", "probability", "recurrent", "reduced", "b detected"]
    assert [(row["video"], row["rank"]) for row in rows] == [(f"video0{n}", rank) for n in (6, 7) for rank in "12"]
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        assert float(first["probability"]) >= float(second["probability"])
        assert float(first["probability"]) + float(second["probability"]) == pytest.approx(1)
        assert first["class"] != second["class"]


def test_the_store_alone_answers_when_the_labelled_videos_are_gone(small: Small, tmp_path: Path) -> None:
    before, given = told(classify(small, *asked(small)))["videos"], tmp_path / "elsewhere"
    given.mkdir()
    for path in asked(small):
        shutil.copy(path, given)
    gone = small.root.rename(small.folder / "gone")
    try:
        after = told(classify(small, given))["videos"]
    finally:
        gone.rename(small.root)
    assert all(after[video]["probabilities"] == answer["probabilities"] for video, answer in before.items())


def test_a_packed_recognizer_answers_the_same_in_another_store(small: Small, tmp_path: Path) -> None:
    here, file = told(classify(small, *asked(small)))["videos"], tmp_path / "mine.recognizer"
    luigi.task_register.Register.clear_instance_cache()
    ask(tasks.Pack(experiment=small.recipe, file=str(file)))
    content = file.read_bytes()
    assert tasks.Pack(experiment=small.recipe, file=str(file)).complete()
    get_config().set("kinescope", "store", str(tmp_path / "another"))
    there = told(classify(small, *asked(small), experiment=str(file)))["videos"]
    assert list(there) == list(here)
    assert all(there[video]["probabilities"] == answer["probabilities"] for video, answer in here.items())
    assert not list((tmp_path / "another").glob("folder-*"))
    assert file.read_bytes() == content


@pytest.mark.parametrize("place", [200, -3000])
def test_a_packed_recognizer_that_is_damaged_is_refused(small: Small, tmp_path: Path, place: int) -> None:
    file = tmp_path / "mine.recognizer"
    luigi.task_register.Register.clear_instance_cache()
    ask(tasks.Pack(experiment=small.recipe, file=str(file)))
    content = bytearray(file.read_bytes())
    content[place] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"is no whole recognizer \(.+\); one that kinescope pack wrote is needed"):
        recognizer.unpack(file, tmp_path / "unpacked")
    assert not list(tmp_path.glob("unpacked/*/recognizer.json"))


def test_all_runs_answer_as_the_mean_of_their_probabilities(small: Small) -> None:
    small.fields["rule"] = 'sum"\n#'  # the recipe's last line
    recipe = Path(small.recipe)
    recipe.write_text("seeds = [0, 1]\n" + recipe.read_text().replace('"\n#"', '"'))
    task = classify(small, *asked(small), experiment=str(recipe), runs="all")
    runs = tasks.Evaluate(experiment=str(recipe)).runs
    ask(tasks.Evaluate(experiment=str(recipe)))
    members = [Scores.load(stage.path()).probabilities() for pair in runs.pairs for stage in runs.results(*pair)]
    videos = told(task)["videos"]
    given = [[video["probabilities"][name] for name in "ab"] for video in videos.values()]
    assert np.array_equal(given, np.mean(members, axis=0))


def test_from_python_the_same(small: Small) -> None:
    expected = told(classify(small, *asked(small)))["videos"]
    answers = tasks.load(small.recipe).predict(*asked(small))
    assert list(answers.answers.ids) == list(expected)
    assert [answers.answer(row) for row in range(2)] == [video["answer"] for video in expected.values()]
    with pytest.raises(InputError, match="there is no such file or folder"):
        tasks.load(small.recipe).predict("nowhere.mp4")
    with pytest.raises(InputError, match="unknown experiment"):
        tasks.load("nothing-of-this-name")


def test_trained_on_everything_there_is_nothing_left_to_choose_weights_on(small: Small) -> None:
    recipe = Path(small.recipe)
    recipe.write_text(recipe.read_text().replace('rule = "sum"', 'rule = "weighted"\nchoose = { validation = 0.3 }'))
    task = tasks.Classify(experiment=str(recipe), videos=tuple(map(str, asked(small))), runs="everything")
    with pytest.raises(InputError, match="leaves no video to choose the fusion's weights on"):
        list(task.needed())


def test_trained_on_everything_no_video_is_left_out(small: Small) -> None:
    task = classify(small, *asked(small), runs="everything")
    training = task.training
    assert training is not None
    (prediction, *_) = training.runs.predictions(0, 0)
    assert len(tasks.index.fold(prediction.dataset, 0).train) == 8
    assert task.contents.folds == ("everything",)
    first = classify(small, *asked(small))
    assert first.recognizer != task.recognizer
