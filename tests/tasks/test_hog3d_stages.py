"""HOG3D through luigi: computed at most twice however many trials there are."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count

import luigi
import numpy as np
import pytest
from luigi.configuration import get_config

import tasks
from data.protocols import drawn
from pipeline.pca.project import load_reducer, project
from pipeline.store import Store
from tasks.features import Extract, extract
from tasks.index import fold

RECIPE = """
title = "HOG3D"
[dataset]
name = "stick_figures"
subjects = 3
scenarios = ["d1"]
repetitions = 1
trials = {trials}
[[streams]]
model = {{ name = "drnn", order = 1, state = 4, steps = 8, fit = {{ epochs = 1 }} }}
[streams.extractor]
name = "hog3d"
dims = 6
sampled_frames = {sampled_frames}
grid = {{ stride_px = 60, scales = 1, stride_frames = 3 }}
{kept}
"""
Run = Callable[..., tasks.Evaluate]


@pytest.fixture
def ran() -> Iterator[Counter[str]]:
    """How many shards of each extractor were made, and PCAs fitted."""
    counted: Counter[str] = Counter()

    @luigi.Task.event_handler(luigi.Event.START)
    def note(task: luigi.Task) -> None:
        counted[task.extractor.name if task.task_family == "ExtractShard" else task.task_family] += 1

    yield counted
    luigi.Task.remove_event_handler(luigi.Event.START, note)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs the recipe with so many trials, in one shard; of a test's own where it has its number of sampled frames."""
    folder = tmp_path_factory.mktemp("hog3d")
    for key, value in {"store": folder / "store", "device": "cpu"}.items():
        get_config().set("kinescope", key, str(value))

    def evaluate(trials: int, sampled_frames: int, kept: str = "") -> tasks.Evaluate:
        path = folder / "recipe.toml"
        path.write_text(RECIPE.format(trials=trials, sampled_frames=sampled_frames, kept=kept))
        luigi.task_register.Register.clear_instance_cache()
        task = tasks.Evaluate(experiment=str(path))
        assert luigi.build([task.index], local_scheduler=True, workers=1, log_level="ERROR")
        predictions = [stage for run in task.runs.pairs for stage in task.runs.predictions(*run)]
        assert luigi.build(predictions, local_scheduler=True, workers=1, log_level="ERROR")
        return task

    yield evaluate
    get_config().remove_section("kinescope")


def stage(evaluation: tasks.Evaluate, trial: int) -> Extract:
    """The extraction that a trial reads."""
    return evaluation.runs.predictions(trial, 0)[0].features[0]


def test_hog3d_is_computed_twice_however_many_trials_there_are(run: Run, ran: Counter[str]) -> None:
    evaluation = run(3, 3)
    assert (ran["hog3d_raw"], ran["hog3d"], ran["FitExtractor"]) == (1, 1, 3)
    assert len({stage(evaluation, trial).folder for trial in range(3)}) == 1
    assert Counter(needed.task_family for needed in evaluation.runs.stages()) == {
        "Extract": 1,
        "FitExtractor": 3,
        "Train": 3,
        "Predict": 3,
    }
    store = Store(stage(evaluation, 0).path())
    arrays = store.read(store.ids()[0]).arrays
    assert arrays.keys() == {
        "features-trial-1",
        "features-trial-2",
        "features-trial-3",
        "start_frames",
        "times",
        "ends",
    }
    assert not np.array_equal(arrays["features-trial-1"], arrays["features-trial-2"])


def test_the_same_folds_by_other_names_have_rows_of_their_own(run: Run) -> None:
    recipe = run(3, 3).recipe
    subjects = ["person01", "person02", "person03"]
    in_order = next(seed for seed in count() if [drawn(subjects, seed, trial)[0] for trial in (1, 2, 3)] == subjects)
    rows = [
        extract(recipe.dataset.model_copy(update=protocol), recipe.streams[0].extractor, 0)
        for protocol in ({"protocol_seed": in_order}, {"protocol": "leave_one_out"})
    ]
    projections = [[fit.fingerprint for fit in stage.fitting().values()] for stage in rows]
    assert projections[0] == projections[1]
    assert rows[0].fingerprint != rows[1].fingerprint


def test_another_trial_fits_one_more_projection_and_no_more_samples(run: Run, ran: Counter[str]) -> None:
    run(1, 4)
    ran.clear()
    run(2, 4)
    assert (ran["hog3d_raw"], ran["hog3d"], ran["FitExtractor"]) == (0, 1, 1)


def test_kept_raw_rows_are_computed_once_and_lead_to_the_same_features(run: Run, ran: Counter[str]) -> None:
    """But for the rounding to float16, where the projections are fitted to the same frames."""
    evaluation = run(2, 5, "keep_raw = true")
    assert (ran["hog3d_raw"], ran["hog3d"], ran["FitExtractor"]) == (1, 2, 2)
    first = stage(evaluation, 0)
    raw, features = Store(first.source().path()), Store(first.path())
    (fitted,) = first.fitting().values()
    state = load_reducer(fitted.path())
    for video in features.ids():
        expected = project(state, raw.read(video).arrays["features"])
        np.testing.assert_allclose(features.read(video).arrays["features"], expected, atol=1e-5)


def test_projections_see_training_videos_only(run: Run) -> None:
    """A PCA of a trial, fitted anew to the sampled rows of its training videos, is the one that was fitted."""
    from pipeline.pca.config import PCA

    evaluation = run(2, 6)
    for trial, fitted in enumerate(stage(evaluation, 0).fitting().values()):
        samples = Store(fitted.material.path())
        train = fold(evaluation.recipe.dataset, trial).train
        again = PCA(dims=6).fit(samples.read(video).arrays["features"] for video in train)
        np.testing.assert_allclose(load_reducer(fitted.path())["components"], again["components"], atol=1e-6)
