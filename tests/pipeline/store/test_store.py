"""Journal, seal, index, reading: what was written is read, what is damaged is never trusted."""

import multiprocessing
import pickle
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.errors import DamagedStore, InputError, UnusableVideo
from pipeline.rows import Failure, Keys, Row
from pipeline.store import Store, provenance
from pipeline.store.journal import Journal, finished
from pipeline.store.seal import seal, shards_by_key, write_index
from pipeline.store.sealed import verify
from tests.support.equality import same_arrays, same_rows


def keys(video: str, variants: int = 1, salt: str = "") -> Keys:
    name = video.replace("/", "-")
    return Keys(video, f"digest-of-{name}", tuple(f"{name}{salt}-{variant}" for variant in range(variants)))


def row(seed: int, time: int = 10) -> Row:
    rng = np.random.default_rng(seed)
    arrays = {"features": rng.random((time, 4), np.float32), "start_frames": np.arange(time)}
    return Row(arrays, {"fps": 25.0, "frames": time})


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """Two videos (one the parent folder of the other), and one that failed."""
    journal, path = Journal(tmp_path / "journal"), tmp_path / "000.h5"
    videos = [keys("a", 2), keys("a/b", 2), keys("c")]
    journal.write(videos[0], [row(0), row(1)])
    journal.write(videos[1], [row(2), row(3)])
    journal.fail(videos[2], Failure("no frame decodes", 0))
    seal(path, videos, {video.name: journal.path(video) for video in videos}, {"stage": "test"})
    return path


def test_what_is_sealed_is_read_back_from_shard_and_index(shard: Path) -> None:
    index = shard.with_name("index.h5")
    write_index(index, [shard], {})
    for store in (Store(shard), Store(index)):
        assert store.ids() == ["a", "a/b"]
        assert store.variants("a") == 2
        assert store.variants("c") == 0
        assert same_arrays(store.read("a", 1).arrays, row(1).arrays)
        assert same_arrays(store.read("a/b").arrays, row(2).arrays)
        assert store.read("a").attributes == {
            "fps": 25.0,
            "frames": 10,
            "key": "a-0",
            "source_digest": "digest-of-a",
        }
        assert store.failures() == {"c": Failure("no frame decodes", 0)}
    assert provenance(shard) == {"stage": "test"}


def test_named_arrays_only_and_a_wrong_name_says_which_there_are(shard: Path) -> None:
    assert list(Store(shard).read("a", arrays=["features"]).arrays) == ["features"]
    with pytest.raises(InputError, match="has no scores; it has features, start_frames"):
        Store(shard).read("a", arrays=["scores"])
    assert shard.exists()


@pytest.mark.parametrize("part", [slice(0, 1), slice(3, 7), slice(8, None), slice(0, 0)])
def test_a_part_is_the_same_slice_of_every_array(shard: Path, part: slice) -> None:
    read = Store(shard).read("a", 1, part=part).arrays
    for name, whole in row(1).arrays.items():
        np.testing.assert_array_equal(read[name], whole[part], strict=True)


def test_an_index_follows_its_folder(shard: Path, tmp_path: Path) -> None:
    write_index(shard.with_name("index.h5"), [shard], {})
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    tmp_path.rename(moved)
    assert same_arrays(Store(moved / "index.h5").read("a").arrays, row(0).arrays)


def test_a_wrong_number_of_rows_or_a_nan_leaves_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(ValueError, match="1 rows for 2 variants"):
        journal.write(keys("a", 2), [row(0)])
    broken = row(0)
    broken.arrays["features"][3, 2] = np.nan
    with pytest.raises(UnusableVideo, match="features came out as NaN"):
        journal.write(keys("a"), [broken])
    assert finished(tmp_path) == []
    (log,) = tmp_path.iterdir()
    assert log.read_bytes().count(b"\n") == 1  # the first line, and nothing of the row
    journal.write(keys("a"), [row(0)])
    assert [each.key for each in finished(tmp_path)] == ["a-0"]


def test_a_row_that_lies_in_a_file_is_not_read_into_memory(tmp_path: Path) -> None:
    features = np.lib.format.open_memmap(tmp_path / "features.npy", "w+", np.float16, (400, 56_000))
    journal, shard = Journal(tmp_path / "journal"), tmp_path / "shard.h5"
    tracemalloc.start()
    journal.write(keys("a"), [Row({"features": features})])
    seal(shard, [keys("a")], {keys("a").name: journal.path(keys("a"))}, {})
    assert Store(shard).partial("a")["features"][399, 7] == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < features.nbytes / 10


def test_sealing_without_a_row_fails_and_leaves_no_shard(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.write(keys("a", salt="other"), [row(0)])
    source = journal.path(keys("a", salt="other"))
    with pytest.raises(ValueError, match="nothing was sealed for a"):
        seal(tmp_path / "s.h5", [keys("a")], {keys("a").name: source}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]


def test_rows_of_one_key_serve_two_ids(tmp_path: Path) -> None:
    journal, first, second = Journal(tmp_path / "journal"), Keys("a", "d", ("k",)), Keys("b/c", "d", ("k",))
    journal.write(first, [row(0)])
    seal(tmp_path / "s.h5", [first, second], {"k": journal.path(first)}, {})
    assert Store(tmp_path / "s.h5").ids() == ["a", "b/c"]
    write_index(tmp_path / "index.h5", [tmp_path / "s.h5"], {})
    assert same_arrays(Store(tmp_path / "index.h5").read("b/c").arrays, row(0).arrays)
    assert shards_by_key([tmp_path / "s.h5"]) == {"k": tmp_path / "s.h5"}


def test_the_format_is_plain_checksummed_and_repeats_to_the_byte(shard: Path, tmp_path: Path) -> None:
    with h5py.File(shard) as file:
        assert shard.read_bytes()[8] == 3  # the superblock of HDF5 1.10
        features = file["videos/a/variant-0/features"]
        assert features.fletcher32
        assert features.compression is None
        assert features.dtype == np.float32
    copy = tmp_path / "again.h5"
    videos = [keys("a", 2), keys("a/b", 2), keys("c")]
    seal(copy, videos, {video.name: shard for video in videos}, {"stage": "test"})
    assert copy.read_bytes() == shard.read_bytes()


@pytest.mark.parametrize("damage", ["bit", "truncated", "emptied"])
def test_damage_is_named_set_aside_and_never_trusted(shard: Path, damage: str) -> None:
    index = shard.with_name("index.h5")
    write_index(index, [shard], {})
    content = bytearray(shard.read_bytes())
    if damage == "bit":
        content[content.find(row(1).arrays["features"].tobytes()) + 5] ^= 1
    shard.write_bytes({"bit": content, "truncated": content[:-100], "emptied": b""}[damage])
    with pytest.raises(DamagedStore, match=r"000\.h5 is damaged .* set aside as 000\.h5\.damaged-1: run again"):
        Store(index).read("a", 1)
    assert not shard.exists()
    assert shard.with_name("000.h5.damaged-1").exists()
    with pytest.raises(FileNotFoundError):
        Store(index).read("a", 1)


def test_every_altered_byte_is_noticed_or_harmless(shard: Path) -> None:
    """Flip single bits all over a shard: each is either set aside by verification, or changes nothing that is read."""
    content = shard.read_bytes()
    expected = [Store(shard).rows("a"), Store(shard).rows("a/b"), Store(shard).failures()]
    noticed = 0
    for place in range(0, len(content), 37):
        altered = bytearray(content)
        altered[place] ^= 0x10
        shard.write_bytes(altered)
        try:
            verify(shard)
            found = [Store(shard).rows("a"), Store(shard).rows("a/b"), Store(shard).failures()]
        except DamagedStore:
            noticed += 1
            continue
        for rows, known in zip(found[:2], expected[:2], strict=True):
            assert same_rows(rows, known)
        assert found[2] == expected[2]
    assert noticed > 10


def test_a_damaged_source_is_named_and_set_aside_when_it_is_copied(shard: Path, tmp_path: Path) -> None:
    content = bytearray(shard.read_bytes())
    content[content.find(row(1).arrays["features"].tobytes()) + 5] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DamagedStore, match=r"000\.h5 is damaged"):
        seal(tmp_path / "next.h5", [keys("a", 2)], {keys("a", 2).name: shard}, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000.h5.damaged-1", "journal"]


def test_an_index_of_other_shards_is_set_aside_and_the_shard_is_not(shard: Path, tmp_path: Path) -> None:
    index = tmp_path / "index.h5"
    write_index(index, [shard], {})
    seal(shard, [keys("a", 2)], {keys("a", 2).name: shard}, {})
    with pytest.raises(DamagedStore, match=r"index\.h5 is damaged .*it links failures/c/reason"):
        Store(index).failures()
    assert shard.exists()
    assert not index.exists()


def test_a_shard_that_was_made_anew_is_not_set_aside_by_a_reader_of_the_old_one(shard: Path, tmp_path: Path) -> None:
    store, content = Store(shard), shard.read_bytes()
    damaged = bytearray(content)
    damaged[content.find(row(1).arrays["features"].tobytes()) + 5] ^= 1
    shard.write_bytes(damaged)
    store.read("a", 0)
    shard.rename(tmp_path / "aside")
    shard.write_bytes(content)
    with pytest.raises(DamagedStore, match="made anew by another"):
        store.read("a", 1)
    assert shard.read_bytes() == content


def test_an_altered_index_loses_nothing_silently(shard: Path, tmp_path: Path) -> None:
    index = tmp_path / "index.h5"
    write_index(index, [shard], {})
    content = index.read_bytes()
    for place in range(0, len(content), 53):
        altered = bytearray(content)
        altered[place] ^= 0x10
        index.write_bytes(altered)
        try:
            found = (Store(index).ids(), len(Store(index).rows("a")), list(Store(index).failures()))
        except DamagedStore:
            continue
        assert found == (["a", "a/b"], 2, ["c"])


def test_a_failing_system_call_does_not_condemn_the_file(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_many(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(h5py, "File", too_many)
    with pytest.raises(OSError, match="Too many open files"):
        Store(shard).read("a")
    assert shard.exists()


def _read(store: Store, results: "multiprocessing.Queue[float]") -> None:
    results.put(float(store.read("a").arrays["features"].sum()))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_open_store_survives_fork_and_spawn(shard: Path, method: str) -> None:
    store, context = Store(shard), multiprocessing.get_context(method)
    expected = float(store.read("a").arrays["features"].sum())
    results = context.Queue()
    worker = context.Process(target=_read, args=(store, results))
    worker.start()
    assert results.get(timeout=60) == expected
    worker.join()
    assert float(store.read("a").arrays["features"].sum()) == expected
    assert pickle.loads(pickle.dumps(store)).ids() == store.ids()
