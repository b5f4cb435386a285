"""The three kinds of systems from files to a report, what their users do wrong, and what importing costs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import luigi
import numpy as np
import pytest
import torch
from luigi.configuration import get_config
from threadpoolctl import threadpool_info, threadpool_limits

import tasks
from pipeline.errors import InputError
from pipeline.report import thumbnails
from pipeline.store import Store
from pipeline.video.encode import write
from tasks import settings
from tasks.experiment import load_experiment
from tasks.recipes import bundled
from tasks.settings import DEFAULTS
from tests.support.paths import ROOT
from tests.support.recipes import SKELETONS, SMALL
from tests.support.skeletons import text, walk

Run = Callable[[str], tuple[tasks.Evaluate, list[str]]]

VIDEO_STREAMS = """
title = "video"
seeds = [0, 1]
[dataset]
name = "stick_figures"
subjects = 2
scenarios = ["d1"]
train_subjects = 1
[[streams]]
label = "vote"
extractor = {{ name = "convnet3d", stride_frames = {stride}, network = {{ stride_frames = 8, fit = {{ epochs = {epochs}, lr = 0.001 }} }} }}
model = {{ name = "consensus", rule = "vote" }}
[[streams]]
label = "recurrent"
extractor = {{ name = "convnet3d", stride_frames = {stride}, network = {{ stride_frames = 8, fit = {{ epochs = {epochs}, lr = 0.001 }} }} }}
reducer = {{ dims = 20 }}
model = {{ name = "res_lstm", steps = 5, fit = {{ epochs = 2 }} }}
[fusion]
rule = "weighted"
weights = [1.0, 1.5]
"""  # noqa: E501


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs a recipe with a store of its own; returns its task, and the families that ran, once a run of a task."""
    for key, value in {"store": tmp_path / "store", "shard_size": 8, "device": "cpu"}.items():
        get_config().set("kinescope", key, str(value))
    ran: list[str] = []

    @luigi.Task.event_handler(luigi.Event.START)
    def note(task: luigi.Task) -> None:
        ran.append(task.task_family)

    def evaluate(recipe: str) -> tuple[tasks.Evaluate, list[str]]:
        path = tmp_path / "recipe.toml"
        path.write_text(recipe)
        ran.clear()
        luigi.task_register.Register.clear_instance_cache()
        luigi.build([tasks.Evaluate(experiment=str(path))], local_scheduler=True, workers=1, log_level="ERROR")
        return tasks.Evaluate(experiment=str(path)), [family for family in ran if family != "Evaluate"]

    yield evaluate
    luigi.Task.remove_event_handler(luigi.Event.START, note)
    get_config().remove_section("kinescope")


def test_a_trained_extractor_from_files_to_report(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    task, ran = run(VIDEO_STREAMS.format(stride=4, epochs=1))
    assert task.complete()
    assert ran.count("FitExtractor") == 1
    assert ran.count("Train") == 2
    assert ran.count("Predict") == 3  # the vote knows no seed
    measured = json.loads((task.folder() / "metrics.json").read_text())
    assert [row["name"] for row in measured["rows"]] == ["vote", "recurrent", "fusion"]
    assert {row["summary"]["accuracy"]["runs"] for row in measured["rows"]} == {2}
    assert (task.folder() / "report.html").read_text().startswith("<!")
    features = Store(task.runs.predictions(0, 0)[0].features[0].path())
    row = features.read(features.ids()[0])
    assert row.arrays["features"].shape[1] == 120
    assert row.arrays["scores"].shape[1] == 6
    assert features.variants(features.ids()[0]) == 2

    def no_video(*_: object, **__: object) -> None:
        raise AssertionError("a video was opened")

    monkeypatch.setattr("pipeline.video.decode.decode", no_video)
    monkeypatch.setattr(thumbnails, "of_clip", lambda *_: ())  # which a report may call
    _, ran = run(VIDEO_STREAMS.format(stride=4, epochs=1))
    assert ran == []
    _, ran = run(VIDEO_STREAMS.format(stride=6, epochs=1))
    assert set(ran) == {"Extract", "ExtractShard", "FitReducer", "Train", "Predict", "Fuse"}
    task, ran = run(VIDEO_STREAMS.format(stride=6, epochs=2))
    assert task.complete()
    assert ran.count("FitExtractor") == 1
    assert "Index" not in ran


def test_a_corrupt_video_is_listed_and_counts_as_wrong(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        for number in range(4):
            frames = rng.integers(0, 255, (12, 32, 48, 3)).astype(np.uint8)
            path = tmp_path / "files" / label / f"{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, frames, 25)
    bad = tmp_path / "files" / "a" / "1.mp4"
    bad.write_bytes(b"no video at all")
    recipe = f"""
title = "corrupt"
[dataset]
name = "folder"
root = "{tmp_path / "files"}"
test_fraction = 0.5
[[streams]]
extractor = {{ name = "convnet3d", network = {{ fit = {{ epochs = 1 }} }} }}
model = {{ name = "consensus" }}
"""
    task, _ = run(recipe)
    assert not task.complete()
    said = caplog.text
    assert said.count("videos that could not be used: 1") == 1
    assert "max_failed_videos in [kinescope] allows 0" in said
    assert "a/1" in said
    assert "Traceback" not in said
    measured = json.loads((task.folder() / "metrics.json").read_text())
    assert "a/1" in measured["failures"]
    get_config().set("kinescope", "max_failed_videos", "8")
    task, ran = run(recipe)
    assert ran == []
    assert task.complete()


FINE_TUNED = (
    f'title = "fine-tuned"\n{SMALL}'
    + """
[[streams]]
model = {{ name = "consensus" }}
[streams.extractor]
name = "tsn"
{modality}
short_side = 56
crop = 48
snippets = 2
crops = {crops}
network = {{ backbone = "squeezenet1_0", weights = "{weights}", fit = {{ iterations = 2, lr = 0.001, batch = 4 }} }}
"""
)
FLOW = 'modality = "flow"\nflow = { size_px = [80, 60], stride_frames = 4, warps = 1 }'


@pytest.mark.parametrize("modality", ['modality = "rgb"', pytest.param(FLOW, marks=pytest.mark.slow)])
def test_a_network_is_fine_tuned_on_stored_pictures(modality: str, run: Run, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from extractors.backbones.squeezenet import SqueezeNet

    weights = tmp_path / "random.safetensors"
    save_file(SqueezeNet().state_dict(), weights)
    task, ran = run(FINE_TUNED.format(crops=1, weights=weights, modality=modality))
    assert task.complete()
    assert ran.count("FitExtractor") == 1
    task, ran = run(FINE_TUNED.format(crops=10, weights=weights, modality=modality))
    assert task.complete()
    assert "FitExtractor" not in ran  # other crops retrain no network
    assert "Extract" in ran


def test_a_task_sees_its_share_of_gpus(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for visible, share, left in ((None, "2", "0,1"), ("3,5,7", "2", "3,5"), ("3", "2", "3"), ("", "1", "")):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        get_config().set("kinescope", "gpus", share)
        settings.limit_gpus()
        assert os.environ["CUDA_VISIBLE_DEVICES"] == left


def test_a_task_keeps_to_its_share_of_threads(run: Run) -> None:
    """Else two tasks of many threads each wait for one another: Harris3D took ten times as long."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with threadpool_limits(1):
        get_config().set("kinescope", "workers", "2")
        task, _ = run(SKELETONS)
        assert task.complete()
        assert torch.get_num_threads() == cv2.getNumThreads() == 2
        assert {pool["num_threads"] for pool in threadpool_info()} == {2}
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def test_frames_are_decoded_for_random_access(run: Run, tmp_path: Path) -> None:
    for label in ("a", "b"):
        for number in range(2):
            path = tmp_path / "files" / label / f"{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, np.full((5, 32, 48, 3), 40 * number, np.uint8), 25)
    task = tasks.Decode(dataset=load(tmp_path / "files"))
    assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
    row = Store(task.stage.path()).read("b/1")
    assert len(row.arrays["frames_offsets"]) == 6
    assert row.attributes["frames"] == 5


def load(root: Path) -> object:
    from data.folder import Folder

    return Folder(root=str(root))


def test_importing_tasks_loads_nothing_heavy() -> None:
    heavy = ["torch", "cv2", "av", "h5py", "sklearn", "matplotlib"]
    code = f"import sys, tasks; print([name for name in {heavy} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert answer.stdout.strip() == "[]"


def kinescope(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from tasks.commands.app import app; app()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_every_bundled_experiment_is_valid_and_listed() -> None:
    listed = kinescope("list").stdout
    for name in bundled():
        assert name in listed
        assert load_experiment(name).title in listed


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        (None, "unknown experiment 'stick-figure': did you mean 'stick-figures'?"),
        ("title = 3", "streams: Field required"),
        ('title = "x"\nseed = 1', "unknown field of Experiment 'seed': did you mean 'seeds'?"),
        ('title = "x"\n[dataset]\nname = "ucf"', "unknown data set 'ucf': did you mean 'ucf101'?"),
    ],
)
def test_a_wrong_recipe_is_one_sentence(recipe: str | None, sentence: str, tmp_path: Path) -> None:
    name = "stick-figure"
    if recipe is not None:
        (tmp_path / "mine.toml").write_text(recipe)
        name = str(tmp_path / "mine.toml")
    with pytest.raises(InputError, match=sentence.replace("?", r"\?").replace("[", r"\[")):
        load_experiment(name)
    answer = kinescope("run", name)
    assert answer.returncode == 2
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr


def configured(folder: Path) -> dict[str, str]:
    """An environment in which luigi's settings are the project's own, with a store of its own."""
    text = DEFAULTS.read_text().replace("store = store", f"store = {folder / 'store'}")
    (folder / "luigi.cfg").write_text(text)
    return {**os.environ, "LUIGI_CONFIG_PATH": str(folder / "luigi.cfg"), "OMP_NUM_THREADS": "1"}


def test_the_command_line_with_spawned_workers_and_again(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "files" / label).mkdir(parents=True)
        for number in range(6):
            (tmp_path / "files" / label / f"{number}.txt").write_text(text(walk(12, seed=number)))
    (tmp_path / "mine.toml").write_text(
        f'title = "x"\n[dataset]\nname = "folder"\nroot = "{tmp_path / "files"}"\n'
        '[[streams]]\nextractor = { name = "skeleton" }\nmodel = { name = "drnn", state = 4, fit = { epochs = 1 } }\n'
    )
    code = "from luigi.cmdline import luigi_run; luigi_run()"
    arguments = ["--module", "tasks", "Evaluate", "--experiment", str(tmp_path / "mine.toml"), "--workers", "2"]
    command = [sys.executable, "-c", code, *arguments]
    for expected in ("skeleton + drnn", "nothing had to be done"):
        answer = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT, env=configured(tmp_path)
        )
        assert answer.returncode == 0, answer.stderr
        assert expected in answer.stdout
        assert "report: " in answer.stdout


def test_settings_on_the_command_line_reach_the_workers(tmp_path: Path) -> None:
    for label in ("a", "b"):
        for number in range(3):
            path = tmp_path / "files" / label / f"{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, np.full((5, 32, 48, 3), 40 * number, np.uint8), 25)
    dataset = json.dumps({"name": "folder", "root": str(tmp_path / "files")})
    code = "from luigi.cmdline import luigi_run; luigi_run()"
    arguments = ["--dataset", dataset, "--kinescope-store", str(tmp_path / "elsewhere"), "--workers", "2"]
    command = [sys.executable, "-c", code, "--module", "tasks", "Decode", *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=configured(tmp_path))
    assert answer.returncode == 0, answer.stderr
    assert len(list((tmp_path / "elsewhere").glob("*/frames-*/index.h5"))) == 1
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("mistake", ["experiment", "root"])
def test_luigi_says_a_users_mistake_in_a_sentence(mistake: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'title = "x"\n[dataset]\nname = "folder"\nroot = "/nowhere"\n'
        '[[streams]]\nextractor = { name = "skeleton" }\nmodel = { name = "drnn" }\n'
    )
    name = {"experiment": "stick-figure", "root": str(tmp_path / "mine.toml")}[mistake]
    sentence = {"experiment": "did you mean 'stick-figures'", "root": "is no folder: /nowhere"}[mistake]
    code = "from luigi.cmdline import luigi_run; luigi_run()"
    command = [sys.executable, "-c", code, "--module", "tasks", "Evaluate", "--experiment", name]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=configured(tmp_path))
    assert answer.returncode == 30
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param("", marks=pytest.mark.torture, id="as it is"),
        pytest.param(
            "[dataset]\nsubjects = 5\nrepetitions = 1", marks=pytest.mark.slow, id="on a quarter of its videos"
        ),
    ],
)
def test_the_default_experiment_beats_chance_by_far(recipe: str, tmp_path: Path) -> None:
    code = "from luigi.cmdline import luigi_run; luigi_run()"
    command = [sys.executable, "-c", code, "--module", "tasks", "Evaluate"]
    if recipe:
        (tmp_path / "recipe.toml").write_text(f'like = "stick-figures"\ntitle = "less"\n{recipe}')
        command += ["--experiment", str(tmp_path / "recipe.toml")]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=configured(tmp_path))
    assert answer.returncode == 0, answer.stderr
    (path,) = (tmp_path / "store").glob("*/evaluate-*/metrics.json")
    rows = json.loads(path.read_text())["rows"]
    assert [row["name"] for row in rows] == ["3D-ConvNet + LSTM", "skeleton + dRNN-2", "fusion"]
    assert all(row["summary"]["accuracy"]["mean"] > 50 for row in rows)


def test_a_missing_root_ends_with_a_sentence_and_a_code(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'title = "x"\n[dataset]\nname = "folder"\nroot = "/nowhere"\n'
        '[[streams]]\nextractor = { name = "skeleton" }\nmodel = { name = "drnn" }\n'
    )
    answer = kinescope("run", str(tmp_path / "mine.toml"))
    assert answer.returncode != 0
    assert "the data root of 'folder' is no folder: /nowhere" in answer.stderr
    assert "Traceback" not in answer.stderr
