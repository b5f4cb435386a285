"""Pictures for the report, from the store or the files, and never a reason to fail."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import luigi
import numpy as np
import pytest
from luigi.configuration import get_config

import tasks
from data.folder import Folder
from extractors.frames import Frames
from extractors.skeleton.config import Skeleton
from pipeline.report import thumbnails
from pipeline.video.encode import write
from tasks.index import Index
from tasks.reporting.thumbnails import pictures
from tests.support.thumbnails import levels, ramp


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    for key, value in {"store": tmp_path / "store", "shard_size": 8, "device": "cpu"}.items():
        get_config().set("kinescope", key, str(value))
    yield tmp_path / "store"
    get_config().remove_section("kinescope")


def indexed(root: Path) -> Folder:
    dataset = Folder(root=str(root))
    luigi.build([Index(dataset=dataset.without_protocol())], local_scheduler=True, log_level="ERROR")
    return dataset


def skeleton_lines(head_up: float) -> str:
    joints = np.zeros((6, 20, 3)) + np.linspace(0.1, 0.5, 20)[None, :, None]
    joints[:, 19, 1], joints[:, 17:19, 1] = head_up, -head_up
    return "".join("{:.4f} {:.4f} {:.4f} 1\n".format(*joint) for joint in joints.reshape(-1, 3))


def test_pictures_of_a_data_set(store: Path, tmp_path: Path) -> None:
    root = tmp_path / "files"
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        write(root / label / "good.mp4", ramp(40), 25)
    (root / "a" / "bad.mp4").write_bytes(b"no video at all")
    (root / "a" / "late.mp4").write_bytes((root / "a" / "good.mp4").read_bytes())
    dataset = indexed(root)
    (root / "a" / "late.mp4").write_bytes(b"something else since")
    found = pictures(dataset, ["a/good", "a/bad", "a/late"], Frames())
    np.testing.assert_allclose(levels(found["a/good"]), [10, 30, 50, 70], atol=6)
    assert (found["a/bad"], found["a/late"]) == ((), ())


def test_pictures_of_skeletons(store: Path, tmp_path: Path) -> None:
    for name, head_up in (("a/up", 0.9), ("b/down", -0.9)):
        path = tmp_path / "files" / f"{name}.txt"
        path.parent.mkdir(parents=True)
        path.write_text(skeleton_lines(head_up))
    found = pictures(indexed(tmp_path / "files"), ["a/up", "b/down"], Skeleton())
    heads = [re.findall(r'cy="([\d.]+)"', "".join(found[name])) for name in ("a/up", "b/down")]
    assert len(heads[0]) == 4
    assert heads[0] == heads[1]
    assert all(float(head) < thumbnails.HEIGHT_PX / 2 for head in heads[0])


def test_the_frames_store_serves_where_there_is_one(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for label in ("a", "b"):
        (tmp_path / "files" / label).mkdir(parents=True)
        write(tmp_path / "files" / label / "clip.mp4", ramp(40), 25)
    dataset = Folder(root=str(tmp_path / "files"))
    luigi.build([tasks.Decode(dataset=dataset)], local_scheduler=True, log_level="ERROR")

    def no_video(*_: object, **__: object) -> None:
        raise AssertionError("a video was opened")

    monkeypatch.setattr("pipeline.report.thumbnails.decode", no_video)
    found = pictures(dataset, ["a/clip", "b/clip"], Frames())
    np.testing.assert_allclose(levels(found["b/clip"]), [10, 30, 50, 70], atol=6)
    (shard,) = store.rglob("frames-*/[0-9]*-of-*.h5")
    shard.write_bytes(shard.read_bytes()[:2000])
    monkeypatch.undo()
    assert len(pictures(dataset, ["a/clip"], Frames())["a/clip"]) == 4


def test_a_report_shows_a_few_of_many_videos(store: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        for number in range(6):
            path = tmp_path / "files" / label / f"{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, rng.integers(0, 255, (16, 32, 48, 3)).astype(np.uint8), 25)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f"""
title = "videos"
[dataset]
name = "folder"
root = {json.dumps(str(tmp_path / "files"))}
test_fraction = 0.5
[[streams]]
extractor = {{ name = "convnet3d", network = {{ fit = {{ epochs = 1 }} }} }}
model = {{ name = "consensus" }}
""")
    task = tasks.Evaluate(experiment=str(recipe))
    luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
    page = task.folder() / "report.html"
    first = page.read_bytes()
    before, maps = first.split(b'<section id="maps">')
    examples, steps = before.split(b'<section id="steps">')
    assert 4 <= examples.count(b"data:image/jpeg") <= 4 * 4
    assert steps.count(b"data:image/jpeg") == 2 * 6
    assert maps.count(b"data:image/jpeg") == 2 * (1 + 7)
    assert b"no picture" not in first
    page.unlink()
    luigi.task_register.Register.clear_instance_cache()
    luigi.build([tasks.Evaluate(experiment=str(recipe))], local_scheduler=True, workers=1, log_level="ERROR")
    assert page.read_bytes() == first
