"""Damage to what predictions about new videos leave in a store: the next run comes to the same answers."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import luigi
import pytest
from luigi.configuration import get_config

import tasks
from pipeline.results import recognizer
from tasks.commands.store_layout import KINDS, KINDS_OF_PREDICTIONS
from tests.support.damage import DAMAGE
from tests.support.small_experiment import Small

SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A store with predictions, and nothing else."""
    small = Small(tmp_path_factory.mktemp("small")).fill()
    with_settings(small)
    assert ask(small)
    get_config().remove_section("kinescope")
    return small


@pytest.fixture(autouse=True)
def settings(asked: Small) -> Iterator[None]:
    with_settings(asked)
    yield
    get_config().remove_section("kinescope")


def with_settings(small: Small) -> None:
    for key, value in {"store": small.store, "device": "cpu", "max_failed_videos": 1}.items():
        get_config().set("kinescope", key, str(value))


def task(small: Small) -> tasks.Classify:
    recipe = small.recipe  # which forgets the tasks of before
    return tasks.Classify(experiment=recipe, videos=(str(small.root / "video06.txt"), str(small.root / "video07.txt")))


def ask(small: Small) -> bool:
    recognizer.read.cache_clear()  # as in another process
    return bool(luigi.build([task(small)], local_scheduler=True, workers=1, log_level="WARNING"))


def answers(small: Small) -> dict[str, Any]:
    return dict(json.loads((task(small).folder() / "predictions.json").read_text())["videos"])


def of_kind(store: Path, kind: str) -> list[Path]:
    return sorted(path for path in store.glob(KINDS_OF_PREDICTIONS[kind]) if path.is_symlink() or path.is_file())


def test_every_file_is_of_a_known_kind(asked: Small) -> None:
    patterns = {**KINDS, **KINDS_OF_PREDICTIONS}.values()
    known = {path for pattern in patterns for path in asked.store.glob(pattern)}
    assert {path for path in asked.store.rglob("*") if not path.is_dir() or path.is_symlink()} <= known


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) for name in DAMAGE if name != "flipped"] + ["flipped"]
)
@pytest.mark.parametrize("kind", [kind for kind in KINDS_OF_PREDICTIONS if not kind.startswith(("link", "windows"))])
def test_another_run_comes_to_the_same(
    kind: str, name: str, asked: Small, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = answers(asked)
    shutil.copytree(asked.store, tmp_path / "clean", symlinks=True)
    try:
        for seed in range(3):
            rng = random.Random(seed)
            file = rng.choice(of_kind(asked.store, kind))
            alike = [
                path for path in asked.store.rglob(f"*{file.suffix}") if path.is_file() and not path.samefile(file)
            ]
            if kind != "predictions":
                shutil.rmtree(task(asked).folder())
            DAMAGE[name](file, [path for path in alike if path.exists()], rng)
            caplog.clear()
            ended, told = ask(asked), caplog.text
            assert "Traceback" not in told, told
            if not ended:  # a sentence that names the file, which a user then moves away
                assert file.name in told, told
                shutil.rmtree(file) if file.is_dir() and not file.is_symlink() else file.unlink()
                assert ask(asked), told
            assert answers(asked) == expected
            shutil.rmtree(asked.store)
            shutil.copytree(tmp_path / "clean", asked.store, symlinks=True)
    finally:
        shutil.rmtree(asked.store)
        shutil.copytree(tmp_path / "clean", asked.store, symlinks=True)
