"""What changed, and only that, is computed again: on real runs of small data sets."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import luigi
import numpy as np
import pytest
from luigi.configuration import get_config
from safetensors.numpy import load, load_file

import tasks
from extractors.hog3d.config import HOG3D
from extractors.skeleton.config import Skeleton
from extractors.trajectories.fisher_config import IDT
from pipeline.fingerprint import short_digest
from pipeline.results.report_files import REPORT
from pipeline.store import Store
from sequence_models.drnn import DRNN
from sequence_models.linear_svm import LinearSVM
from tasks.features import FitExtractor
from tests.support.equality import same_rows
from tests.support.recipes import write_skeleton

RECIPE = """
title = "small"
[dataset]
name = "folder"
root = "{root}"
protocol = "split_column"
[[streams]]
extractor = {{ name = "skeleton", {extractor} }}
model = {{ name = "drnn", order = {order}, state = 4, fit = {{ epochs = 2, batch = 4 }} }}
"""


class Runs:
    """An experiment on a folder of skeleton files that can be changed and run again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "files"
        self.ran: list[str] = []
        self.extracted: list[str] = []
        self.extractor, self.order = 'variant = "472"', 1
        for number in range(12):
            self.add(f"video{number:02d}", "ab"[number % 2], "train" if number < 8 else "test", seed=number)

    def add(self, name: str, label: str, half: str, seed: int, frames: str = ",") -> None:
        """Write a skeleton file, and a line of the manifest."""
        self.write(name, seed)
        manifest = self.root / "manifest.csv"
        if not manifest.exists():
            manifest.write_text("path,label,split,start_frame,end_frame\n")
        with manifest.open("a") as file:
            file.write(f"{name}.txt,{label},{half},{frames}\n")

    def write(self, name: str, seed: int) -> None:
        write_skeleton(self.root / f"{name}.txt", seed)

    def experiment(self) -> tasks.Evaluate:
        path = self.folder / "experiment.toml"
        path.write_text(RECIPE.format(root=self.root, extractor=self.extractor, order=self.order))
        luigi.task_register.Register.clear_instance_cache()
        return tasks.Evaluate(experiment=str(path))

    def __call__(self) -> list[str]:
        """Compute the scores, and say which tasks ran."""
        self.ran.clear()
        self.extracted.clear()
        experiment = self.experiment()
        self._build(tasks.Index(dataset=experiment.recipe.dataset.without_protocol()))
        self._build(*experiment.runs.all_results())
        return sorted(set(self.ran))

    def report(self) -> list[str]:
        """Run to the report, which takes as long again, and say which other tasks ran."""
        self.ran.clear()
        self.extracted.clear()
        self._build(self.experiment())
        return sorted(set(self.ran) - {"Evaluate"})

    def _build(self, *wanted: luigi.Task) -> None:
        assert luigi.build(wanted, local_scheduler=True, workers=1, log_level="ERROR")
        assert all(task.complete() for task in wanted)

    def store(self) -> Store:
        """The features of the experiment as it is now."""
        return Store(self.experiment().runs.predictions(0, 0)[0].features[0].path())


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    made = Runs(tmp_path)
    for key, value in {"store": tmp_path / "store", "shard_size": 2, "device": "cpu"}.items():
        get_config().set("kinescope", key, str(value))
    build = Skeleton.build

    def counting(self: Skeleton, *args: object) -> Callable[..., object]:
        extract = build(self, *args)  # type: ignore[arg-type]
        return lambda clip: (made.extracted.append(clip.path.stem), extract(clip))[1]

    monkeypatch.setattr(Skeleton, "build", counting)

    @luigi.Task.event_handler(luigi.Event.START)
    def note(task: luigi.Task) -> None:
        made.ran.append(task.task_family)

    yield made
    luigi.Task.remove_event_handler(luigi.Event.START, note)
    get_config().remove_section("kinescope")


EVERYTHING = ["Extract", "ExtractShard", "Index", "Predict", "Train"]


def test_an_untouched_rerun_runs_nothing_and_opens_no_file(runs: Runs) -> None:
    assert runs.report() == EVERYTHING
    assert len(runs.extracted) == 12
    before = {path: path.stat().st_mtime_ns for path in (runs.folder / "store").rglob("*")}
    assert runs.report() == []
    assert runs.extracted == []
    assert {path: path.stat().st_mtime_ns for path in (runs.folder / "store").rglob("*")} == before


def test_a_changed_field_reruns_exactly_its_downstream(runs: Runs) -> None:
    runs()
    runs.order = 2
    assert runs() == ["Predict", "Train"]
    runs.extractor = 'variant = "583"'
    assert runs() == ["Extract", "ExtractShard", "Predict", "Train"]


def test_switching_back_is_instant(runs: Runs) -> None:
    runs()
    runs.order, runs.extractor = 2, 'variant = "583"'
    runs()
    runs.order, runs.extractor = 1, 'variant = "472"'
    assert runs() == []


def test_a_changed_speed_setting_reruns_nothing(runs: Runs) -> None:
    runs()
    for key, value in {"shard_size": "5", "workers": "2"}.items():
        get_config().set("kinescope", key, value)
    assert runs() == []


def test_one_changed_video_recomputes_one_row(runs: Runs) -> None:
    runs.report()
    rows = {video: runs.store().read(video).arrays["features"] for video in runs.store().ids()}
    runs.write("video03", seed=99)
    runs.report()
    assert runs.extracted == ["video03"]
    assert runs.ran.count("ExtractShard") == 1
    changed = [video for video in rows if not np.array_equal(rows[video], runs.store().read(video).arrays["features"])]
    assert [video.rpartition("/")[2] for video in changed] == ["video03"]
    runs.write("video03", seed=3)
    assert runs.report() == ["Extract", "Index"]  # of Extract the link index.h5 alone
    assert runs.extracted == []


def test_a_changed_test_video_retrains_nothing(runs: Runs) -> None:
    runs()
    runs.write("video10", seed=99)
    assert runs() == ["Extract", "ExtractShard", "Index", "Predict"]


@pytest.mark.parametrize("half", ["train", "test"])
def test_a_renamed_video_keeps_its_row_and_what_was_trained_on_it(runs: Runs, half: str) -> None:
    runs.report()
    before = runs.experiment().runs.predictions(0, 0)[0].path()
    old, new = ("video03", "video03x") if half == "train" else ("video10", "video10x")
    (runs.root / f"{old}.txt").rename(runs.root / f"{new}.txt")
    manifest = runs.root / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(f"{old}.txt", f"{new}.txt"))
    ran = runs.report()
    assert "Train" not in ran
    assert "Predict" in ran  # of two classes, a threshold is chosen by scores of the training videos
    assert (runs.experiment().runs.predictions(0, 0)[0].path() != before) == (half == "test")
    assert new in "".join(runs.store().ids())
    predictions = (runs.experiment().folder() / "predictions.csv").read_text()
    assert (new in predictions) == (half == "test")
    assert f"{old}," not in predictions


def test_a_missing_index_is_made_again(runs: Runs) -> None:
    runs.report()
    runs.store().index.unlink()
    shutil.rmtree(runs.experiment().folder())
    assert runs.report() == ["Extract"]


def test_a_damaged_network_is_trained_again(runs: Runs) -> None:
    runs()
    (training,) = runs.experiment().runs.predictions(0, 0)[0].training()
    training.path().write_bytes(training.path().read_bytes()[:-9])
    shutil.rmtree(runs.experiment().runs.predictions(0, 0)[0].path().parent)
    assert runs() == ["Predict", "Train"]


def flip(path: Path) -> None:
    """Turn over one bit of the last number."""
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [flip, lambda path: os.truncate(path, path.stat().st_size - 9)])
def test_a_network_found_damaged_only_by_the_report_is_trained_again(
    runs: Runs, damage: Callable[[Path], None]
) -> None:
    runs.report()
    (training,) = runs.experiment().runs.predictions(0, 0)[0].training()
    whole = training.path().read_bytes()
    damage(training.path())
    shutil.rmtree(runs.experiment().folder())
    assert runs.report() == ["Train"]
    assert load_file(training.path()).keys() == load(whole).keys()
    assert all(np.array_equal(value, load(whole)[name]) for name, value in load_file(training.path()).items())
    assert training.path().with_name("network.safetensors.damaged-1").exists()


def _figures(file: Path) -> object:
    """Content of a report's file; of the figures, without the digests of the page, which tells when it was made."""
    if file.suffix != ".json":
        return file.read_text()
    told = json.loads(file.read_text())
    return {key: value for key, value in told.items() if key not in ("provenance", "blake2b")}


@pytest.mark.parametrize("damage", [None, 0, 100], ids=["missing", "empty", "truncated"])
def test_a_report_that_is_not_whole_is_written_again(runs: Runs, damage: int | None) -> None:
    runs.report()
    files = [runs.experiment().folder() / name for name in REPORT]
    figures = [_figures(file) for file in files]
    for file in files:
        content = file.read_bytes()
        _damage(file, damage)
        assert not runs.experiment().complete(), file
        file.write_bytes(content)
        assert runs.experiment().complete(), file
    for file in files:
        _damage(file, damage)
    assert runs.report() == []
    assert "Evaluate" in runs.ran
    again = [_figures(file) for file in files]
    assert again[1:] == figures[1:]  # the page tells when it was made


def _damage(file: Path, length: int | None) -> None:
    if length is None:
        file.unlink()
    else:
        os.truncate(file, length)


def test_several_experiments_make_one_table_and_share_their_features(runs: Runs) -> None:
    runs()
    first = runs.folder / "first.toml"
    first.write_text((runs.folder / "experiment.toml").read_text().replace('"small"', '"small | first"'))
    runs.order = 2
    names = [str(first), runs.experiment().experiment]
    runs.extracted.clear()
    everything = tasks.EvaluateAll(experiments=names)
    assert luigi.build([everything], local_scheduler=True, workers=1, log_level="ERROR")
    assert everything.complete()
    assert runs.extracted == []
    lines = everything.summary().splitlines()
    assert sum(line.startswith(r"| small \| first: skeleton + drnn |") for line in lines) == 1
    assert sum(line.startswith("| small: skeleton + drnn |") for line in lines) == 1
    assert lines[-1].startswith("table: ")
    for line in lines[-2:]:
        os.truncate(line.partition(": ")[2], 0)
        assert not everything.complete()
        assert luigi.build([everything], local_scheduler=True, workers=1, log_level="ERROR")
        assert everything.complete()
    assert everything.summary().splitlines() == lines


def test_only_what_a_gpu_makes_faster_waits_for_one(runs: Runs) -> None:
    runs()
    (prediction,) = runs.experiment().runs.predictions(0, 0)
    (shard, *_), (training,) = prediction.features[0].requires(), prediction.training()
    assert "gpu" not in training.resources
    get_config().set("kinescope", "device", "cuda")
    large = training.stream.model_copy(update={"model": DRNN(state=300)})
    training, prediction = training.clone(stream=large), prediction.clone(stream=large)
    assert training.resources["gpu"] == prediction.resources["gpu"] == 1
    for model in (DRNN(state=4), LinearSVM()):
        stream = training.stream.model_copy(update={"model": model})
        for stage in (training.clone(stream=stream), prediction.clone(stream=stream)):
            assert "gpu" not in stage.resources
            assert stage.device() == "cpu"  # whatever is set: it is not looked for
    assert "gpu" not in shard.resources
    for extractor, fitted in ((HOG3D(), False), (IDT(), True)):
        fit = FitExtractor(dataset=training.dataset, extractor=extractor, fold=0)
        assert fit.uses_gpu == fitted  # a PCA is the processor's, a mixture of Gaussians is not


def test_shards_of_one_stage_may_run_together_and_outputs_are_made_once(runs: Runs) -> None:
    runs()
    extraction = runs.experiment().runs.predictions(0, 0)[0].features[0]
    needed = [stage.resources for stage in extraction.requires()]
    assert len({name for resources in needed for name in resources}) == len(needed) > 1


def test_a_touched_video_is_hashed_and_nothing_else(runs: Runs) -> None:
    runs()
    os.utime(runs.root / "video05.txt", ns=(1, 1))
    assert runs() == ["Index"]


def test_verification_finds_what_size_and_time_hide(runs: Runs) -> None:
    runs()
    path = runs.root / "video05.txt"
    before, content = path.stat(), path.read_text()
    path.write_text(content.replace("1.000000", "0.900000", 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert runs() == []
    verify = tasks.Index(dataset=runs.experiment().recipe.dataset.without_protocol(), verify=True)
    assert luigi.build([verify], local_scheduler=True, workers=1, log_level="ERROR")
    runs()
    assert runs.extracted == ["video05"]


def test_an_inserted_video_moves_no_other(runs: Runs) -> None:
    runs()
    shards = {path.name.split("-")[0]: path for path in runs.store().index.parent.glob("0*.h5")}
    runs.add("video005", "a", "train", seed=50)
    runs()
    assert runs.extracted == ["video005"]
    assert runs.ran.count("ExtractShard") == 1
    assert all(path.exists() for path in shards.values())


def outputs(runs: Runs) -> list[Path]:
    """The network and the scores of the experiment as it is now."""
    (prediction,) = runs.experiment().runs.predictions(0, 0)
    return [prediction.path(), *(training.path() for training in prediction.training())]


def test_a_moved_data_root_recomputes_nothing_but_digests(runs: Runs) -> None:
    runs()
    rows, before = runs.store().read("video00").attributes, outputs(runs)
    moved = runs.folder / "moved"
    shutil.move(runs.root, moved)
    runs.root = moved
    runs()
    assert runs.extracted == []
    assert runs.store().read("video00").attributes == rows
    assert all(map(Path.samefile, outputs(runs), before))
    assert set(outputs(runs)).isdisjoint(before)


def test_a_pilot_and_the_whole_set_share_rows(runs: Runs) -> None:
    whole, pilot = runs.root, runs.folder / "pilot"
    shutil.copytree(whole, pilot)
    lines = (whole / "manifest.csv").read_text().splitlines(keepends=True)
    (pilot / "manifest.csv").write_text("".join([lines[0], *lines[1:5], *lines[9:11]]))
    runs.root = pilot
    runs()
    assert len(runs.extracted) == 6
    runs.root = whole
    runs()
    assert len(runs.extracted) == 6
    shutil.rmtree(runs.folder / "store" / ".keys")
    for network in (runs.folder / "store").glob("*/drnn-*/network.safetensors"):
        network.write_bytes(b"damaged")  # what cannot be read is not taken over
    runs.root = shutil.move(whole, runs.folder / "moved")
    runs()
    assert runs.extracted == []
    everything = [runs.store().read(video) for video in runs.store().ids()]
    shutil.rmtree(runs.folder / "store")
    runs()
    assert same_rows(everything, [runs.store().read(video) for video in runs.store().ids()])


def test_the_folder_of_an_earlier_version_is_taken_over_once(runs: Runs) -> None:
    runs()
    dataset = runs.experiment().recipe.dataset
    now, former = runs.store().index.parent.parent, runs.folder / "store" / dataset.former_store_name
    assert now.name.removeprefix("folder-files-") == short_digest([str(runs.root)])
    now.rename(former)
    assert runs() == ["Index"]
    assert not former.exists()
    assert now.exists()
    shutil.copytree(now, former)
    assert runs() == []
    assert former.exists()


def test_two_segments_of_one_file_keep_their_own_rows(runs: Runs) -> None:
    with (runs.root / "manifest.csv").open("a") as file:
        file.write("video00.txt,a,train,0,6\nvideo00.txt,b,train,6,16\n")
    runs()
    of_file = [video for video in runs.store().ids() if "video00" in video]
    rows = [runs.store().read(video) for video in of_file]
    assert sorted(len(row.arrays["features"]) for row in rows) == [6, 10, 16]
    assert len({row.attributes["key"] for row in rows}) == 3


def test_a_bumped_version_recomputes(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs()
    monkeypatch.setattr(Skeleton, "version", Skeleton.version + 1)
    assert runs() == ["Extract", "ExtractShard", "Predict", "Train"]


@pytest.mark.parametrize("damage", ["truncated", "altered", "deleted"])
def test_a_damaged_shard_is_set_aside_and_made_again(runs: Runs, damage: str) -> None:
    runs()
    index = runs.store().index
    shard = next(path for path in sorted(index.parent.glob("0*.h5")) if "video" in str(Store(path).ids()))
    content = shard.read_bytes()
    features = Store(shard).read(Store(shard).ids()[0]).arrays["features"].tobytes()
    if damage == "deleted":
        shard.unlink()
    else:
        shard.write_bytes(content[:-50] if damage == "truncated" else content.replace(features[:64], bytes(64)))
    runs.order = 3
    runs()
    assert runs.ran.count("ExtractShard") == 1
    assert shard.with_name(f"{shard.name}.damaged-1").exists() == (damage != "deleted")
    assert Store(shard).read(Store(shard).ids()[0]).arrays["features"].tobytes() == features
    assert all(len(Store(shard).read(video).arrays["features"]) == 16 for video in Store(shard).ids())
