"""Recordings: which body of several is taken, and what a frame's number means."""

import numpy as np
import pytest

from extractors.skeleton.config import Skeleton
from extractors.skeleton.recording import MAX_FRAMES
from pipeline.errors import UnusableVideo
from tests.support.mutations import SKELETON, mutated
from tests.support.skeletons import as_ntu, as_sdk, extract, figure, ntu_text, one_body, utkinect_text

# Bodies of a .skeleton file


def bodies(**tracks):
    """Frames, each with its bodies' joints by id; of each body the joints (time, 25, 3), and the frames it is in."""
    last = max(frames[-1] for _, frames in tracks.values())
    return [
        {id: joints[number] for id, (joints, frames) in tracks.items() if number in frames}
        for number in range(last + 1)
    ]


def read(clip, content, frames=None):
    return Skeleton(layout="kinect_v2").read(clip(content, frames))


def test_the_body_of_most_frames_is_taken(clip):
    person, chair = figure(), figure("boxing") + np.array((2, 0, 1))
    tracks = {"17": (as_ntu(chair), range(40)), "23": (as_ntu(person), range(80))}
    joints, notes = read(clip, ntu_text(bodies(**tracks)))
    np.testing.assert_array_equal(joints, person[:80])
    assert notes == {"bodies": 2, "body": "23"}
    (row,) = extract(clip(ntu_text(bodies(**tracks))), layout="kinect_v2")
    assert row.attributes == {"frames": 80, "bodies": 2, "body": "23"}


def test_of_bodies_of_as_many_frames_that_which_moves_most_is_taken(clip):
    person, still = figure()[:60], figure("boxing")[:1].repeat(60, axis=0)
    for order in ((person, still), (still, person)):
        tracks = {str(number): (as_ntu(joints), range(60)) for number, joints in enumerate(order)}
        joints, notes = read(clip, ntu_text(bodies(**tracks)))
        np.testing.assert_array_equal(joints, person)
        assert notes["bodies"] == 2


def test_the_body_of_a_range_is_that_of_most_of_its_frames(clip):
    first, second = figure()[:60], figure("boxing")[:60]
    tracks = {"a": (as_ntu(first), range(50)), "b": (as_ntu(second), range(20, 60))}
    content = ntu_text(bodies(**tracks))
    assert read(clip, content).notes == {"bodies": 2, "body": "a", "interpolated_frames": 10}
    joints, notes = read(clip, content, (30, 60))
    np.testing.assert_array_equal(joints, second[30:60])
    assert notes == {"bodies": 2, "body": "b"}
    assert read(clip, content, (0, 10)).notes == {}


def test_frames_without_the_body_lie_on_the_line_between_others(clip):
    person = figure()
    points = as_ntu(person)
    points[[0, 20, 21, 82]] = 0
    joints, notes = read(clip, one_body(points))
    assert notes["interpolated_frames"] == 4
    np.testing.assert_allclose(joints[20], (2 * person[19] + person[22]) / 3)
    np.testing.assert_array_equal(joints[[0, 82]], person[[1, 81]])
    kept = [*range(1, 20), *range(22, 82)]
    np.testing.assert_array_equal(joints[kept], person[kept])


LINES = one_body(as_ntu(figure()[:3])).splitlines(keepends=True)
FRAME = 1 + 1 + 1 + 25
"""Lines of a frame: bodies, body, joints, and 25 of these."""


def broken(line, replacement):
    """Three whole frames with one line (counted from 1) replaced."""
    return "".join([*LINES[: line - 1], replacement, *LINES[line:]])


@pytest.mark.parametrize(
    ("content", "reason", "frames"),
    [
        ("".join(LINES[:-1]), f"the file ends after line {3 * FRAME}, before a joint: it is cut off", 2),
        ("".join(LINES[: 1 + FRAME]), "before the number of bodies: it is cut off", 1),
        ("".join(LINES[:2]), "the file ends after line 2, before a body's id", 0),
        ("".join(LINES)[:-30], f"line {1 + 3 * FRAME}: .* columns; a joint has 12", 2),
        ("0\n", "the file has no frames: its first line announces 0", 0),
        ("3\n", "the file ends after line 1, before the number of bodies: it is cut off", 0),
        ("".join([*LINES, "1\n"]), "more lines than the 3 frames that the first line announces", 3),
        (broken(4, "20\n"), "line 4: 20 joints; 25 are needed", 0),
        (broken(4, "25.5\n"), "line 4: b'25.5' is not the number of joints", 0),
        (broken(2 + FRAME, "x\n"), f"line {2 + FRAME}: b'x' is not the number of bodies", 1),
        (broken(6, "0.1 NaN 2 1 1 1 1 1 1 1 1 2\n"), "line 6: 0.1 nan 2 is no place of a joint", 0),
        (broken(6, "0.1 1e9 2 1 1 1 1 1 1 1 1 2\n"), "line 6: .* is no place of a joint", 0),
        (broken(6, "0.1 a 2 1 1 1 1 1 1 1 1 2\n"), "line 6: .* other than numbers", 0),
        (broken(3, "7 0 1\n"), "line 3: 3 columns; a body's id and state has 10", 0),
        (ntu_text([{}] * 5), "no body in any of 5 frames", 5),
        (one_body(np.ones((5, 25, 3))), "joints coincide", 5),
    ],
)
def test_a_malformed_file_says_what_is_wrong_and_how_much_was_right(clip, content, reason, frames):
    with pytest.raises(UnusableVideo, match=reason) as caught:
        read(clip, content)
    assert caught.value.frames_decoded == frames


def test_lines_may_end_as_any_system_ends_them(clip):
    expected = read(clip, "".join(LINES)).joints
    for end in ("\r\n", "\r"):
        np.testing.assert_array_equal(read(clip, "".join(LINES).replace("\n", end)).joints, expected)


def test_one_id_is_one_body_of_a_frame(clip):
    frame = "".join(LINES[2 : 1 + FRAME])
    with pytest.raises(UnusableVideo, match="line 30: a body with the id of another one of the same frame"):
        read(clip, f"1\n2\n{frame}{frame}")


@pytest.mark.parametrize("frames", [(0, 4), (3, 5), (2, 2), (-1, 2)])
def test_a_range_that_the_file_does_not_hold_is_unusable(clip, frames):
    with pytest.raises(UnusableVideo, match="3 frames; they do not contain the range"):
        read(clip, "".join(LINES), frames)


# Numbers of frames of UTKinect-Action3D


def utkinect(clip, joints, numbers, frames=None):
    return Skeleton(layout="utkinect").read(clip(utkinect_text(as_sdk(joints), numbers), frames))


def test_ranges_are_of_the_files_own_numbers_and_time_runs_evenly(clip):
    """actionLabel.txt says ``walk: 252 390``; here every second frame was tracked, as mostly in the data set."""
    joints = figure()
    numbers = range(200, 200 + 2 * len(joints), 2)
    found, notes = utkinect(clip, joints, numbers, (252, 301))
    assert len(found) == 49
    np.testing.assert_array_equal(found[::2], joints[26:51])
    np.testing.assert_allclose(found[1::2], (joints[26:50] + joints[27:51]) / 2)
    assert notes == {"interpolated_frames": 24}
    everything, _ = utkinect(clip, joints, numbers)
    assert len(everything) == 2 * len(joints) - 1
    np.testing.assert_array_equal(everything[52:101], found)


def test_a_steady_movement_has_one_velocity_over_jumps_of_the_numbers(clip):
    numbers = np.array([3, 4, 5, 9, 10, 16, 17, 18])
    joints = figure()[:1] + 0.01 * numbers[:, None, None]
    found, notes = utkinect(clip, joints, numbers)
    np.testing.assert_allclose(np.diff(found, axis=0), 0.01)
    assert notes == {"interpolated_frames": 8}


def test_of_lines_of_one_number_the_first_counts_and_it_is_said(clip):
    joints = figure()[:20]
    again = np.insert(joints, [6, 6, 15], joints[[5, 5, 14]] + 0.02, axis=0)
    numbers = np.insert(np.arange(100, 120), [6, 6, 15], [105, 105, 114])
    found, notes = utkinect(clip, again, numbers)
    np.testing.assert_array_equal(found, joints)
    assert notes == {"repeated_frames": 2}
    assert utkinect(clip, again, numbers, (100, 110)).notes == {"repeated_frames": 1}
    assert utkinect(clip, again, numbers, (106, 114)).notes == {}


@pytest.mark.parametrize(
    ("numbers", "frames", "reason"),
    [
        ((5, 6, 4, 7), None, "line 3: frame 4 after frame 6; two recordings"),
        ((5, 6, 6.5, 7), None, "line 3: 6.5 is no number of a frame"),
        ((-5, 6, 7, 8), None, "line 1: -5 is no number of a frame"),
        ((5, 6, 7, "x"), None, "line 4: .* other than numbers"),
        ((5, 6, 7, MAX_FRAMES + 9), None, f"frame numbers 5 to {MAX_FRAMES + 9}; a recording has at most"),
        ((5, 6, 7, 8), (4, 8), "4 frames, numbered 5 to 8; they do not contain the range 4 to 8"),
        ((5, 6, 7, 8), (6, 10), "4 frames, numbered 5 to 8; they do not contain the range 6 to 10"),
        ((5, 6, 7, 30), (10, 20), "all 10 frames are zero: no body was tracked"),
    ],
)
def test_numbers_that_cannot_be(clip, numbers, frames, reason):
    with pytest.raises(UnusableVideo, match=reason):
        utkinect(clip, figure()[:4], numbers, frames)


# Damage


@pytest.mark.parametrize("layout", ["kinect_v2", "utkinect"])
@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_file_gives_finite_joints_or_a_reason(clip, layout, seed):
    joints = figure()[:30]
    content = one_body(as_ntu(joints)) if layout == "kinect_v2" else utkinect_text(as_sdk(joints))
    what, damaged = mutated(content.encode(), SKELETON, seed)
    found, failure = None, None
    try:
        found = Skeleton(layout=layout).read(clip(damaged)).joints
    except UnusableVideo as error:
        failure = error
    if failure:
        assert 0 <= failure.frames_decoded <= damaged.count(b"\n") // 20 + 31, what
        assert "\n" not in failure.reason, what
    else:
        assert found.shape[1:] == (20, 3), what
        assert np.isfinite(found).all(), what
        assert abs(found).max() <= 1e6, what
