"""Experiments on folders of frames and flow, as TSN and denseflow leave them: as on the videos, and changes."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import luigi
import numpy as np
import pytest
from luigi.configuration import get_config
from typer.testing import CliRunner

import tasks
from data.base import Listing, Video
from extractors.base import Clip
from extractors.tvl1.config import TVL1
from pipeline.errors import InputError
from pipeline.files.digests import Digests, Entry
from pipeline.store import Store, provenance
from pipeline.video.decode import read
from tasks.commands.app import app
from tasks.commands.why import explain
from tasks.features import Extract
from tasks.index import library
from tasks.library import Library, changes
from tasks.rows import extraction_keys
from tests.support import picture_folders
from tests.support.contracts import VIDEO, extracted, squeezenet
from tests.support.films import encode

COUNT = 7
RECIPE = """
title = "small"
[dataset]
name = "folder"
root = "{root}"
{fps}
test_fraction = 0.5
[[streams]]
label = "rgb"
model = {{ name = "linear_svm" }}
[streams.extractor]
name = "tsn"
{common}
network = {{ backbone = "squeezenet1_0", weights = "{rgb}" }}
[[streams]]
label = "flow"
model = {{ name = "linear_svm" }}
[streams.extractor]
name = "tsn"
modality = "flow"
{common}
network = {{ backbone = "squeezenet1_0", weights = "{ten}" }}
flow = {{ {flow}, bound_px = 4, encoding = "png" }}
[fusion]
rule = "sum"
"""
FLOW = TVL1(size_px=(80, 60), warps=1, scales=2, bound_px=4, encoding="png")
COMPUTED = "size_px = [80, 60], warps = 1, scales = 2"
TAKEN = 'precomputed = "flow_{x,y}_*.png"'
COMMON = "snippets = 2\ncrops = 1\ncrop = 48\nshort_side = 56"
CLIPS = ("run/a", "run/b", "jump/a", "jump/b")


class Made:
    """The same four clips as video files without loss and as folders of pictures, and an experiment on either."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.films, self.pictures = folder / "films", folder / "pictures"
        self.fps, self.flow = "fps = 25", TAKEN
        weights = {channels: folder / f"{channels}" for channels in (3, 10)}
        for path in weights.values():
            path.mkdir()
        self.weights = {channels: squeezenet(path, channels) for channels, path in weights.items()}
        whole = read(VIDEO).frames
        for number, name in enumerate(CLIPS):
            (self.films / name).parent.mkdir(parents=True, exist_ok=True)
            film = encode(self.films / f"{name}.mkv", whole[10 * number : 10 * number + COUNT], "ffv1", pixels="bgr0")
            clip = picture_folders.of_video(self.pictures / name, Clip(film), "img_%05d.png")
            (row,) = extracted(FLOW, Clip(film))
            picture_folders.flow(clip.path, row, ("flow_x_%05d.png", "flow_y_%05d.png"))

    def experiment(self, root: Path | None = None, **more: str) -> tasks.Evaluate:
        path = self.folder / f"{(root or self.pictures).name}.toml"
        named = {"root": root or self.pictures, "fps": self.fps, "flow": self.flow, "common": COMMON, **more}
        path.write_text(RECIPE.format(**named, rgb=self.weights[3], ten=self.weights[10]))
        luigi.task_register.Register.clear_instance_cache()
        return tasks.Evaluate(experiment=str(path))

    def index(self) -> list[Extract]:
        """Index the folders of pictures, and return the extractions that read them: of frames, and of flow."""
        task = self.experiment()
        run(task.index)
        rgb, flow = (prediction.features[0] for prediction in task.runs.predictions(0, 0))
        source = flow.source()
        assert source is not None
        return [rgb, source]

    def keys(self) -> list[dict[str, str]]:
        """Keys of the rows of each of these, by video."""
        return [{id: keys.name for id, keys in stage.row_keys.keys.items()} for stage in self.index()]


def run(task: luigi.Task) -> None:
    assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
    assert task.complete()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    for key, value in {"store": tmp_path / "store", "device": "cpu", "shard_size": 8}.items():
        get_config().set("kinescope", key, str(value))
    yield Made(tmp_path)
    get_config().remove_section("kinescope")


def rows(task: tasks.Evaluate) -> list[Store]:
    return [Store(prediction.features[0].path()) for prediction in task.runs.predictions(0, 0)]


@pytest.mark.usefixtures("no_drawings")
def test_an_experiment_on_pictures_is_that_on_the_videos(made: Made) -> None:
    of_films = made.experiment(made.films, fps="", flow=COMPUTED)
    of_pictures = made.experiment()
    for task in (of_films, of_pictures):
        run(task)
    for theirs, ours in zip(rows(of_films), rows(of_pictures), strict=True):
        assert theirs.ids() == ours.ids() == sorted(CLIPS)
        for video in CLIPS:
            expected, found = theirs.read(video), ours.read(video)
            assert expected.arrays.keys() == found.arrays.keys()
            for name in expected.arrays.keys() - {"times", "ends"}:
                assert np.array_equal(expected[name], found[name]), name
            for name in ("times", "ends"):  # the container counts milliseconds
                assert np.allclose(expected[name], found[name], atol=1e-3)
    figures = [json.loads((task.folder() / "metrics.json").read_text()) for task in (of_films, of_pictures)]
    assert figures[0]["rows"] == figures[1]["rows"]
    page = (of_pictures.folder() / "report.html").read_text()
    assert "4 of 4 videos: flow that was not computed, but lay ready as pictures (precomputed): jump/a" in page
    assert "lay ready" not in (of_films.folder() / "report.html").read_text()
    source = of_pictures.runs.predictions(0, 0)[1].features[0].source()
    assert source is not None
    components = provenance(source.shard(0).path())["components"]
    assert components["precomputed"] is True
    assert components["bound_px"] == 4
    assert page.count("data:image/jpeg") >= 4
    luigi.task_register.Register.clear_instance_cache()
    assert list(explain(made.experiment())) == ["nothing would run"]
    asked = tasks.Classify(experiment=str(made.folder / "pictures.toml"), videos=(str(made.pictures / "run"),))
    run(asked)
    told = json.loads((asked.folder() / "predictions.json").read_text())
    assert set(told["videos"]) == {"a", "b"}


def _brighten(path: Path) -> None:
    picture_folders.save(path, np.full((120, 160, 3), 200, np.uint8))


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (lambda clip: _brighten(clip / "img_00003.png"), (True, True)),
        (lambda clip: picture_folders.save(clip / "img_00008.png", np.zeros((120, 160, 3), np.uint8)), (True, True)),
        (lambda clip: (clip / "img_00007.png").unlink(), (True, True)),
        (lambda clip: picture_folders.save(clip / "flow_y_00003.png", np.zeros((60, 80), np.uint8)), (False, True)),
        (lambda clip: (clip / "flow_x_00006.png").unlink(), (False, True)),
        (lambda clip: picture_folders.save(clip / "flow_y_00007.png", np.zeros((60, 80), np.uint8)), (False, True)),
        (lambda clip: (clip / "notes.txt").write_text("what lies beside them is nobody's"), (False, False)),
    ],
    ids=["frame", "more", "fewer", "flow", "less flow", "more flow", "nothing"],
)
def test_what_changed_is_computed_anew_and_only_that(
    change: Callable[[Path], Any], changed: tuple[bool, bool], made: Made
) -> None:
    before = made.keys()
    change(made.pictures / "run/b")
    assert made.experiment().index.complete() == (not any(changed))
    for old, new, anew in zip(before, made.keys(), changed, strict=True):
        assert {video for video in CLIPS if old[video] != new[video]} == ({"run/b"} if anew else set())


def test_another_rate_gives_other_rows_and_back_again(made: Made) -> None:
    before = made.keys()
    made.fps = "fps = 30"
    other = made.keys()
    assert all(old[video] != new[video] for old, new in zip(before, other, strict=True) for video in CLIPS)
    made.fps = "fps = 25"
    assert made.keys() == before


def test_rows_of_skeletons_beside_pictures_know_no_rate() -> None:
    files = {"video": Path("/data/a"), "skeleton": Path("/data/a.txt")}
    digests = Digests({str(path): Entry(1, 1, path.name) for path in files.values()})
    videos = [Video("a", files, (0,), fps=fps) for fps in (25.0, 30.0)]
    libraries = [Library(Listing(("run",), (video,)), digests, 1) for video in videos]
    for reads, same in (("video", False), ("skeleton", True)):
        one, other = (extraction_keys(indexed, reads, 1, "fingerprint", None).keys for indexed in libraries)
        assert (one == other) == same


def test_experiments_that_differ_in_the_rate_alone_have_an_index_each(made: Made) -> None:
    """Both are indexed before either is extracted, as in one call of luigi.build."""
    stages = {}
    for fps in (25, 30):
        made.fps = f"fps = {fps}"
        stages[fps] = made.index()[1]
    for fps, stage in stages.items():
        assert {video.fps for video in library(stage.dataset).listing.videos} == {fps}
    for fps, stage in stages.items():
        run(stage)
        row = Store(stage.path()).read("run/a")
        assert row.attributes["fps"] == fps
        assert row["times"][1] == pytest.approx(1 / fps)


def test_flow_that_moved_is_what_it_was(made: Made) -> None:
    before = made.keys()
    for name in CLIPS:
        for path in (made.pictures / name).glob("flow_*"):
            component, number = path.stem.split("_")[1:]
            path.rename((made.folder / f"{component}-{name.replace('/', '-')}-{number}").with_suffix(".png"))
    made.flow = f'precomputed = "{made.folder}/{{x,y}}-{{parent}}-{{clip}}-*.png"'
    assert made.keys() == before


def test_flow_that_is_not_there_is_said_at_once_and_of_one_clip_costs_that(made: Made) -> None:
    (made.pictures / "run/a/flow_x_00002.png").unlink()
    (rgb, flow) = made.index()
    run(flow)
    assert set(Store(flow.path()).failures()) == {"run/a"}
    assert "flow_x_00003.png follows a/flow_x_00001.png" in Store(flow.path()).failures()["run/a"].reason
    assert rgb.row_keys.fingerprint != flow.row_keys.fingerprint
    made.flow = 'precomputed = "tvl1_{x,y}_*.png"'
    task = made.experiment()
    assert not luigi.build([task.index], local_scheduler=True, workers=1, log_level="CRITICAL")
    with pytest.raises(ValueError, match=r"no picture tvl1_x_\*.png in"):
        task.index.survey()


def test_why_tells_of_a_changed_picture_of_flow(made: Made) -> None:
    made.index()
    picture_folders.save(made.pictures / "run/b/flow_y_00003.png", np.zeros((60, 80), np.uint8))
    lines = list(explain(made.experiment()))
    assert lines[0] == f"would run: Index {made.experiment().recipe.dataset.store_name}: video changed: run/b"


def test_flow_of_another_experiment_is_nobodys_business(made: Made) -> None:
    before = made.keys()
    task = made.experiment()
    alone = tasks.Index(dataset=task.index.dataset)
    flow = made.pictures / "run/b/flow_y_00003.png"
    picture_folders.save(flow, np.zeros((60, 80), np.uint8))
    assert alone.complete()
    assert not task.index.complete()
    _brighten(made.pictures / "run/a/img_00003.png")
    run(alone)  # what is known of the flow stays as it was, so that its change is not lost
    assert not task.index.complete()
    for old, new, videos in zip(before, made.keys(), ({"run/a"}, {"run/a", "run/b"}), strict=True):
        assert {video for video in CLIPS if old[video] != new[video]} == videos
    flow.unlink()
    run(tasks.Index(dataset=alone.dataset, verify=True))  # all is hashed, flow as well
    assert task.index.complete()


def test_flow_of_a_clip_that_is_new_is_not_indexed_yet(made: Made) -> None:
    made.index()
    shutil.copytree(made.pictures / "run/b", made.pictures / "run/c")
    run(tasks.Index(dataset=made.experiment().index.dataset))
    task = made.experiment()
    rgb, flow = (prediction.features[0] for prediction in task.runs.predictions(0, 0))
    assert "run/c" in rgb.row_keys.keys
    with pytest.raises(InputError, match=r"flow_\{x,y\}_\*.png of run/c are not indexed yet; run Evaluate"):
        _ = flow.row_keys
    assert "run/c" in made.keys()[1]


def test_flow_that_is_indexed_anew_changes_no_video(made: Made) -> None:
    dataset = made.experiment().index.dataset
    run(tasks.Index(dataset=dataset))
    alone, both = library(dataset), made.experiment().index.survey()
    assert list(changes(alone, both)) == ["pictures of flow are indexed anew: flow_{x,y}_*.png"]
    assert list(changes(both, alone)) == ["pictures of flow are there no more: flow_{x,y}_*.png"]
    picture_folders.save(made.pictures / "run/b/flow_y_00003.png", np.zeros((60, 80), np.uint8))
    assert list(changes(both, made.experiment().index.survey())) == ["video changed: run/b"]


def test_a_picture_that_does_not_decode_costs_its_clip(made: Made) -> None:
    (made.pictures / "jump/a/img_00004.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (rgb, _) = made.index()
    run(rgb)
    failure = Store(rgb.path()).failures()["jump/a"]
    assert "img_00004.png does not decode" in failure.reason
    assert failure.frames_decoded == 3


def test_features_alone_need_the_rate(made: Made, tmp_path: Path) -> None:
    named = {"extractor": FLOW.model_copy(update={"encoding": "raw"}), "videos": (str(made.pictures / "run"),)}
    task = tasks.Features(**named, out=str(tmp_path / "out"), fps=25.0)
    run(task)
    assert Store(tmp_path / "out" / "index.h5").ids() == ["a", "b"]
    luigi.task_register.Register.clear_instance_cache()
    with pytest.raises(ValueError, match="pictures are frames of a video where fps is known"):
        _ = tasks.Features(**named, out=str(tmp_path / "other")).given


@pytest.mark.parametrize("fps", ["-25", "0", "nan"])
def test_a_rate_that_is_none_is_a_sentence(fps: str, made: Made, tmp_path: Path) -> None:
    sentence = f"fps = {float(fps)}; the number of pictures shown in a second is needed, from 0.001 to 10000"
    videos, out = str(made.pictures / "run"), str(tmp_path / "out")
    with pytest.raises(InputError, match=sentence):
        _ = tasks.Features(extractor=FLOW, videos=(videos,), out=out, fps=float(fps)).given
    answer = CliRunner().invoke(app, ["extract", "frames", videos, "--out", out, "--fps", fps])
    assert answer.exit_code == 2
    assert sentence in " ".join(answer.output.split())


def test_the_form_of_the_index_says_what_flow_lies_ready(made: Made) -> None:
    (rgb, _) = made.index()
    told = json.loads((rgb.folder.parent / "index.json").read_text())
    assert set(told["flow"]) == {"flow_{x,y}_*.png"}
    assert set(told["flow"]["flow_{x,y}_*.png"]) == {str(made.pictures / name) for name in CLIPS}
    assert {video["fps"] for video in told["videos"]} == {25}
