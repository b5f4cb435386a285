"""Annotated copies: every frame at its time, with the words of that time on it, and nothing else changed."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UnusableVideo
from pipeline.video.annotate import annotate, captioned
from pipeline.video.decode import read
from tests.support.films import FPS, encode, number_of, numbered

IRREGULAR = [number + 7 * (number > 20) for number in range(40)]


def caption(time_s: float) -> str:
    return "across  87 %" if time_s < 0.6 else "down  91 %"


def test_frames_are_read_back_with_their_times_and_words(tmp_path: Path) -> None:
    path = encode(tmp_path / "film.mkv", numbered(40, 320, 240), times=IRREGULAR)
    annotate(path, tmp_path / "annotated.mp4", caption)
    before, after = read(path), read(tmp_path / "annotated.mp4")
    np.testing.assert_allclose(after.times, before.times, atol=1e-3)
    assert [number_of(frame) for frame in after.frames] == list(range(40))
    for time, plain, frame in zip(before.times, before.frames, after.frames, strict=True):
        said, other = caption(time), caption(0.0 if time >= 0.6 else 1.0)
        right, wrong = (np.abs(captioned(plain, text).astype(int) - frame).mean() for text in (said, other))
        assert right < 3
        assert wrong > 1.3 * right
        assert np.abs(plain[:160].astype(int) - frame[:160]).mean() < 3


@pytest.mark.parametrize("size", [(61, 83), (120, 160), (12, 16)])
def test_a_caption_fits_any_frame(size: tuple[int, int]) -> None:
    frame = np.full((*size, 3), 120, np.uint8)
    found = captioned(frame, "a class with a very long name, längər than the frame  100 %")
    assert found.shape == (size[0] // 2 * 2, size[1] // 2 * 2, 3)
    assert found.max() > 200 or size[0] < 20
    assert found.min() < 60
    assert (frame == 120).all()


def test_what_decodes_of_a_film_that_is_cut_off_is_annotated(tmp_path: Path) -> None:
    path = encode(tmp_path / "film.mkv", numbered(60))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    annotate(path, tmp_path / "annotated.mp4", caption)
    assert 20 < len(read(tmp_path / "annotated.mp4").frames) < 60
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(UnusableVideo):
        annotate(tmp_path / "empty.mp4", tmp_path / "none.mp4", caption)
    assert not (tmp_path / "none.mp4").exists()


def test_the_rate_of_a_regular_film_is_kept(tmp_path: Path) -> None:
    path = encode(tmp_path / "film.mp4", numbered(30))
    annotate(path, tmp_path / "annotated.mp4", caption)
    assert read(tmp_path / "annotated.mp4").fps == pytest.approx(FPS, rel=0.02)
