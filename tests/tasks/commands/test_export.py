"""Export: it writes every array once, and goes on where it was interrupted."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from extractors.base import Clip, Extractor
from extractors.clip_reader import ClipReader
from extractors.frames import Frames
from extractors.tvl1.config import TVL1
from pipeline.rows import Keys
from pipeline.store import Store
from pipeline.store.journal import Journal
from pipeline.store.seal import seal, write_index
from tasks.commands.comparison import differences
from tasks.commands.export import export
from tests.support import footage
from tests.support.small_experiment import BROKEN, Small


@pytest.fixture
def video(tmp_path: Path) -> Clip:
    """Blurred noise, 64×48, that moves by 2 px a frame to the right."""
    noise = cv2.GaussianBlur(np.random.default_rng(0).uniform(0, 255, (48, 76)), (0, 0), 2)
    noise = np.interp(noise, (noise.min(), noise.max()), (0, 255)).astype(np.uint8)
    return Clip(footage.write(tmp_path / "moving.avi", np.stack([noise[:, 12 - 2 * n :][:, :64] for n in range(6)])))


def stored(folder: Path, extractor: Extractor, clip: Clip) -> Path:
    """The folder of a stage with the rows of one video."""
    stage = folder / f"{extractor.name}-0123456789ab"
    origin = {"stage": "Extract", "fingerprint": "0123456789ab", "components": extractor.significant(str)}
    journal, keys, shard = (
        Journal(stage / "journal"),
        Keys("moving", "digest", ("key",)),
        stage / "0-of-1-0123456789ab.h5",
    )
    journal.write(keys, list(extractor.build("cpu")(clip)))
    seal(shard, [keys], {keys.name: journal.path(keys)}, origin)
    write_index(stage / "index.h5", [shard], origin)
    return stage


def exported(stage: Path, out: Path, name: str) -> np.ndarray:
    export(stage, out)
    array: np.ndarray = np.load(out / "moving" / "0" / f"{name}.npy")
    return array


def test_export_writes_every_array_once(small: Small, tmp_path: Path) -> None:
    out = tmp_path / "out"
    store = Store(small.rows() / "index.h5")
    assert small.says("export", small.rows(), out, "--npy")[0].startswith(f"{len(store.ids())} rows written")
    for video in store.ids():
        row = store.read(video)
        for name, array in row.arrays.items():
            np.testing.assert_array_equal(np.load(out / video / "0" / f"{name}.npy"), array)
        assert json.loads((out / video / "0" / "attributes.json").read_text()) == row.attributes
    assert json.loads((out / "failures.json").read_text()).keys() == {BROKEN}
    listed = json.loads((out / "labels.json").read_text())
    assert listed["classes"] == ["a", "b"]
    assert listed["labels"]["video03"] == [1]
    assert json.loads((out / "provenance.json").read_text())["components"]["name"] == "skeleton"
    (out / "video02" / "0" / "attributes.json").unlink()  # as if it had been interrupted there
    assert small.says("export", small.rows(), out, "--npy")[0].startswith("1 row written; ")
    small.fields["variant"] = "583"
    small.run()
    assert "another stage" in small.refused("export", small.rows(), out, "--npy")
    assert "--npy" in small.refused("export", small.rows(), tmp_path / "other")


def test_export_removes_rows_that_the_store_has_no_more(small: Small, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (small.root / "extra").mkdir()
    small.add("extra/video08", "a", "train", seed=8)
    small.run()
    small.says("export", small.rows(), out, "--npy")
    (row,) = [path.parent for path in out.rglob("attributes.json") if "video08" in str(path)]
    mine = [out / "video01" / "notes" / "attributes.json", out / "video01" / "0" / "notes.txt"]
    mine[0].parent.mkdir()
    for file in mine:
        file.write_text("{}")
    manifest = small.root / "manifest.csv"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if "video01" not in line and "video08" not in line))
    small.run()
    (line,) = small.says("export", small.rows(), out, "--npy")
    assert "0 rows written, 2 removed" in line
    assert not row.exists()
    assert not (out / "extra").exists()
    assert [path for path in (out / "video01").rglob("*") if path.is_file()] == sorted(mine, reverse=True)


@pytest.mark.parametrize("encoding", ["jpeg", "png", "raw"])
@pytest.mark.parametrize("bound_px", [10, 20])
def test_flow_is_exported_in_pixels(tmp_path: Path, video: Clip, encoding: Any, bound_px: float) -> None:
    stage = stored(tmp_path, TVL1(size_px=None, bound_px=bound_px, encoding=encoding), video)
    flow = exported(stage, tmp_path / "out", "flow")
    assert (flow.shape, flow.dtype) == ((5, 48, 64, 2), np.float32)
    np.testing.assert_allclose(np.median(flow[:, 12:-12, 12:-12], axis=(0, 1, 2)), (2, 0), atol=0.2)
    assert sorted(path.name for path in (tmp_path / "out" / "moving" / "0").glob("*.npy")) == [
        "ends.npy",
        "flow.npy",
        "start_frames.npy",
        "times.npy",
    ]
    assert bound_px != 20 or all(one.within(1e-4) for one in differences(stage, tmp_path / "out", None))


@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_frames_are_exported_as_pictures(tmp_path: Path, video: Clip, encoding: Any) -> None:
    stage = stored(tmp_path, Frames(short_side=None, encoding=encoding), video)
    frames = exported(stage, tmp_path / "out", "frames")
    assert (frames.shape, frames.dtype) == ((6, 48, 64, 3), np.uint8)
    assert abs(frames.astype(int) - np.stack([*ClipReader(video).frames()])).mean() < 3
    assert all(one.within(0) for one in differences(stage, tmp_path / "out", None))


def test_an_export_of_before_is_decoded_by_the_next(tmp_path: Path, video: Clip) -> None:
    stage = stored(tmp_path, Frames(short_side=None), video)
    exported(stage, tmp_path / "out", "frames")
    row, encoded = tmp_path / "out" / "moving" / "0", Store(stage / "index.h5").read("moving").arrays
    for name, array in encoded.items():
        np.save(row / f"{name}.npy", array)
    digests = {f"{name}.npy": hashlib.sha256((row / f"{name}.npy").read_bytes()).hexdigest() for name in encoded}
    (row / "digests.json").write_text(json.dumps(digests))
    assert exported(stage, tmp_path / "out", "frames").ndim == 4
    assert not (row / "frames_offsets.npy").exists()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def swap(file: Path) -> None:
    other = file.parents[2] / "video03" / "0" / file.name
    mine, others = file.read_bytes(), other.read_bytes()
    file.write_bytes(others)
    other.write_bytes(mine)


@pytest.mark.parametrize("harm", [cut, flip, empty, swap, Path.unlink])
def test_what_is_not_as_it_was_written_is_written_again(
    harm: Callable[[Path], None], small: Small, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    small.says("export", small.rows(), out, "--npy")
    expected = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    (line,) = small.says("export", small.rows(), out, "--npy")
    assert line.startswith("0 rows written")
    harm(out / "video02" / "0" / "features.npy")
    (line,) = small.says("export", small.rows(), out, "--npy")
    assert line.startswith("2 rows written" if harm is swap else "1 row written")
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == expected


@pytest.mark.parametrize("name", ["digests.json", "attributes.json"])
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"features.npy": 3}'])
def test_files_beside_the_arrays_are_not_believed_either(name: str, content: str, small: Small, tmp_path: Path) -> None:
    out = tmp_path / "out"
    small.says("export", small.rows(), out, "--npy")
    file = out / "video02" / "0" / name
    expected = file.read_text()
    file.write_text(content)
    (line,) = small.says("export", small.rows(), out, "--npy")
    assert line.startswith("1 row written")
    assert file.read_text() == expected


@pytest.mark.parametrize("content", ["", "[]", "{}", "nonsense"])
def test_a_folder_whose_provenance_nobody_wrote_is_left_alone(content: str, small: Small, tmp_path: Path) -> None:
    (tmp_path / "provenance.json").write_text(content)
    assert "an empty or new folder is needed" in small.refused("export", small.rows(), tmp_path, "--npy")
    assert (tmp_path / "provenance.json").read_text() == content


@pytest.mark.parametrize("content", ["", "[3]", '{"a": 3}', "[" * 5000])
def test_failures_that_no_export_wrote_are_a_mistake(content: str, small: Small, tmp_path: Path) -> None:
    out = tmp_path / "out"
    small.says("export", small.rows(), out, "--npy")
    (out / "failures.json").write_text(content)
    assert "failures.json is damaged, or not what kinescope export writes" in small.refused("compare", out, out)


def test_an_export_to_where_nothing_can_be(small: Small, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "Not a directory; it must be" in small.refused("export", small.rows(), tmp_path / "file" / "out", "--npy")
    assert "File name too long" in small.refused("export", small.rows(), tmp_path / ("x" * 300), "--npy")
