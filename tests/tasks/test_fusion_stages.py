"""Mid fusion and chosen weights on real runs: what is read, what is told, and what is computed again."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import luigi
import numpy as np
import pytest
from luigi.configuration import get_config

import tasks
from data.validation import Validation
from pipeline.errors import InputError
from pipeline.scoring.fusion_config import Fusion
from pipeline.scoring.late_fusion import fuse
from pipeline.scoring.scores import Scores, provenance
from pipeline.store import Store
from tasks.experiment import Stream, load_experiment
from tasks.index import fold
from tasks.reporting.results import gather, illustrate
from tests.support.recipes import write_skeleton

DATASET = """
[dataset]
name = "folder"
root = "{root}"
protocol = "by_subject"
test_fraction = 0.4
"""
SUBJECTS = 5
RECIPE = """
title = "fusion"
{dataset}
[[streams]]
label = "joined"
join = "{join}"
model = {{ name = "drnn", order = 1, state = 8, steps = 6, fit = {{ epochs = 2 }} }}
[[streams.inputs]]
extractor = {{ {network} }}
reducer = {{ dims = 5 }}
[[streams.inputs]]
extractor = {{ name = "skeleton", variant = "472" }}
reducer = {{ dims = 5, whiten = {whiten} }}
[[streams]]
label = "alone"
extractor = {{ name = "skeleton" }}
model = {{ name = "drnn", order = 0, state = 8, steps = 6, fit = {{ epochs = 2 }} }}
[[streams]]
label = "SVM"
extractor = {{ name = "skeleton" }}
model = {{ name = "linear_svm" }}
[fusion]
{fusion}
"""
CHOSEN = 'rule = "weighted"\nchoose = { validation = 0.5, parts = 4 }'
SKELETON = 'name = "skeleton"'
CONVNET = """name = "convnet3d", stride_frames = 8, boxes = { mirror = false },
network = { mirror = false, stride_frames = 8, fit = { epochs = 1, lr = 0.001 } }""".replace("\n", " ")
STICK_FIGURES = """
[dataset]
name = "stick_figures"
subjects = 3
scenarios = ["d1"]
repetitions = 1
train_subjects = 2
trials = 1
"""
Run = Callable[..., tuple[tasks.Evaluate, list[str]]]


def recipe(folder: Path, **given: str) -> str:
    dataset = DATASET.format(root=folder / "files")
    return RECIPE.format(
        **{"dataset": dataset, "join": "sum", "whiten": "false", "fusion": CHOSEN, "network": SKELETON} | given
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all, with the files and the store: what earlier runs made is there."""
    folder = tmp_path_factory.mktemp("fusion")
    lines = ["path,label,subject"]
    for number in range(6 * SUBJECTS):
        subject, label = divmod(number, 6)
        write_skeleton(folder / "files" / f"{number}.txt", seed=number)
        lines.append(f"{number}.txt,{'abc'[label % 3]},person{subject}")
    (folder / "files" / "manifest.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def run(store: Path) -> Iterator[Run]:
    """Runs the recipe; returns its task, and the families that ran, sorted, each as often as it did."""
    for key, value in {"store": store / "store", "device": "cpu"}.items():
        get_config().set("kinescope", key, str(value))
    ran: list[str] = []

    @luigi.Task.event_handler(luigi.Event.START)
    def note(task: luigi.Task) -> None:
        ran.append(task.task_family)

    def evaluate(**given: str) -> tuple[tasks.Evaluate, list[str]]:
        path = store / "recipe.toml"
        path.write_text(recipe(store, **given))
        ran.clear()
        luigi.task_register.Register.clear_instance_cache()
        task = tasks.Evaluate(experiment=str(path))
        assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
        assert task.complete()
        return task, sorted(family for family in ran if family != "Evaluate")

    yield evaluate
    luigi.Task.remove_event_handler(luigi.Event.START, note)
    get_config().remove_section("kinescope")


def fusion_of(task: tasks.Evaluate) -> tasks.Fuse:
    (fused,) = task.runs.results(0, 0)
    assert isinstance(fused, tasks.Fuse)
    return fused


def test_weights_are_chosen_on_training_videos_and_told(run: Run) -> None:
    task, ran = run()
    assert ran.count("FitReducer") == 4  # of two inputs, on the training videos and on those but the part
    assert ran.count("Train") == 2 * 3
    assert ran.count("Predict") == 2 * 3
    measured = json.loads((task.folder() / "metrics.json").read_text())
    page = (task.folder() / "report.html").read_text()
    assert [row["name"] for row in measured["rows"]] == ["joined", "alone", "SVM", "fusion"]
    assert [told["fold"] for told in measured["weights"]] == ["trial-1"]
    (told,) = measured["weights"]
    divided, part = (
        fold(dataset, 0) for dataset in (task.recipe.dataset, Validation(of=task.recipe.dataset, share=0.5))
    )
    assert set(told["videos"]) == set(part.test)
    assert {*part.train, *part.test} == set(divided.train)
    streams = [Scores.load(each.path()) for each in fusion_of(task).predictions()]
    assert {*streams[0].ids} == set(divided.test)
    by_hand = fuse(streams, Fusion(rule="weighted", weights=tuple(told["weights"])))
    np.testing.assert_array_equal(Scores.load(fusion_of(task).path()).values, by_hand.values)
    assert provenance(fusion_of(task).path())["choice"]["weights"] == told["weights"]
    assert f"<td>{told['accuracy']:.1f}</td>" in page
    assert 'id="chosen-weights"' in page


def test_choosing_reads_no_test_video(run: Run, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, _ = run()
    fused = fusion_of(task)
    tested, read = set(fold(task.recipe.dataset, 0).test), set()
    whole = Store.read

    def noted(self: Store, video: str, *rest: Any, **more: Any) -> Any:
        read.add(video)
        return whole(self, video, *rest, **more)

    monkeypatch.setattr(Store, "read", noted)
    for prediction in fused.validations():
        for stage in [*prediction.reduction(), *prediction.training(), prediction]:
            read.clear()
            stage.path().unlink(missing_ok=True)
            stage.compute()
            half = fold(stage.dataset, 0).test if stage is prediction else fold(stage.dataset, 0).train
            assert read == set(half)
            assert not read & tested
    for prediction in fused.predictions():
        prediction.compute()
    assert read >= tested  # else nothing was watched


def test_only_what_depends_on_a_change_is_computed_again(run: Run) -> None:
    run()
    _, ran = run()
    assert ran == []
    _, ran = run(fusion='rule = "product"')
    assert ran == ["Fuse"]
    _, ran = run(fusion='rule = "l1"\nchoose = { validation = 0.5, parts = 3 }')
    assert ran == ["Fuse"]
    given = {"fusion": 'rule = "product"'}
    _, ran = run(join="product", **given)
    assert ran == sorted(["Train", "Predict", "Fuse"])
    _, ran = run(whiten="true", **given)  # one reducer of one stream
    assert ran == sorted(["FitReducer", "Train", "Predict", "Fuse"])


def test_a_joined_stream_is_the_sum_of_its_inputs_and_is_drawn_step_by_step(run: Run) -> None:
    task, _ = run(fusion='rule = "product"')
    joined = task.runs.predictions(0, 0)[0]
    model = joined.stream.model
    parts = [
        tasks.Predict(dataset=joined.dataset, stream=Stream(**dict(each), model=model), fold=0, seed=0)
        for each in joined.stream.inputs
    ]
    videos = fold(task.recipe.dataset, 0).test
    found = joined.sequences(videos, variants=1)
    each = [part.sequences(videos, variants=1) for part in parts]
    for sequence, one, other in zip(found.inputs, each[0].inputs, each[1].inputs, strict=True):
        assert sequence.shape == (6, 5)
        np.testing.assert_array_equal(sequence, one + other)
    result = gather(task.runs, task.fingerprint)
    clips = illustrate(task.runs, result).clips
    assert all("joined" in clip.traces for clip in clips)
    assert len(clips) > 0
    names = {each.reducer for each in result.explained}
    assert names == {"joined, input 1 (skeleton)", "joined, input 2 (skeleton)"}


def test_inputs_of_other_widths_are_one_clear_sentence(run: Run, store: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = store / "wide.toml"
    path.write_text(recipe(store).replace("{ dims = 5 }", "{ dims = 4 }"))
    luigi.build([tasks.Evaluate(experiment=str(path))], local_scheduler=True, workers=1, log_level="ERROR")
    assert "input 1 (skeleton) has 4 features and input 2 (skeleton) 5" in caplog.text
    assert "Traceback" not in caplog.text


def test_what_was_chosen_on_can_be_evaluated_itself(run: Run, store: Path) -> None:
    run()
    path = store / "part.toml"
    of = DATASET.format(root=store / "files").replace("[dataset]", "[dataset.of]")
    part = f'[dataset]\nname = "validation"\nshare = 0.5\n{of}'
    path.write_text(recipe(store, dataset=part, fusion='rule = "sum"'))
    task = tasks.Evaluate(experiment=str(path))
    assert all(stage.complete() for stage in task.runs.predictions(0, 0))
    assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
    assert "not on its test videos" in (task.folder() / "report.html").read_text()
    path.write_text(recipe(store, dataset=part))
    with pytest.raises(InputError, match="a validation part has no validation part of its own"):
        load_experiment(str(path))


@pytest.mark.slow
def test_what_extractors_learn_for_the_choice_they_learn_without_its_videos(run: Run) -> None:
    task, ran = run(dataset=STICK_FIGURES, network=CONVNET)
    assert ran.count("FitExtractor") == 2  # on the training videos of the only fold, and on those but the part
    fused = fusion_of(task)
    (whole,), (rest,) = (
        {fit for stage in predictions for rows in stage.features for fit in rows.fitting().values()}
        for predictions in (fused.predictions(), fused.validations())
    )
    assert whole.path() != rest.path()
    assert set(fold(rest.dataset, 0).train) < set(fold(whole.dataset, 0).train)
    _, ran = run(dataset=STICK_FIGURES, network=CONVNET, join="product")
    assert set(ran) == {"Train", "Predict", "Fuse"}
