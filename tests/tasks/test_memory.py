"""Fingerprints are computed once for as long as what they are computed from stands, and never kept any longer."""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import luigi
import pytest
from luigi.configuration import get_config

import tasks
from data.msr_action3d import MsrAction3D
from extractors.skeleton.config import Skeleton
from extractors.tsn.config import TSN
from extractors.weights.sources import SOURCES
from pipeline.errors import InputError
from tasks.features import Extract
from tasks.memory import observed, remembered
from tasks.snapshot import present, snapshot
from tasks.training import Train
from tests.support.recipes import write_skeleton

RECIPE = """
title = "fingerprints"
[dataset]
name = "folder"
protocol = "split_column"
root = "{root}"
[[streams]]
label = "fitted"
model = {{ name = "consensus" }}
[streams.extractor]
name = "tsn"
network = {{ backbone = "squeezenet1_0", weights = "{weights}", fit = {{ epochs = 1 }} }}
[[streams]]
label = "reduced"
extractor = {{ name = "tsn", network = {{ backbone = "squeezenet1_0", weights = "{weights}" }} }}
reducer = {{ dims = 3 }}
model = {{ name = "drnn" }}
[fusion]
rule = "sum"
"""


class Sum:
    """A sum of readings, and how often it was computed."""

    def __init__(self) -> None:
        self.readings: dict[str, int | None] = {"a": 1, "b": 2}
        self.computed, self.read = 0, 0

    def reading(self, name: str) -> int:
        self.read += 1
        value = self.readings[name]
        if value is None:
            raise InputError(f"no {name}")
        return value

    @property
    @remembered
    def total(self) -> int:
        self.computed += 1
        return observed("a", lambda: self.reading("a")) + observed("b", lambda: self.reading("b"))


class Doubled(Sum):
    """Twice that sum, by the name that it overrides."""

    @property
    @remembered
    def total(self) -> int:
        return 2 * super().total


@pytest.mark.parametrize(("kind", "times"), [(Sum, 1), (Doubled, 2)])
def test_a_result_stands_until_something_that_it_read_differs(kind: type[Sum], times: int) -> None:
    sums = kind()
    assert [sums.total for _ in range(3)] == [3 * times] * 3
    assert sums.computed == 1
    sums.readings["b"] = 5
    assert [sums.total for _ in range(3)] == [6 * times] * 3
    assert sums.computed == 2
    sums.readings |= {"a": 4, "b": 2}  # the sum is the same, but it is another's
    assert sums.total == 6 * times
    assert sums.computed == 3


def test_nothing_is_asked_after_the_first_difference() -> None:
    sums = Sum()
    assert sums.total == 3
    sums.readings |= {"a": 7, "b": None}
    sums.read = 0
    with pytest.raises(InputError, match="no b"):
        _ = sums.total
    assert sums.read == 3  # "a" once to see that it differs, both to compute it
    sums.readings["b"] = 2
    assert sums.total == 9


def test_what_another_thread_reads_meanwhile_is_no_part_of_a_result() -> None:
    values, reads, reading, may_end = {"here": 1, "there": 2}, list[str](), threading.Event(), threading.Event()

    class Value:
        def __init__(self, name: str) -> None:
            self.name = name

        def read(self) -> int:
            reads.append(self.name)
            return values[self.name]

        @remembered
        def value(self) -> int:
            if threading.current_thread() is not threading.main_thread():
                reading.set()
                assert may_end.wait(60)
            return observed(self.name, self.read)

    here, there = Value("here"), Value("there")
    thread = threading.Thread(target=there.value)
    thread.start()
    assert reading.wait(60)  # the other result is half-way, and this one begins and ends within it
    assert here.value() == 1
    may_end.set()
    thread.join()
    reads.clear()
    values["here"] = 5
    assert (there.value(), here.value()) == (2, 5)
    assert reads == ["there", "here", "here"]  # each asked whether it stands, and the one that does not computed


def test_an_outer_result_depends_on_what_an_inner_one_was_remembered_for() -> None:
    inner = Sum()

    class Outer:
        computed = 0

        @remembered
        def total(self) -> int:
            self.computed += 1
            return inner.total

    assert inner.total == 3  # so that the outer one finds it
    outer = Outer()
    assert [outer.total(), outer.total()] == [3, 3]
    inner.readings["a"] = 2
    assert [outer.total(), outer.total()] == [4, 4]
    assert outer.computed == 2


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    for number in range(6):
        path = tmp_path / "files" / f"{number}.mp4"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([number]))
    halves = ["train"] * 4 + ["test"] * 2
    lines = [f"{number}.mp4,{'ab'[number % 2]},{half}" for number, half in enumerate(halves)]
    (tmp_path / "files" / "manifest.csv").write_text("\n".join(["path,label,split", *lines, ""]))
    (tmp_path / "weights.safetensors").write_bytes(b"these are never loaded")
    for key, value in {"store": tmp_path / "store", "shard_size": 2, "device": "cpu"}.items():
        get_config().set("kinescope", key, str(value))
    task = experiment(tmp_path)
    task.index.run()
    yield tmp_path
    get_config().remove_section("kinescope")
    luigi.task_register.Register.clear_instance_cache()


def experiment(folder: Path) -> tasks.Evaluate:
    (folder / "recipe.toml").write_text(RECIPE.format(root=folder / "files", weights=folder / "weights.safetensors"))
    return tasks.Evaluate(experiment=str(folder / "recipe.toml"))


def paths(folder: Path) -> dict[str, str]:
    """Where all stages of the experiment lie, by tasks that luigi has made already, if it has."""
    stages = experiment(folder).runs.stages()
    shards = [shard for stage in stages if isinstance(stage, Extract) for shard in stage.requires()]
    return {stage.task_id: str(stage.path()) for stage in [*stages, *shards]}


def plain(folder: Path) -> dict[str, str]:
    """The same by new tasks, which remember nothing."""
    luigi.task_register.Register.clear_instance_cache()
    return paths(folder)


def reindex(folder: Path) -> None:
    """Index what is there, in a later tick of the file system's clock."""
    task = experiment(folder).index
    task.run()
    later = task.output().path
    os.utime(later, ns=(0, os.stat(later).st_mtime_ns + 10**9))


def change_a_video(folder: Path) -> None:
    (folder / "files" / "0.mp4").write_bytes(b"another")
    reindex(folder)


def relabel_a_video(folder: Path) -> None:
    manifest = folder / "files" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("0.mp4,a", "0.mp4,b"))
    reindex(folder)


def move_to_the_other_half(folder: Path) -> None:
    """Only the list of the split tells it; the index stays as it is."""
    manifest = folder / "files" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("3.mp4,b,train", "3.mp4,b,test"))


def replace_the_weights(folder: Path) -> None:
    (folder / "other").write_bytes(b"these are others")
    (folder / "other").replace(folder / "weights.safetensors")


def move_the_store(folder: Path) -> None:
    shutil.copytree(folder / "store", folder / "elsewhere", symlinks=True)
    get_config().set("kinescope", "store", str(folder / "elsewhere"))


CHANGES = [change_a_video, relabel_a_video, move_to_the_other_half, replace_the_weights, move_the_store]


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_between_two_questions_is_seen(folder: Path, change: Callable[[Path], None]) -> None:
    before = paths(folder)
    change(folder)
    after = paths(folder)
    assert after.keys() == before.keys()
    assert after != before
    assert after == plain(folder)


@pytest.mark.parametrize("change", CHANGES[:4])
def test_a_snapshot_remembers_its_own_state_and_the_present_is_another(
    folder: Path, change: Callable[[Path], None]
) -> None:
    with snapshot():
        before = paths(folder)
        change(folder)
        assert paths(folder) == before
        with present():
            after = paths(folder)
        assert paths(folder) == before
    assert before != after == paths(folder) == plain(folder)


def test_a_store_of_the_working_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    get_config().set("kinescope", "store", "store")
    monkeypatch.chdir(folder)
    before = paths(folder)
    shutil.copytree(folder / "store", folder / "below" / "store", symlinks=True)
    monkeypatch.chdir(folder / "below")
    after = paths(folder)
    assert all(path.startswith(f"{folder}/below/store/") for path in after.values())
    assert after == plain(folder) != before


@pytest.mark.usefixtures("folder")
def test_a_data_root_that_a_setting_moves(tmp_path: Path) -> None:
    dataset = MsrAction3D(train_subjects=(1,), present_only=True)
    extraction = Extract(dataset=dataset.without_protocol(), extractor=Skeleton())
    found = []
    for seed, root in enumerate((tmp_path / "one", tmp_path / "other")):
        for subject in (1, 2):
            write_skeleton(root / f"a01_s{subject:02d}_e01_skeleton3D.txt", seed)
        get_config().set("kinescope", "data_roots", json.dumps({"msr_action3d": str(root)}))
        tasks.Index(dataset=extraction.dataset).run()
        found.append(extraction.path())
    assert found[0].parent.parent != found[1].parent.parent
    assert found[0].name != found[1].name
    luigi.task_register.Register.clear_instance_cache()
    assert Extract(dataset=extraction.dataset, extractor=extraction.extractor).path() == found[1]


def test_weights_that_are_found_in_front_of_others(folder: Path) -> None:
    name = "imagenet-squeezenet1_0"
    first, second = (folder / "weights" / file for file in SOURCES[name].files[:2])
    first.parent.mkdir()
    second.write_bytes(b"from elsewhere")
    get_config().set("kinescope", "weights", str(folder / "weights"))
    network = {"backbone": "squeezenet1_0", "weights": name}
    dataset = experiment(folder).recipe.dataset.without_protocol()
    extraction = Extract(dataset=dataset, extractor=TSN.model_validate({"name": "tsn", "network": network}))
    assert extraction.fingerprint
    first.write_bytes(b"not the publisher's")
    with pytest.raises(InputError, match="its publisher's"):
        _ = extraction.fingerprint


def test_fingerprints_are_computed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed, components = count(), Train.components
    monkeypatch.setattr(Train, "components", lambda self: (next(computed), components(self))[1])
    for _ in range(3):
        paths(folder)
    with snapshot():
        paths(folder)
    assert next(computed) == 1
