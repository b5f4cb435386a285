"""``kinescope status``: how far a run has come, from the store alone."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from luigi.configuration import get_config

from pipeline.rows import Failure
from pipeline.store.journal import Journal
from tasks.commands.progress import Extent
from tests.support.small_experiment import Small


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    for key, value in {"store": tmp_path / "store", "device": "cpu", "max_failed_videos": 1}.items():
        get_config().set("kinescope", key, str(value))
    yield Small(tmp_path).fill()
    get_config().remove_section("kinescope")


def test_before_during_and_after(small: Small) -> None:
    assert small.says("status", small.recipe) == ["stage 0: the data set is not indexed yet"]
    small.run()
    first, *lines = small.says("status", small.recipe)
    assert first == "all 7 stages are complete, 1 failure so far"
    assert lines[0] == "✓ Extract skeleton: 8 of 8 videos, 1 of them could not be used"
    kinds = ["FitReducer pca", "Fuse", "Predict drnn", "Predict lstm", "Train drnn", "Train lstm"]
    assert sorted(line.split(":")[0] for line in lines[1:]) == [f"✓ {kind}" for kind in kinds]

    (shard,) = small.experiment().runs.predictions(0, 0)[0].features[0].requires()
    shard.path().unlink()
    for keys in shard.videos()[:3]:
        Journal(shard.journal).fail(keys, Failure("unusable", 0))
    now, *lines = small.says("status", small.recipe)
    assert now.startswith("stage 1 of 7: Extract skeleton, 3 of 8 videos, 3 failures so far, about ")
    assert "left at" in now
    assert lines[0].startswith("  Extract skeleton: 3 of 8 videos")


def test_the_rate_is_of_the_last_minutes() -> None:
    now = time.time()
    assert Extent(10, 10, "video", (now,) * 10).left == ""
    assert Extent(4, 10, "video", (now - 3600,) * 4).left == ""
    recent = Extent(6, 12, "video", (now - 60, now - 50, now - 40, now - 30, now - 20, now - 10)).left
    assert recent == ", about 60 s left at 6 videos a minute"
