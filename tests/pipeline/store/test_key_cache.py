"""The cache of keys: what it says is what the shards hold, and each process reads it once."""

from pathlib import Path

import numpy as np
import pytest

import pipeline.store.key_cache
from pipeline.rows import Keys, Row
from pipeline.store.journal import Journal
from pipeline.store.key_cache import shards_by_key
from pipeline.store.seal import seal


def sealed(folder: Path, *videos: str) -> Path:
    journal, keys = Journal(folder / "journal"), [Keys(video, "digest", (f"{video}-0",)) for video in videos]
    for each in keys:
        journal.write(each, [Row({"features": np.zeros(3)})])
    shard = folder / f"{videos[0]}.h5"
    seal(shard, keys, {each.name: journal.path(each) for each in keys}, {})
    return shard


def test_it_is_read_once_in_a_process_and_again_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, plain, read = tmp_path / "keys.json", pipeline.store.key_cache.read_record, list[Path]()

    def reading(path: Path, model: type) -> object:
        read.append(path)
        return plain(path, model)

    monkeypatch.setattr(pipeline.store.key_cache, "read_record", reading)
    first = sealed(tmp_path, "a", "b")
    held = {"a-0": first, "b-0": first}
    assert shards_by_key([first], cache) == held
    read.clear()
    for _ in range(3):
        assert shards_by_key([first], cache) == held
    assert read == [cache]
    second = sealed(tmp_path, "c")
    for _ in range(3):
        assert shards_by_key([first, second], cache) == held | {"c-0": second}
    assert read == [cache] * 2
    first.unlink()
    assert shards_by_key([first, second], cache) == {"c-0": second}
    cache.unlink()
    assert shards_by_key([second], cache) == {"c-0": second}
