"""Every KTH experiment from end to end on the real videos that are there, with hardly any training.

Mechanics on real files: so few videos and epochs say nothing about accuracy.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import luigi
import pytest
from luigi.configuration import get_config

import tasks
from extractors.hog3d.config import HOG3D
from sequence_models.consensus import Consensus
from sequence_models.lstm import LSTM
from tasks.experiment import load_experiment
from tasks.recipes import BUNDLED, bundled

EXPERIMENTS = [name for name in bundled() if name.startswith("kth")]
SHORTENED = {
    'name = "kth"': ('name = "kth"', 'name = "kth"\npresent_only = true\ntrials = 2'),
    'name = "hog3d"': ('name = "hog3d"', 'name = "hog3d", dims = 60'),
    'name = "drnn"': ("epochs = 50", "epochs = 2"),
    'name = "convnet3d"': ("batch = 1, epochs = 10", "batch = 32, epochs = 1"),
    'name = "lstm"': ("forget_gate = false", "forget_gate = false, fit = { lr = 0.001, epochs = 2 }"),
}
"""What takes the place of what, in recipes that say the first."""
TORTURE = pytest.mark.torture
SLOW = [name for name in EXPERIMENTS if name.startswith("kth2") and "harris3d" not in name]
"""KTH-1 has the same extractors and models, on whole videos instead of segments; Harris3D takes minutes."""
VIDEOS = {"kth1": 10, "kth2": 40}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Path]:
    """One store for all, with the real videos as the data set's root."""
    folder = tmp_path_factory.mktemp("kth")
    roots = json.dumps({"kth": str(shared / "kth")})
    for key, value in {"store": folder / "store", "device": "cpu", "data_roots": roots}.items():
        get_config().set("kinescope", key, str(value))
    yield folder
    get_config().remove_section("kinescope")


def shortened(name: str, folder: Path) -> Path:
    """A copy of a bundled recipe with few epochs, on the videos that are there."""
    recipe = (BUNDLED / f"{name}.toml").read_text()
    for due, (text, replacement) in SHORTENED.items():
        if due in recipe:
            assert text in recipe, (name, text)
            recipe = recipe.replace(text, replacement)
    path = folder / f"{name}.toml"
    path.write_text(recipe)
    return path


def test_every_row_of_the_two_papers_has_its_experiment() -> None:
    recurrent = [f"kth{form}-{model}" for form in (1, 2) for model in ("lstm", "drnn1", "drnn2")]
    baccouche = [f"kth{form}-convnet3d-{model}" for form in (1, 2) for model in ("vote", "lstm")]
    assert set(EXPERIMENTS) == {*recurrent, *baccouche, "kth2-harris3d-lstm"}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_sizes_are_those_of_the_papers(name: str) -> None:
    recipe = load_experiment(name)
    ((extractor, model),) = [(stream.extractor, stream.model) for stream in recipe.streams]
    assert (recipe.dataset.form, recipe.dataset.protocol, recipe.dataset.trials) == (name[:4], "trials", 5)
    if isinstance(extractor, HOG3D):
        assert (extractor.descriptor.dims, extractor.dims) == (1000, 450)
        assert (model.order, model.state, model.readout) == (
            {"lstm": 0, "drnn1": 1, "drnn2": 2}[name[5:]],
            300,
            "literal",
        )
        assert (model.fit.epochs, model.fit.lr) == (50, 1e-4)
    elif isinstance(model, LSTM):
        assert (model.hidden, model.layers, model.forget_gate, model.decision) == (50, 1, False, "mean")
    else:
        assert model == Consensus(rule="vote")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in SLOW else TORTURE) for name in EXPERIMENTS],
)
def test_an_experiment_on_the_real_videos(name: str, store: Path) -> None:
    luigi.task_register.Register.clear_instance_cache()
    task = tasks.Evaluate(experiment=str(shortened(name, store)))
    assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
    divisions, measured = (json.loads((task.folder() / file).read_text()) for file in ("folds.json", "metrics.json"))
    assert measured["failures"] == {}
    assert measured["rows"][0]["summary"]["accuracy"]["runs"] == 2
    for fold in divisions["folds"]:
        assert len(fold["train"]["videos"]) + len(fold["test"]["videos"]) == VIDEOS[name[:4]]
