"""A class that is tested and has no training video is told: as a mistake of the user's, or in the report."""

import json
from collections.abc import Iterator
from pathlib import Path

import luigi
import pytest
from luigi.configuration import get_config

import tasks
from data.folder import Folder
from tests.support.skeletons import text, walk

MODELS = {"drnn": 'name = "drnn", state = 4, fit = { epochs = 1 }', "svm": 'name = "linear_svm"'}
BOTH, TESTED = ("train", "test"), ("test",)


def write(root: Path, halves: dict[str, tuple[str, ...]]) -> None:
    """Skeletons of classes, one in each half in which the class has any."""
    root.mkdir()
    lines = ["path,label,split"]
    for label, sides in halves.items():
        for half in sides:
            (root / f"{label}-{half}.txt").write_text(text(walk(seed=ord(label))))
            lines.append(f"{label}-{half}.txt,{label},{half}")
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    config = get_config()
    config.set("kinescope", "store", str(tmp_path / "store"))
    config.set("kinescope", "max_failed_videos", "1")
    yield tmp_path / "files"
    config.remove_section("kinescope")


def evaluation(root: Path, model: str = "svm") -> tasks.Evaluate:
    recipe = root.parent / "mine.toml"
    recipe.write_text(
        f'title = "x"\n[dataset]\nname = "folder"\nroot = "{root}"\n'
        f'[[streams]]\nextractor = {{ name = "skeleton" }}\nmodel = {{ {MODELS[model]} }}\n'
    )
    return tasks.Evaluate(experiment=str(recipe))


def run(task: tasks.Evaluate) -> bool:
    return bool(luigi.build([task], local_scheduler=True, workers=1, log_level="WARNING"))


UNTRAINED = {"a": BOTH, "b": BOTH} | dict.fromkeys("cdef", TESTED)
SENTENCE = "split: classes that are tested, but have no training video to learn from: 4 (c, d, e, …)"


@pytest.mark.parametrize("model", MODELS)
def test_in_data_of_ones_own_it_is_a_mistake_before_anything_is_computed(
    root: Path, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(root, UNTRAINED)
    task = evaluation(root, model)
    assert not run(task)
    assert f"{SENTENCE}; give each class training videos, or leave its test videos out" in caplog.text
    assert not list(root.parent.glob("store/*/skeleton-*"))


def test_where_a_published_protocol_brings_it_the_run_and_the_report_tell(
    root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("WARNING", "luigi-interface")
    write(root, UNTRAINED)
    monkeypatch.setattr(Folder, "divided_by_user", False)
    task = evaluation(root)
    assert run(task)
    assert SENTENCE in caplog.text
    assert json.loads((task.folder() / "metrics.json").read_text())["notes"] == [SENTENCE]


def test_where_no_training_video_can_be_used_the_report_tells(root: Path) -> None:
    write(root, dict.fromkeys("abc", BOTH))
    (root / "a-train.txt").write_text("nothing of use\n")
    task = evaluation(root, "drnn")
    assert run(task)
    assert json.loads((task.folder() / "metrics.json").read_text())["notes"] == [
        SENTENCE.replace("4 (c, d, e, …)", "1 (a)")
    ]


def test_classes_that_all_train_are_no_word_worth(root: Path, said: list[str]) -> None:
    write(root, dict.fromkeys("ab", BOTH))
    task = evaluation(root)
    assert run(task)
    assert not said
    assert json.loads((task.folder() / "metrics.json").read_text())["notes"] == []
