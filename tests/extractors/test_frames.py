"""The frames store: what goes in comes out, frame by frame, in bounded memory."""

import io
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
from PIL import Image

from extractors.base import Clip, Labelled, Row
from extractors.frames import Frames, numbered, scaled
from extractors.pictures import picture
from pipeline.config import parse
from pipeline.errors import InputError, UnusableVideo
from pipeline.rows import Keys
from pipeline.store import Store
from pipeline.store.arrays import StoredArray
from pipeline.store.journal import Journal
from pipeline.store.seal import seal
from pipeline.training.sequences import StoredRows
from pipeline.video.decode import Block, read
from pipeline.video.encode import write
from tests.support import footage


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """A bright bar that moves over a gradient, 40 frames of 96×64."""
    path = tmp_path_factory.mktemp("video") / "bar.mp4"
    down, right = np.mgrid[:64, :96].astype(np.uint8)
    frames = np.repeat(np.stack([down, right, 2 * down], axis=-1)[None], 40, axis=0)
    for index, frame in enumerate(frames):
        frame[:, 2 * index : 2 * index + 8] = 200
    write(path, frames, fps=10)
    return Clip(path)


def extract(clip: Clip, **fields: Any) -> Row:
    (row,) = parse(Frames, fields).build("cpu")(clip)
    return row


def test_raw_frames_are_the_decoded_ones(clip: Clip) -> None:
    row = extract(clip, encoding="raw", short_side=64)
    expected = read(clip.path).frames
    np.testing.assert_array_equal(row.arrays["frames"], expected)
    np.testing.assert_array_equal(picture(row.arrays, "frames", 7), expected[7])
    np.testing.assert_array_equal(row.arrays["start_frames"], np.arange(40))
    assert row.attributes.items() >= {"fps": 10.0, "frames": 40}.items()


def test_jpegs_are_close_and_any_reader_reads_them(clip: Clip) -> None:
    row = extract(clip, short_side=None)
    data, offsets = row.arrays["frames"], row.arrays["frames_offsets"]
    assert (data.dtype, offsets.dtype) == (np.uint8, np.int64)
    assert (offsets[0], offsets[-1], len(offsets)) == (0, len(data), 41)
    for index, frame in enumerate(read(clip.path).frames):
        ours = picture(row.arrays, "frames", index)
        file = io.BytesIO(data[offsets[index] : offsets[index + 1]].tobytes())
        theirs = np.asarray(Image.open(file).convert("RGB")).astype(int)
        assert np.abs(ours - theirs).mean() < 1
        assert np.abs(ours - frame.astype(int)).mean() < 3


def test_colours_are_not_exchanged(tmp_path: Path) -> None:
    red = np.broadcast_to(np.array([220, 30, 60], np.uint8), (4, 64, 64, 3))
    write(tmp_path / "red.mp4", red, fps=10)
    for encoding in ("jpeg", "raw"):
        row = extract(Clip(tmp_path / "red.mp4"), encoding=encoding)
        np.testing.assert_allclose(picture(row.arrays, "frames", 2).mean(axis=(0, 1)), (220, 30, 60), atol=4)


def test_higher_quality_costs_bytes_and_gains_accuracy(clip: Clip) -> None:
    frame = read(clip.path).frames[11].astype(int)
    rows = [extract(clip, quality=quality, short_side=64) for quality in (20, 60, 95)]
    sizes = [len(row.arrays["frames"]) for row in rows]
    errors = [np.abs(picture(row.arrays, "frames", 11) - frame).mean() for row in rows]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]
    assert errors == sorted(errors, reverse=True)


def test_a_range_of_frames_counts_from_its_own_start(clip: Clip) -> None:
    whole = extract(clip, encoding="raw")
    part = extract(Clip(clip.path, (10, 25)), encoding="raw")
    np.testing.assert_array_equal(part.arrays["frames"], whole.arrays["frames"][10:25])
    assert part.arrays["start_frames"].tolist() == list(range(15))
    assert part.attributes["frames"] == 15


def test_the_same_clip_gives_the_same_bytes(clip: Clip) -> None:
    first, second = extract(clip), extract(clip)
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, second.arrays[name])


@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_one_frame_is_read_from_an_open_file(clip: Clip, tmp_path: Path, encoding: str) -> None:
    row = extract(clip, encoding=encoding)
    with h5py.File(tmp_path / "row.h5", "w") as file:
        for name, array in row.arrays.items():
            file[name] = np.asarray(array)
        for index in (0, 39):
            np.testing.assert_array_equal(picture(file, "frames", index), picture(row.arrays, "frames", index))


@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_an_index_outside_the_clip_is_refused(clip: Clip, encoding: str) -> None:
    arrays = extract(clip, encoding=encoding).arrays
    for index in (40, -1):
        with pytest.raises(IndexError, match=str(index)):
            picture(arrays, "frames", index)


@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_memory_does_not_grow_with_the_video(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoding: str) -> None:
    def decode(path: Path, *, frames: tuple[int, int] | None = None, **_: object) -> Iterator[Block]:
        rng = np.random.default_rng(0)
        for start in range(0, 320, 8):
            yield Block(
                rng.integers(0, 256, (8, 256, 256, 3), np.uint8),
                start,
                (start + np.arange(8)) / 25,
                (start + 8) / 25,
                25.0,
                {},
            )

    monkeypatch.setattr("pipeline.video.decode.decode", decode)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tracemalloc.start()
    row = extract(Clip(Path("long")), encoding=encoding)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(array.nbytes for array in row.arrays.values()) > 20e6
    assert peak < 10e6
    assert not list(tmp_path.iterdir())


def test_scaling_by_half_averages_blocks() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (80, 120, 3), np.uint8)
    expected = frame.reshape(40, 2, 60, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(scaled(frame, 40), expected, atol=0.51)


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((240, 320), 256, (256, 341)),
        ((320, 240), 256, (341, 256)),
        ((1080, 1920), 256, (256, 455)),
        ((90, 90), 30, (30, 30)),
        ((256, 999), 256, (256, 999)),
    ],
)
def test_scaling_keeps_the_proportions_and_the_level(
    size: tuple[int, int], short_side: int, expected: tuple[int, int]
) -> None:
    frame = np.full((*size, 3), (10, 100, 250), np.uint8)
    result = scaled(frame, short_side)
    assert result.shape == (*expected, 3)
    assert (result == frame[0, 0]).all()


def test_real_video_stays_close(shared: Path) -> None:
    path = sorted((shared / "ucf101-11" / "videos" / "Archery").glob("*.mp4"))[0]
    row = extract(Clip(path, (0, 20)))
    for index, frame in enumerate(read(path, frames=(0, 20)).frames):
        error = picture(row.arrays, "frames", index) - scaled(frame, 256).astype(float)
        assert 10 * np.log10(255**2 / np.mean(error**2)) > 33  # dB


def test_a_video_that_fails_in_the_middle_is_unusable(shared: Path) -> None:
    with pytest.raises(UnusableVideo) as caught:
        extract(Clip(shared / "clips" / "corrupted.mp4"))
    assert caught.value.frames_decoded == 28


def test_frames_too_long_for_a_jpeg_are_the_videos_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    block = Block(np.zeros((1, 2, 66000, 3), np.uint8), 0, np.zeros(1), 0.04, 25.0, {})
    monkeypatch.setattr("pipeline.video.decode.decode", lambda path, **_: iter([block]))
    with pytest.raises(UnusableVideo, match="66000x2 pixels"):
        extract(Clip(Path("ribbon")), short_side=None)


@pytest.mark.parametrize("fields", [{"encoding": "png"}, {"quality": 0}, {"quality": 101}, {"short_side": 0}])
def test_wrong_fields_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(fields))):
        parse(Frames, fields)


def test_rows_are_not_a_video() -> None:
    with pytest.raises(TypeError, match="video file"):
        next(Frames().build("cpu")([Row({})]))


@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_one_frame_of_a_sealed_row_is_read_alone(
    clip: Clip, tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = extract(clip, encoding=encoding)
    journal, keys = Journal(tmp_path), Keys("bar", "digest", ("key",))
    journal.write(keys, [row])
    seal(tmp_path / "shard.h5", [keys], {keys.name: journal.path(keys)}, {})
    material = Labelled(StoredRows(Store(tmp_path / "shard.h5"), ["bar"]), [0], 1, ["bar"])
    parts: list[Any] = []
    read = StoredArray.read
    spying = lambda array, file, part: parts.append(part) or read(array, file, part)  # noqa: E731
    monkeypatch.setattr(StoredArray, "read", spying)
    np.testing.assert_array_equal(picture(material.partial(0), "frames", 7), picture(row.arrays, "frames", 7))
    wanted = [slice(7, 8)] if encoding == "raw" else [slice(7, 9), slice(*row.arrays["frames_offsets"][[7, 8]])]
    assert parts == wanted


TIMES = np.array([0.0, 0.9, 1.7, 3.0, 3.1, 5.9, 12.5, 12.6, 15.0, 18.1])


def blocks() -> Iterator[Block]:
    """Frames of their own number, at uneven times from 7 s on."""
    frames = np.repeat(np.arange(10, dtype=np.uint8), 12).reshape(10, 2, 2, 3)
    for start in (0, 4, 8):
        part = slice(start, min(start + 4, 10))
        yield Block(frames[part], start, TIMES[part] + 7, TIMES[part][-1] + 7.04, 25.0, {})


@pytest.mark.parametrize(
    ("every_s", "expected"),
    [
        (None, list(range(10))),
        (3.0, [0, 3, 6, 8, 9]),  # nothing lies from 6 s to 12.5 s, and 18.1 s is the first after 18 s
        (1.0, [0, 2, 3, 5, 6, 8, 9]),
        (100.0, [0]),
    ],
)
def test_a_frame_every_so_many_seconds(every_s: float | None, expected: list[int]) -> None:
    found = list(numbered(blocks(), every_s))
    assert [number for number, _ in found] == expected
    assert all((frame == number).all() for number, frame in found)


def test_rows_of_sparse_frames_of_one_size(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 72, 96), np.uint8)
    clip = Clip(footage.write(tmp_path / "film.avi", noise))
    (row,) = Frames(size_px=(40, 50), every_s=1.0, encoding="raw").build("cpu")(clip)
    assert row.arrays["start_frames"].tolist() == [0, 25, 50]
    assert row.arrays["frames"].shape == (3, 50, 40, 3)
    assert row.attributes.items() >= {"fps": 25.0, "frames": 60}.items()
    whole = read(clip.path).frames
    for place, number in enumerate((0, 25, 50)):
        expected = cv2.resize(whole[number], (40, 50), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(row.arrays["frames"][place], expected)
