"""Arrays are cut into chunks and read from them: all of them, or the ones that a part touches."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.files.place import Contradiction
from pipeline.store.arrays import StoredArray, cut
from pipeline.store.checksum import fletcher32

PARTS: list[Any] = [
    *((), ..., slice(None), 0, -1, 700, np.int64(3), slice(3, 19), slice(2, 2), slice(900, 5), slice(None, None, 7)),
    *(
        slice(100, 3, -9),
        slice(None, None, -1),
        slice(690, 10_000),
        slice(-5, None),
        (slice(3, 9), 1),
        (5, 2),
        (..., 1),
    ),
    *([3, 5, 4], (slice(0, 700, 350), slice(1, 3))),
]
ARRAYS = {
    "features": np.random.default_rng(0).random((701, 130), np.float32),
    "half": np.random.default_rng(1).random((701, 3, 50)).astype(np.float16),
    "bytes": np.random.default_rng(2).integers(0, 256, (701, 997), np.uint8),
    "present": np.random.default_rng(3).random((701, 400)) < 0.5,
    "large entries": np.random.default_rng(4).integers(-9, 9, (701, 400, 4), np.int64),
}


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def stored(file: int, array: np.ndarray) -> StoredArray:
    """Write an array's chunks, each at some distance from the one before."""
    offsets, checksums, (_, described) = [], [], cut(array)
    for chunk in cut(array).chunks():
        offsets.append(os.lseek(file, 0, os.SEEK_END) + 13)
        os.pwrite(file, chunk.tobytes(), offsets[-1])
        checksums.append(fletcher32(chunk))
    assert len(offsets) == described.chunks
    return described._replace(offsets=tuple(offsets), checksums=tuple(checksums))


@pytest.mark.parametrize("name", ARRAYS)
def test_every_part_is_what_numpy_takes(name: str, file: int) -> None:
    array, there = ARRAYS[name], stored(file, ARRAYS[name])
    assert there.chunks > 1
    for part in PARTS:
        np.testing.assert_array_equal(there.read(file, part), array[part], strict=True, err_msg=str(part))
    for number in (701, -702):
        with pytest.raises(IndexError):
            there.read(file, number)


@pytest.mark.parametrize(
    "array",
    [
        *(np.zeros((0, 5)), np.zeros((5, 0), np.float16), np.zeros(0, bool), np.array(3.5), np.array([b"ab", b"c"])),
        *(np.float32(2), np.arange(7)[::2], np.arange(12).reshape(3, 4).T, np.ones((1, 300_000), np.uint8)),
    ],
    ids=str,
)
def test_unusual_arrays_come_back(array: np.ndarray, file: int) -> None:
    np.testing.assert_array_equal(stored(file, array).read(file), array)


def test_what_hdf5_does_not_store_is_refused() -> None:
    for array in (np.array(["text"]), np.array([object()]), np.array(["2020-01-01"], "datetime64[s]")):
        with pytest.raises(TypeError, match="cannot be stored"):
            cut(array)


def test_only_the_chunks_that_a_part_touches_are_read_and_each_is_checked(file: int) -> None:
    array = ARRAYS["features"]
    there = stored(file, array)
    for chunk, offset in enumerate(there.offsets):
        before = os.pread(file, 1, offset + 999)
        os.pwrite(file, bytes([before[0] ^ 1]), offset + 999)
        for entry in range(0, 701, 10):
            if entry // there.entries == chunk:
                with pytest.raises(Contradiction, match=f"checksum of what lies at byte {offset} does not match"):
                    there.read(file, entry)
            else:
                np.testing.assert_array_equal(there.read(file, slice(entry, entry + 1)), array[entry : entry + 1])
        os.pwrite(file, before, offset + 999)


def test_a_file_that_ends_early_and_zeros_that_fill_up_the_last_chunk_are_looked_at(file: int) -> None:
    there = stored(file, ARRAYS["features"])
    end = there.offsets[-1] + there.chunk_bytes
    assert there.chunks * there.entries > 701
    os.pwrite(file, b"\x01", end - 1)
    with pytest.raises(Contradiction, match="does not match"):
        there.read(file)
    os.ftruncate(file, end - 1)
    with pytest.raises(Contradiction, match=f"ends before byte {end}"):
        there.read(file, -1)


def test_a_file_system_may_give_a_part_at_a_time(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    there, whole = stored(file, ARRAYS["half"]), os.preadv
    monkeypatch.setattr(os, "preadv", lambda of, buffers, offset: whole(of, [buffers[0][:50_001]], offset))
    np.testing.assert_array_equal(there.read(file), ARRAYS["half"])
    os.ftruncate(file, there.offsets[-1] + 60_000)
    with pytest.raises(Contradiction, match=f"ends before byte {there.offsets[-1] + there.chunk_bytes}"):
        there.read(file)
