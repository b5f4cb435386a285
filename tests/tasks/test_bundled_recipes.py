"""Every bundled recipe, tried from an empty folder: it runs on generated data, or says what to get, and how."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import luigi
import pytest
from luigi.configuration import get_config

import tasks
from extractors.weights.sources import SOURCES
from pipeline.results.report_files import read_figures
from tasks.experiment import load_experiment
from tasks.recipes import bundled
from tests.support.paths import ROOT
from tests.support.toy_datasets import act, hmdb51, touch, write_lines

GENERATED = [name for name in bundled() if load_experiment(name).dataset.generated]
PUBLISHED = [name for name in bundled() if name not in GENERATED]


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, and no settings but the defaults."""
    monkeypatch.chdir(tmp_path)
    get_config().remove_section("kinescope")
    yield tmp_path
    get_config().remove_section("kinescope")
    luigi.task_register.Register.clear_instance_cache()


def sentence(name: str) -> str:
    """What a user who has no data has to read."""
    dataset = load_experiment(name).dataset.name
    return (
        f'no data root for {dataset!r}: set data_roots = {{"{dataset}": "/path/to/it"}} in section [kinescope] of '
        f"luigi.cfg; kinescope datasets {dataset} says where it is had, and in which layout"
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_ends_in_the_one_sentence_that_says_which_data_to_get(
    name: str, empty: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = tasks.Evaluate(experiment=name)
    assert not luigi.build([task], local_scheduler=True, workers=1, log_level="WARNING")
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert told == [sentence(name)]
    assert not any(record.exc_info for record in caplog.records)
    assert not list(empty.glob("store/*/*"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_page_that_the_sentence_names_says_which_recipe_needs_what(name: str) -> None:
    from tasks.commands.datasets import uses

    dataset = load_experiment(name).dataset
    (use,) = [use for use in uses()[dataset.plain.name] if name in use.recipes]
    assert use.dataset == dataset.plain.without_protocol()


@pytest.mark.parametrize("name", bundled())
def test_its_weights_are_known_by_name(name: str) -> None:
    """So that they can be had by everybody, whatever folder they lie in."""
    assert set(load_experiment(name).files()) <= set(SOURCES)


def ucf101_11(root: Path) -> None:
    """Lists of the eleven classes alone, and an empty file for each of the 825 videos."""
    files = [f"{id}.avi" for id in (ROOT / "docs" / "ucf101-11.txt").read_text().split()]
    names = sorted({file.split("/")[0] for file in files})
    touch(root / "UCF-101", *files)
    write_lines(root / "classInd.txt", *(f"{number} {name}" for number, name in enumerate(names, start=1)))
    for split in (1, 2, 3):
        held_out = f"_g{split:02d}_"
        write_lines(root / f"trainlist{split:02d}.txt", *(file for file in files if held_out not in file))
        write_lines(root / f"testlist{split:02d}.txt", *(file for file in files if held_out in file))


NEEDING: dict[str, tuple[str, Callable[[Path], object]]] = {
    "imagenet-squeezenet1_0": ("ucf101-11-svm", ucf101_11),
    "imagenet-bn_inception": ("hmdb51-flow", hmdb51),
    "imagenet-resnet50": ("act-tdn-rgb", act),
    "sports1m-c3d": ("hmdb51-c3d-depth2", hmdb51),
    "kinetics-i3d-rgb": ("hmdb51-i3d-res-lstm", hmdb51),
}
"""A recipe by the weights that it needs first, and a toy of its data."""


@pytest.mark.parametrize("weights", NEEDING)
def test_where_the_data_are_it_ends_in_the_one_sentence_that_says_which_weights_to_get(
    weights: str, empty: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name, toy = NEEDING[weights]
    assert weights in load_experiment(name).files()
    toy(empty / "data")
    get_config().set("kinescope", "offline", "true")
    get_config().set("kinescope", "data_roots", json.dumps({load_experiment(name).dataset.name: "data"}))
    task = tasks.Evaluate(experiment=name)
    assert not luigi.build([task], local_scheduler=True, workers=1, log_level="WARNING")
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    source = SOURCES[weights]
    assert told == [
        f"weights {weights!r} are missing, and offline = true: run kinescope weights fetch {weights} where there is a "
        f"network, or download {source.url} as {empty.resolve() / 'weights' / source.files[0]}"
    ]
    assert not any(record.exc_info for record in caplog.records)
    assert not list(empty.glob("store/*/*-*"))


def test_every_bundled_recipe_needs_weights_of_these_or_none() -> None:
    needed = {weights for name in bundled() for weights in load_experiment(name).files()}
    assert needed == {*NEEDING, "kinetics-i3d-flow"}


def test_on_generated_data_nothing_has_to_be_had() -> None:
    assert GENERATED
    for name in GENERATED:
        assert not load_experiment(name).files()


@pytest.mark.parametrize("name", ["ucf101-11-res-lstm", "kth2-drnn2", "msr-action3d-ensemble"])
def test_a_run_in_a_process_of_its_own_says_nothing_else(name: str, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "LUIGI_CONFIG_PATH"}
    answered = subprocess.run(
        [sys.executable, "-c", "from tasks.commands.app import app; app()", "run", name],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        timeout=100,
    )
    assert answered.returncode != 0
    (line,) = filter(str.strip, (answered.stdout + answered.stderr).splitlines())
    assert line.endswith(sentence(name))


SMALL = """
title = "{name}, of four subjects"
like = "{name}"
dataset = {{ subjects = 4, scenarios = ["d4"], repetitions = 1, trials = 1, train_subjects = 2 }}
"""
FEW_COMPONENTS = """
[[streams]]
like = "{name}#streams.0"
extractor = {{ dims = 20 }}
"""
"""Of fewer videos than the recipe's, PCA has fewer components."""


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder at first, in which the recipes share what they compute."""
    return tmp_path_factory.mktemp("generated")


@pytest.mark.slow
@pytest.mark.parametrize("name", GENERATED)
def test_it_runs_on_generated_data(name: str, shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From generating the videos to the report, on the recipe's own data set with fewer of them."""
    monkeypatch.chdir(shared_folder)
    get_config().remove_section("kinescope")
    get_config().set("kinescope", "max_failed_videos", "3")  # of these, too, some have no point of Harris3D's
    recipe = shared_folder / f"{name}.toml"
    recipe.write_text((SMALL + (FEW_COMPONENTS if "hog3d" in name else "")).format(name=name))
    task = tasks.Evaluate(experiment=str(recipe))
    assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
    assert task.folder().is_relative_to(shared_folder / "store")
    assert read_figures(task.folder()).title == f"{name}, of four subjects"
    get_config().remove_section("kinescope")
