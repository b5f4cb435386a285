"""Temporal difference networks on real runs: what is trained from what, what is told, and that kills cost nothing."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import luigi
import numpy as np
import pytest
from luigi.configuration import get_config

import tasks
from pipeline.scoring.scores import Scores
from pipeline.store import Store
from pipeline.store.inspection import provenance
from pipeline.training.weights_file import load_curves, load_state
from tasks.features import FitExtractor
from tasks.reporting.results import gather, illustrate
from tests.support.contracts import squeezenet
from tests.support.equality import same_runs
from tests.support.recipes import SMALL
from tests.support.runs import Runs, until

FIT = 'optimiser = "adam", lr = 0.0005, batch = 6, epochs = {epochs}, jitter_scales = [1], partial_bn = true'
RGB = """
title = "{title}"
seeds = {seeds}
{dataset}
[[streams]]
label = "RGB"
model = {{ name = "consensus" }}
[streams.extractor]
name = "tdn"
clips = {clips}
crops = 1
short_side = 52
crop = 48
[streams.extractor.network]
backbone = "squeezenet1_0"
weights = "{weights}"
fit = {{ {fit}, segments = 2 }}
joint = {{ epochs = {joint} }}
"""
FLOW = """
[[streams]]
label = "flow"
model = {{ name = "consensus" }}
[streams.extractor]
name = "tdn"
modality = "flow"
clips = 2
crops = 1
short_side = 52
crop = 48
flow = {{ size_px = [70, 52], stride_frames = 4, warps = 1 }}
[streams.extractor.network]
backbone = "squeezenet1_0"
weights = "{weights}"
fit = {{ {fit}, segments = 2 }}
joint = {{ epochs = 1 }}
[streams.extractor.network.start]
name = "tsn"
modality = "flow"
short_side = 52
crop = 48
flow = {{ size_px = [70, 52], stride_frames = 4, warps = 1 }}
network = {{ backbone = "squeezenet1_0", weights = "{weights}", fit = {{ {fit} }} }}
[fusion]
rule = "l1"
weights = [1, 1.5]
"""
Run = Callable[..., tuple[tasks.Evaluate, list[str]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all, with weights at random and a store: what earlier runs made is there."""
    folder = tmp_path_factory.mktemp("tdn")
    squeezenet(folder)
    return folder


def recipe(weights: Path, text: str, **given: object) -> str:
    fields = {"title": "tdn", "seeds": [0], "clips": 3, "joint": 1, "epochs": 1, "dataset": SMALL} | given
    fields["fit"] = FIT.format(epochs=fields["epochs"])
    return text.format(weights=weights, **fields)


@pytest.fixture
def run(folder: Path) -> Iterator[Run]:
    """Runs a recipe; returns its task, and the families that ran."""
    for key, value in {"store": folder / "store", "device": "cpu"}.items():
        get_config().set("kinescope", key, str(value))
    ran: list[str] = []

    @luigi.Task.event_handler(luigi.Event.START)
    def note(task: luigi.Task) -> None:
        ran.append(task.task_family)

    def evaluate(text: str = RGB, **given: object) -> tuple[tasks.Evaluate, list[str]]:
        path = folder / f"{given.get('title', 'recipe')}.toml"
        path.write_text(recipe(folder / "squeezenet.safetensors", text, **given))
        ran.clear()
        luigi.task_register.Register.clear_instance_cache()
        task = tasks.Evaluate(experiment=str(path))
        assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
        return task, [family for family in ran if family != "Evaluate"]

    yield evaluate
    luigi.Task.remove_event_handler(luigi.Event.START, note)
    get_config().remove_section("kinescope")


def test_two_streams_from_files_to_report(run: Run) -> None:
    task, ran = run(RGB + FLOW)
    assert ran.count("FitExtractor") == 3  # TDN of RGB, TSN of flow, TDN of flow
    assert ran.count("Train") == 0
    rgb, flow = task.runs.predictions(0, 0)
    (trained,) = flow.features[0].fitting().values()
    (start,) = trained.start
    assert start.extractor.name == "tsn"
    assert provenance(trained.path())["upstream"]["tsn-fit"] == start.fingerprint
    assert len(load_curves(trained.path())) == 2
    before, after = load_state(start.path()), load_state(trained.path())
    first = "backbone.features.0.weight"
    assert before[first].shape == after[f"image.{first}"].shape == (96, 10, 7, 7)
    assert float((before[first] - after[f"image.{first}"]).abs().max()) < 0.02  # it went on from there
    assert not list(trained.path().parent.glob("checkpoint*"))

    rows = Store(rgb.features[0].path())
    arrays = rows.read(rows.ids()[0]).arrays
    np.testing.assert_allclose(arrays["scores"], (arrays["image_scores"] + arrays["difference_scores"]) / 2, atol=1e-6)
    (fused,) = task.runs.results(0, 0)
    each = [Scores.load(stage.path()).values for stage in (rgb, flow)]
    expected = sum(w * v / np.abs(v).sum(1, keepdims=True) for w, v in zip((1, 1.5), each, strict=True))
    np.testing.assert_allclose(Scores.load(fused.path()).values, expected)

    result = gather(task.runs, task.fingerprint)
    pictures = illustrate(task.runs, result)
    assert all(len(curves) == 2 for curves in result.runs[0].curves)
    extractions = [rgb.features[0], flow.features[0].source(), flow.features[0]]  # what is computed from comes first
    assert [each.extractor for each in result.times] == [stage.extractor.title for stage in extractions if stage]
    assert set(pictures.activations) <= {"RGB", "flow"}
    for shown in (each for videos in pictures.activations.values() for each in videos):
        assert shown.after > shown.before
        assert (len(shown.images), len(shown.changes), len(shown.frames)) == (2, 1, 2)
        assert all(picture.startswith("<img") for picture in (*shown.images, *shown.changes))
    page = (task.folder() / "report.html").read_text()
    assert ('id="activations"' in page) == bool(pictures.activations)


def test_what_changes_and_only_that_is_trained_again(run: Run) -> None:
    run(RGB + FLOW)
    assert run(RGB + FLOW)[1] == []
    _, ran = run(RGB + FLOW, clips=2)
    assert "FitExtractor" not in ran
    assert ran.count("Extract") == 1
    _, ran = run(RGB + FLOW, joint=2)
    assert ran.count("FitExtractor") == 1


def test_each_seed_has_networks_of_its_own(run: Run) -> None:
    task, _ = run(RGB + FLOW)
    several, ran = run(RGB + FLOW, seeds=[0, 1])
    assert ran.count("FitExtractor") == 3  # those of seed 0 are there
    assert [stage.path() for stage in several.runs.predictions(0, 0)] == [
        stage.path() for stage in task.runs.predictions(0, 0)
    ]
    networks = {
        seed: {
            fit.path() for stage in several.runs.predictions(0, seed) for fit in stage.features[0].fitting().values()
        }
        for seed in (0, 1)
    }
    assert not networks[0] & networks[1]
    (flow,) = several.runs.predictions(0, 1)[1].features[0].fitting().values()
    assert isinstance(flow, FitExtractor)
    assert flow.start[0].network.seed == flow.network.seed == 1
    told = json.loads((several.folder() / "metrics.json").read_text())
    assert told["rows"][-1]["summary"]["accuracy"]["runs"] == 2


def test_experiments_gain_over_the_first(run: Run, folder: Path) -> None:
    one, _ = run(title="one")
    other, _ = run(title="other", joint=3)
    names = [one.experiment, other.experiment]
    task = tasks.EvaluateAll(experiments=names)
    assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
    page = Path(task.output().path).read_text()
    assert 'id="gains"' in page
    assert "other over one" in page
    shares = [
        json.loads((each.folder() / "metrics.json").read_text())["rows"][-1]["class_accuracy"] for each in (one, other)
    ]
    gains = [later - first for first, later in zip(*shares, strict=True)]
    up, down = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    assert f"{up} class{' gains' if up == 1 else 'es gain'}, {down} lose" in page


@pytest.mark.slow
def test_killed_in_either_phase_it_comes_to_the_same(folder: Path, tmp_path: Path) -> None:
    text = recipe(folder / "squeezenet.safetensors", RGB, epochs=6, joint=6)
    finished, runs = (Runs(tmp_path / name, text) for name in ("finished", "killed"))
    finished.to_the_end()
    for checkpoint in ("checkpoint-phase-1.pt", "checkpoint.pt"):
        process = runs.start()
        until(lambda name=checkpoint: list(runs.store.glob(f"*/tdn-fit-*/{name}")))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert not list(runs.store.glob("*/tdn-fit-*/network.safetensors"))
    runs.to_the_end()
    same_runs(runs, finished)
    (index,) = runs.store.glob("*/tdn-*/index.h5")
    assert provenance(index)["components"]["name"] == "tdn"


FCVID = """
title = "videos with several labels"
metric = "mAP"
[dataset]
name = "fcvid"
[[streams]]
model = {{ name = "consensus" }}
[streams.extractor]
name = "{network}"
size_px = [52, 52]
every_s = 0.2
crop = 48
crops = 1
{more}
[streams.extractor.network]
backbone = "squeezenet1_0"
weights = "{weights}"
fit = {{ epochs = 2, lr = 0.001, batch = 4, segments = 2, partial_bn = false, corner_crop = false }}
{joint}
"""


@pytest.fixture
def labelled(folder: Path) -> Path:
    """Ten short films of noise in the form of FCVID, of three categories; half of them of two."""
    from pipeline.video.encode import write

    root = folder / "fcvid"
    (root / "videos").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    names, marks = [], []
    for number in range(10):
        frames = rng.integers(0, 256, (22, 54, 72, 3), np.uint8)
        write(root / "videos" / f"film{number}.mp4", list(frames), 25)
        names.append(f"film{number}.flv {'test' if number % 3 == 0 else 'train'}")
        marks.append(" ".join(str(int(number % 3 == label or (number % 2 and label == 0))) for label in range(3)))
    (root / "FCVID_VideoName_TrainTestSplit.txt").write_text("\n".join(names))
    (root / "FCVID_Label.txt").write_text("\n".join(marks))
    return root


@pytest.mark.parametrize(
    ("network", "more", "joint"), [("tsn", "snippets = 3", ""), ("tdn", "clips = 3", "joint = { epochs = 1 }")]
)
def test_videos_with_several_labels_from_lists_to_report(
    run: Run, folder: Path, labelled: Path, network: str, more: str, joint: str
) -> None:
    get_config().set("kinescope", "data_roots", json.dumps({"fcvid": str(labelled)}))
    text = FCVID.format(network=network, more=more, joint=joint, weights=folder / "squeezenet.safetensors")
    (folder / "fcvid.toml").write_text(text)
    luigi.task_register.Register.clear_instance_cache()
    task = tasks.Evaluate(experiment=str(folder / "fcvid.toml"))
    assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
    told = json.loads((task.folder() / "metrics.json").read_text())
    (row,) = told["rows"]
    assert 0 < row["summary"]["mAP"]["mean"] <= 100
    assert len(row["average_precision"]) == 3
    assert "10 videos of 3 categories are used; 91,223 of 239 were published." in told["notes"]
    assert (task.folder() / "report.html").exists()
    (stage,) = task.runs.predictions(0, 0)[0].features
    rows = Store(stage.path())
    starts = rows.read("film0").arrays["start_frames"]
    assert set(starts.tolist()) <= {0, 5, 10, 15, 20}
    assert rows.read("film0").arrays["scores"].shape == (3, 3)
    assert Store(stage.fitting()["split"].material.path()).read("film1").arrays["start_frames"].tolist() == [
        0,
        5,
        10,
        15,
        20,
    ]
