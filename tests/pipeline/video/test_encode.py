"""Videos that are written: their frames come back, the same bytes each time, all or nothing."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.video.decode import read
from pipeline.video.encode import write
from tests.support.footage import gradient


def test_written_frames_come_back(tmp_path: Path) -> None:
    pictures = gradient(9)
    write(tmp_path / "x.mp4", iter(pictures), 25, crf=1)
    clip = read(tmp_path / "x.mp4")
    assert clip.fps == 25
    np.testing.assert_allclose(clip.times, np.arange(9) / 25, atol=1e-9)
    assert abs(clip.frames.astype(int) - np.stack(pictures)).max() <= 6


def test_writing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.normal(120, 2, (60, 120, 160, 3))
    patch = rng.integers(0, 256, (40, 24, 3))
    for number, picture in enumerate(pictures):
        picture[40:80, 2 * number : 2 * number + 24] = patch
    written = set()
    for name in range(20):
        write(tmp_path / f"{name}.mp4", pictures.astype(np.uint8), Fraction(30000, 1001))
        written.add((tmp_path / f"{name}.mp4").read_bytes())
    assert len(written) == 1
    assert read(tmp_path / "0.mp4").fps == 30000 / 1001


@pytest.mark.parametrize(
    "pictures",
    [
        [],
        [np.zeros((47, 64, 3), np.uint8)],
        [np.zeros((48, 64), np.uint8)],
        [np.zeros((48, 64, 3), np.float32)],
        [np.zeros((48, 64, 3), np.uint8), np.zeros((48, 62, 3), np.uint8)],
    ],
    ids=["none", "odd", "grey", "float", "changing"],
)
def test_frames_that_cannot_be_written_leave_nothing(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"wanted|needed"):
        write(tmp_path / "x.mp4", pictures, 25)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_source_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    write(path, gradient(3), 25)
    before = path.read_bytes()

    def failing():
        yield from gradient(2)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write(path, failing(), 25)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
