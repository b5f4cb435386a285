"""Weights are looked at before the first video, and are the same by whatever name."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import luigi
import numpy as np
import pytest
import torch
from luigi.configuration import get_config
from safetensors.torch import save_file

import tasks
from extractors.backbones.squeezenet import SqueezeNet
from extractors.weights.source import Source
from extractors.weights.sources import SOURCES
from pipeline.errors import InputError
from pipeline.training.random_state import seeded
from pipeline.video.encode import write
from tasks.commands.weights import describe
from tests.support.file_server import FileServer, serving

NAME = "imagenet-squeezenet1_0"
RECIPE = """
title = "x"
[dataset]
name = "folder"
root = "{root}"
[[streams]]
extractor = {{ name = "tsn", modality = "{modality}", snippets = 2, crops = 1, network = {network} }}
model = {{ name = "linear_svm" }}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Videos of two classes, and weights of SqueezeNet for RGB in a folder and elsewhere."""
    for label in "ab":
        for number in range(2):
            pictures = np.full((8, 32, 48, 3), 40 * number, np.uint8)
            write(tmp_path / "files" / label / f"{number}.mp4", pictures, 25)
    with seeded(0):
        state = SqueezeNet().state_dict()
    (tmp_path / "weights").mkdir()
    for file in (tmp_path / "weights" / SOURCES[NAME].files[1], tmp_path / "mine.safetensors"):
        save_file(state, file)
    save_file({"a": torch.zeros(3)}, tmp_path / "other.safetensors")
    for key in ("store", "weights"):
        get_config().set("kinescope", key, str(tmp_path / key))
    yield tmp_path
    get_config().remove_section("kinescope")


def evaluation(folder: Path, weights: str, modality: str = "flow", fit: str = "") -> tasks.Evaluate:
    network = f'{{ backbone = "squeezenet1_0", weights = "{weights}"{fit} }}'
    recipe = folder / "mine.toml"
    recipe.write_text(RECIPE.format(root=folder / "files", modality=modality, network=network))
    luigi.task_register.Register.clear_instance_cache()
    return tasks.Evaluate(experiment=str(recipe))


@pytest.mark.parametrize(
    ("weights", "fit", "sentence"),
    [
        (NAME, "", "these are weights of RGB, and the network's input has 10 channels: add network.fit"),
        ("other.safetensors", "", "these are not weights of SqueezeNet: of its 50 tensors 50 missing"),
        ("other.safetensors", ", fit = { epochs = 1 }", "these are not weights of SqueezeNet"),
        ("nowhere.safetensors", "", "nowhere.safetensors: no such file"),
    ],
)
def test_they_are_refused_before_the_first_video(
    folder: Path, weights: str, fit: str, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    named = weights if weights == NAME else str(folder / weights)
    task = evaluation(folder, named, fit=fit)
    assert not luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
    assert sentence in caplog.text
    assert "Traceback" not in caplog.text
    assert not list(folder.glob("store/*/*-*/*.h5"))


def test_they_are_downloaded_when_they_are_first_needed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (folder / "weights" / SOURCES[NAME].files[1]).read_bytes()
    before = evaluation(folder, NAME).index
    luigi.build([before], local_scheduler=True, log_level="ERROR")
    expected = evaluation(folder, NAME).fingerprint
    shutil.rmtree(folder / "weights")
    shutil.rmtree(folder / "store")
    with serving(FileServer({"/squeezenet.safetensors": content})) as server:
        source = Source(f"{server.url}/squeezenet.safetensors", ("squeezenet.safetensors",), "free")
        monkeypatch.setitem(SOURCES, NAME, source)
        (folder / "files").rename(folder / "elsewhere")
        assert not luigi.build([evaluation(folder, NAME, "rgb")], local_scheduler=True, workers=1, log_level="ERROR")
        assert not server.asked  # data that are missing are said first
        (folder / "elsewhere").rename(folder / "files")
        get_config().set("kinescope", "offline", "true")
        assert not luigi.build([evaluation(folder, NAME, "rgb")], local_scheduler=True, workers=1, log_level="ERROR")
        assert not server.asked
        get_config().set("kinescope", "offline", "false")
        assert luigi.build([evaluation(folder, NAME, "rgb")], local_scheduler=True, workers=1, log_level="ERROR")
        assert len(server.asked) == 1
    assert evaluation(folder, NAME).fingerprint == expected
    (line,) = [line for line in describe(folder / "weights") if line.startswith(NAME)]
    assert f"squeezenet.safetensors, SHA-256 {hashlib.sha256(content).hexdigest()[:8]}… when it came" in line


def test_another_file_under_the_publishers_name_is_refused(folder: Path) -> None:
    luigi.build([evaluation(folder, NAME).index], local_scheduler=True, log_level="ERROR")
    file = (folder / "weights" / SOURCES[NAME].files[1]).rename(folder / "weights" / SOURCES[NAME].files[0])
    save_file({"a": torch.zeros(3)}, file)
    with pytest.raises(InputError, match=rf"{file} has the SHA-256 .*, and b66bff10 is its publisher's: delete it"):
        _ = evaluation(folder, NAME).fingerprint
    assert evaluation(folder, str(file)).fingerprint  # by its path it is a file like any other


def test_a_name_and_a_path_of_the_same_file_are_one_fingerprint(folder: Path) -> None:
    luigi.build([evaluation(folder, NAME).index], local_scheduler=True, log_level="ERROR")
    found = set()
    for weights in (NAME, str(folder / "weights" / SOURCES[NAME].files[1]), str(folder / "mine.safetensors")):
        task = evaluation(folder, weights)
        (stage,) = task.runs.predictions(0, 0)
        found.add((task.fingerprint, stage.fingerprint, stage.features[0].fingerprint))
    assert len(found) == 1
    assert evaluation(folder, str(folder / "other.safetensors")).fingerprint not in {each[0] for each in found}
