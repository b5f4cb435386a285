"""Times of frames, where the rate varies, where they are missing, and where they run backwards."""

import itertools
from pathlib import Path

import numpy as np
import pytest

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


def test_case(shared: Path) -> None:
    blocks, fault = decoded(shared / "cases" / "vfr.mp4")
    assert not fault
    times = np.concatenate([block.times for block in blocks])
    numbers = [number_of(picture) for picture in pictures_of(blocks)]
    assert numbers == [*range(20), *range(60, 100)]
    np.testing.assert_allclose(times, np.array(numbers) / 25, atol=1e-6)
    assert times[20] == pytest.approx(2.4)
