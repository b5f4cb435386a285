"""Pictures of a clip or of a skeleton: evenly spread, and small."""

import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UnusableVideo
from pipeline.report import thumbnails
from pipeline.video.encode import write
from tests.support.thumbnails import levels, ramp


@pytest.mark.parametrize(("length", "expected"), [(1, [0]), (3, [0, 1, 2]), (8, [1, 3, 5, 7]), (100, [12, 37, 62, 87])])
def test_pictures_are_evenly_spread(length: int, expected: list[int], tmp_path: Path) -> None:
    assert thumbnails.CARD.places(length) == expected
    write(tmp_path / "clip.mp4", ramp(length), 25)
    shown = levels(thumbnails.of_clip(tmp_path / "clip.mp4"))
    np.testing.assert_allclose(shown, [2 * place for place in expected], atol=6)


def test_a_range_of_frames_and_the_beginning_of_a_long_clip(tmp_path: Path) -> None:
    write(tmp_path / "clip.mp4", ramp(100), 25)
    np.testing.assert_allclose(levels(thumbnails.of_clip(tmp_path / "clip.mp4", (40, 48))), [82, 86, 90, 94], atol=6)
    long = [np.full((16, 16, 3), 20 if number < 1000 else 220, np.uint8) for number in range(1400)]
    write(tmp_path / "long.mp4", long, 25)
    assert max(levels(thumbnails.of_clip(tmp_path / "long.mp4"))) < 40


def test_what_decodes_of_a_damaged_clip_is_shown(shared: Path, tmp_path: Path) -> None:
    assert len(levels(thumbnails.of_clip(shared / "clips" / "corrupted.mp4"))) == 4
    (tmp_path / "none.mp4").write_bytes(b"no video at all")
    with pytest.raises(UnusableVideo):
        thumbnails.of_clip(tmp_path / "none.mp4")


def test_skeletons_stand_upright_in_their_pictures() -> None:
    joints = np.zeros((8, 4, 3))
    joints[:, :, 1] = [0.0, 0.5, 1.0, 1.7]  # feet to head
    joints[:, 1, 0] = np.linspace(-0.3, 0.3, 8)
    elements = thumbnails.of_skeleton(joints, np.array([(0, 1), (1, 2), (2, 3)]), head=3)
    assert len(elements) == 4
    for element in elements:
        match = re.search(r'viewBox="0 0 (\d+) (\d+)".*d="M([\d.]+) ([\d.]+)L.*cx="([\d.]+)" cy="([\d.]+)"', element)
        assert match
        width, height, _, feet, across, head = map(float, match.groups())
        assert 0 < head < feet < height
        assert feet - head == pytest.approx(0.86 * height, abs=0.2)
        assert 0 < across < width
