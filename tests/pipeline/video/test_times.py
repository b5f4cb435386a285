"""Times of frames, where the rate varies, where they are missing, and where they run backwards."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from pipeline.video.clock import Clock
from tests.support.films import decoded, encode, number_of, numbered, pictures_of

GAP = [*range(20), *range(60, 70)]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_gap_keeps_its_time(tmp_path: Path, ending: str) -> None:
    path = encode(tmp_path / f"x.{ending}", numbered(30), times=GAP)
    blocks, fault = decoded(path, block_frames=7)
    assert not fault
    times = np.concatenate([block.times for block in blocks])
    np.testing.assert_allclose(times, np.array(GAP) / 25, atol=1e-3)
    assert blocks[-1].end == pytest.approx(70 / 25, abs=1e-3)
    assert all(block.end <= later.times[0] + 1e-3 for block, later in itertools.pairwise(blocks))


def test_times_count_from_the_files_first_frame(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.ts", numbered(30), container="mpegts", times=[time + 90 for time in GAP])
    times = np.concatenate([block.times for block in decoded(path)[0]])
    np.testing.assert_allclose(times, np.array(GAP) / 25, atol=1e-3)
    (part,), _ = decoded(path, frames=(22, 25))
    np.testing.assert_allclose(part.times, np.array(GAP[22:25]) / 25, atol=1e-3)


def test_times_that_begin_anew_go_on(tmp_path: Path) -> None:
    """Two recordings in one file, each of which counts from its own beginning."""
    part = encode(tmp_path / "part.ts", numbered(10), container="mpegts", encoder={"bf": "0"})
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() * 2)
    blocks, fault = decoded(joined)
    assert not fault
    assert [number_of(picture) for picture in pictures_of(blocks)] == [*range(10)] * 2
    np.testing.assert_allclose(np.concatenate([block.times for block in blocks]), np.arange(20) / 25, atol=1e-3)


def test_a_clock_that_begins_anew_is_followed(tmp_path: Path) -> None:
    """Fifty pictures at 25 a second, and then fifty at 5 a second, which count from zero again."""
    parts = [
        encode(tmp_path / f"{rate}.ts", numbered(50), container="mpegts", encoder={"bf": "0"}, times=range(0, step, by))
        for rate, step, by in ((25, 50, 1), (5, 250, 5))
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    blocks, fault = decoded(joined)
    assert not fault
    expected = [*np.arange(50) / 25, *(2 + np.arange(50) / 5)]
    np.testing.assert_allclose(np.concatenate([block.times for block in blocks]), expected, atol=0.05)
    assert blocks[-1].notes == {"clock_restarts": 1}


def test_one_wrong_time_moves_no_other() -> None:
    clock = Clock(fps=25)
    noted = [number / 25 for number in range(100)]
    found = [clock.time_of(0.0 if number == 60 else time) for number, time in enumerate(noted)]
    np.testing.assert_allclose(found, noted)
    assert clock.restarts == 0


def test_case(shared: Path) -> None:
    blocks, fault = decoded(shared / "cases" / "vfr.mp4")
    assert not fault
    times = np.concatenate([block.times for block in blocks])
    numbers = [number_of(picture) for picture in pictures_of(blocks)]
    assert numbers == [*range(20), *range(60, 100)]
    np.testing.assert_allclose(times, np.array(numbers) / 25, atol=1e-6)
    assert times[20] == pytest.approx(2.4)
