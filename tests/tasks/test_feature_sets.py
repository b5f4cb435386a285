"""Features alone: of given videos, without labels, in the store and in a folder."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import luigi
import numpy as np
import pytest
from luigi.configuration import get_config

import tasks
from extractors import Frames
from pipeline.errors import InputError
from pipeline.store import Store
from pipeline.video.encode import write
from tasks.commands.new_videos import extractor_and_paths

FRAMES = Frames(short_side=16, encoding="raw")


@pytest.fixture
def videos(tmp_path: Path) -> Iterator[Path]:
    """Five videos, of which one is empty; shards of one or two."""
    rng = np.random.default_rng(0)
    for number in range(4):
        write(tmp_path / "videos" / f"{number}.mp4", rng.integers(0, 256, (3, 32, 48, 3), np.uint8), 25)
    (tmp_path / "videos" / "empty.mp4").touch()
    for key, value in {"store": tmp_path / "store", "device": "cpu", "max_failed_videos": 1, "shard_size": 1}.items():
        get_config().set("kinescope", key, str(value))
    yield tmp_path / "videos"
    get_config().remove_section("kinescope")


def features(videos: Path, **named: Any) -> tasks.Features:
    luigi.task_register.Register.clear_instance_cache()
    task = tasks.Features(extractor=FRAMES, videos=(str(videos),), **named)
    assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
    return task


def test_rows_are_those_that_the_extractor_makes_of_the_file(videos: Path, tmp_path: Path) -> None:
    features(videos, out=str(tmp_path / "out"))
    store = Store(tmp_path / "out" / "index.h5")
    assert store.ids() == ["0", "1", "2", "3"]
    assert set(store.failures()) == {"empty"}
    for video in store.ids():
        (row,) = FRAMES.open(device="cpu")(videos / f"{video}.mp4")
        stored = store.read(video)
        assert stored.arrays.keys() == row.arrays.keys()
        assert all(np.array_equal(stored.arrays[name], row.arrays[name]) for name in row.arrays)


def test_too_many_failures_end_every_run_with_a_code(videos: Path, tmp_path: Path) -> None:
    get_config().set("kinescope", "max_failed_videos", "0")
    for _ in range(2):
        luigi.task_register.Register.clear_instance_cache()
        task = tasks.Features(extractor=FRAMES, videos=(str(videos),), out=str(tmp_path / "out"))
        assert not luigi.build([task], local_scheduler=True, workers=1, log_level="CRITICAL")
    assert Store(tmp_path / "out" / "index.h5").ids() == ["0", "1", "2", "3"]


def test_arrays_as_files(videos: Path, tmp_path: Path) -> None:
    features(videos, out=str(tmp_path / "out"), format="npy")
    assert np.load(tmp_path / "out" / "0" / "0" / "frames.npy").shape == (3, 16, 24, 3)
    assert list(json.loads((tmp_path / "out" / "failures.json").read_text())) == ["empty"]


def test_shares_that_run_apart_come_to_the_same(videos: Path, tmp_path: Path) -> None:
    whole = features(videos, out=str(tmp_path / "whole"))
    shards = [stage.path().name for stage in whole.stage.requires()]
    get_config().set("kinescope", "store", str(tmp_path / "apart"))
    for number in (2, 3, 1):
        assert not (tmp_path / "shared" / "index.h5").exists()
        features(videos, out=str(tmp_path / "shared"), share=f"{number}/3")
    for name in shards:
        both = [Store(tmp_path / folder / name) for folder in ("whole", "shared")]
        assert both[0].ids() == both[1].ids()
        for video in both[0].ids():
            one, other = (store.read(video).arrays for store in both)
            assert all(np.array_equal(one[array], other[array]) for array in one)


def test_a_folder_that_holds_other_features_is_not_taken_for_these(videos: Path, tmp_path: Path) -> None:
    features(videos, out=str(tmp_path / "out"))
    (videos / "3.mp4").rename(videos / "other.mp4")
    again = features(videos, out=str(tmp_path / "out"))
    assert again.complete()
    assert Store(tmp_path / "out" / "index.h5").ids() == ["0", "1", "2", "other"]
    larger = tasks.Features(
        extractor=Frames(short_side=20, encoding="raw"), videos=(str(videos),), out=str(tmp_path / "out")
    )
    assert not luigi.build([larger], local_scheduler=True, workers=1, log_level="CRITICAL")
    assert Store(tmp_path / "out" / "index.h5").ids() == ["0", "1", "2", "other"]


@pytest.mark.parametrize("share", ["0/3", "4/3", "1", "a/b"])
def test_shares_that_cannot_be(share: str, videos: Path, tmp_path: Path) -> None:
    features(videos, out=str(tmp_path / "out"))
    task = tasks.Features(extractor=FRAMES, videos=(str(videos),), out=str(tmp_path / "out"), share=share)
    with pytest.raises(InputError, match="from 1/8 to 8/8"):
        task.up_to_date()


def test_an_extractor_on_the_command_line(tmp_path: Path) -> None:
    table = tmp_path / "mine.toml"
    table.write_text('name = "frames"\nshort_side = 20\n')
    extractor, paths = extractor_and_paths([str(table), "encoding=raw", "--", "a=b.mp4", "c"])
    assert extractor == Frames(short_side=20, encoding="raw")
    assert paths == ["a=b.mp4", "c"]
    extractor, paths = extractor_and_paths(
        ["tsn", "network.backbone=resnet50", "network.weights=w.pth", "snippets=3", "clip.mp4"]
    )
    assert (extractor.network.backbone, extractor.snippets, paths) == ("resnet50", 3, ["clip.mp4"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["frame", "a.mp4"], "did you mean 'frames'"),
        (["frames", "short_sid=3", "a.mp4"], "did you mean 'short_side'"),
        (["frames", "short_side=x", "a.mp4"], "short_side: "),
        (["frames", "short_side=3"], "no videos were given"),
        (["frames", "short_side=3", "short_side.x=3", "a.mp4"], "short_side is no table"),
    ],
)
def test_mistakes_on_the_command_line(arguments: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        extractor_and_paths(arguments)


def test_what_must_be_fitted_first_is_refused(videos: Path, tmp_path: Path) -> None:
    from extractors import ConvNet3D

    fitted = ConvNet3D.model_validate({"network": {"fit": {"epochs": 1}}})
    task = tasks.Features(extractor=fitted, videos=(str(videos),), out=str(tmp_path / "out"))
    luigi.build([tasks.Index(dataset=task.given)], local_scheduler=True, log_level="ERROR")
    with pytest.raises(InputError, match="must be fitted to labelled videos first"):
        task.up_to_date()
