"""Skeleton files: read to the last bit or refused with what is wrong, then repaired, normalised, evened out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractors.base import Clip
from extractors.skeleton.blocks import (
    angles,
)
from extractors.skeleton.body import (
    BONES,
    HIP_CENTRE,
    OUTWARDS,
    bone_length,
    equal_bones,
    interpolated,
    normalised,
)
from extractors.skeleton.file import _recording, read
from extractors.skeleton.layouts import LAYOUTS
from extractors.skeleton.repair import repaired
from pipeline.errors import UnusableVideo
from tests.support.skeletons import extract, text, walk

# Parsing


def test_coordinates_are_read_to_the_last_bit_and_confidences_left_out(clip):
    joints = walk()
    np.testing.assert_array_equal(read(clip(joints).path).joints, joints)
    np.testing.assert_array_equal(read(clip(text(joints, 0.25).replace("\n", "\r\n") + "\r\n \n").path).joints, joints)


def test_a_range_is_half_open(clip):
    joints = walk(9)
    np.testing.assert_array_equal(read(clip(joints).path, (2, 5)).joints, joints[2:5])
    np.testing.assert_array_equal(read(clip(joints).path, (0, 9)).joints, joints)


LINES = text(walk(3)).splitlines(keepends=True)


def broken(line, replacement):
    """Three whole frames with one line (counted from 1) replaced."""
    return "".join([*LINES[: line - 1], replacement + "\n", *LINES[line:]])


@pytest.mark.parametrize(
    ("content", "reason", "whole_frames"),
    [
        ("", "empty", 0),
        (" \n\n", "empty", 0),
        ("".join(LINES[:59]), "59 lines .* cut off", 2),
        ("".join(LINES[:7]), "7 lines", 0),
        ("".join(LINES[:41])[:-30], "line 41: [123] columns", 2),
        (broken(41, "0.1 0.2 x 1"), "line 41: .*0.2 x 1.* other than numbers", 2),
        (broken(40, "0.1 0.2 nan 1"), "line 40: NaN", 1),
        (broken(1, "0.1 -inf 2 1"), "line 1: NaN or infinity", 0),
        (broken(20, "0.1 0.2 0.3 NaN"), "line 20: NaN", 0),
        (broken(21, "0.1 0.2 0.3"), "line 21: 3 columns", 1),
        (broken(21, "0.1 0.2 0.3 1 1"), "line 21: 5 columns", 1),
        (broken(21, "0.1,0.2,0.3,1"), "line 21: 1 columns", 1),
        (broken(30, ""), "line 30: 0 columns", 1),
        (broken(60, "1 -1e300 2 1"), r"line 60: -1e\+300 is not a coordinate", 2),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe", "line 1: 1 columns", 0),
        ("".join(LINES).encode() + bytes(200), "line 61: 1 columns", 3),
        (broken(50, "1 2 3 4").encode().replace(b"1 2 3 4", b"1 2 \xff\xfe 4"), "line 50: .* other than numbers", 2),
        (text(np.zeros((3, 20, 3))), "all 3 frames are zero", 3),
        (text(np.ones((4, 20, 3))), "joints coincide", 4),
    ],
)
def test_a_malformed_file_says_what_is_wrong_and_how_much_was_right(clip, content, reason, whole_frames):
    with pytest.raises(UnusableVideo, match=reason) as caught:
        extract(clip(content))
    assert caught.value.frames_decoded == whole_frames


@pytest.mark.parametrize("frames", [(0, 4), (3, 5), (2, 2), (2, 1), (-1, 2)])
def test_a_range_that_the_file_does_not_hold_is_unusable(clip, frames):
    with pytest.raises(UnusableVideo, match="3 frames") as caught:
        extract(clip(walk(3), frames))
    assert caught.value.frames_decoded == 3


def test_a_file_far_too_large_is_not_read_whole(clip, monkeypatch):
    content = text(walk(3))
    monkeypatch.setattr("extractors.skeleton.file.MAX_BYTES", len(content))
    assert len(read(clip(content).path).joints) == 3
    with pytest.raises(UnusableVideo, match="smaller"):
        read(clip(content + "\n").path)


def test_trouble_of_the_system_passes_through(tmp_path):
    for path in (tmp_path / "missing.txt", tmp_path):
        with pytest.raises(OSError, match=str(path)):
            extract(Clip(path))


@settings(max_examples=200, deadline=None)
@given(
    content=st.binary(max_size=300)
    | st.text(alphabet="0123456789.-+einfNa_ \n\r\t\x00", max_size=300).map(str.encode)
    | st.text(alphabet="0123456789.- \n", max_size=300).map(lambda text: f"3\n1\n{text}".encode()),
    layout=st.sampled_from([*LAYOUTS.values()]),
)
def test_no_bytes_raise_anything_else(content, layout):
    with pytest.raises(UnusableVideo):  # too short for even one frame
        _recording(content, None, layout)


# Joints of other data sets


def walk_of(joints, time=20):
    """A body of any number of joints, (time·joints/20, 20, 3), as frames of twenty would be read from its file."""
    rng = np.random.default_rng(joints)
    points = rng.normal(size=(joints, 3)) + np.cumsum(rng.normal(scale=0.05, size=(time, joints, 3)), axis=0)
    return points.reshape(-1, 20, 3)


@pytest.mark.parametrize("joints", [15, 18, 24, 25, 32, 40])
def test_a_file_of_other_joints_says_how_many_a_frame_seems_to_have(clip, joints):
    with pytest.raises(UnusableVideo, match=rf"{20 * joints} lines look like 20 frames of {joints} joints; 20 joints"):
        extract(clip(walk_of(joints)))


def test_a_second_body_that_is_not_there_is_no_frame_of_the_first(clip):
    bodies = np.stack([walk(20), np.zeros((20, 20, 3))], axis=1)
    with pytest.raises(UnusableVideo, match="20 frames of 40 joints"):
        extract(clip(bodies))


def test_other_joints_are_named_where_the_lines_are_no_multiple_of_twenty(clip):
    lines = text(walk_of(25)).splitlines(keepends=True)[: 19 * 25]
    with pytest.raises(UnusableVideo, match="475 lines look like 19 frames of 25 joints"):
        extract(clip("".join(lines)))


def test_twenty_joints_whose_bones_change_from_frame_to_frame_are_no_body(clip):
    with pytest.raises(UnusableVideo, match=r"bones change by \d+% from frame to frame"):
        extract(clip(np.random.default_rng(0).normal(size=(20, 20, 3))))


def still(joints):
    return joints[:1].repeat(len(joints), axis=0)


def jolted(joints):
    joints[1, 3], joints[5, 8] = 90, -100
    return joints


def lost(joints):
    joints[5:25] = 0
    return joints


@pytest.mark.parametrize("change", [still, jolted, lost, lambda joints: joints[:1], lambda joints: 1000 * joints])
def test_twenty_joints_are_taken_as_such_whatever_befell_them(clip, change):
    joints = change(walk(30))
    assert len(read(clip(joints).path).joints) == len(joints)


@pytest.mark.parametrize(
    ("time", "zero"),
    [(2, [0]), (2, [1]), (3, [0, 2]), (4, [0, 2]), (5, [0, 2, 4]), (6, [1]), (6, [1, 4]), (6, [0, 2, 4]), (8, [1]),
     (8, [0, 4]), (9, [1, 6]), (9, [0, 1, 2, 4, 6, 7])],
)  # fmt: skip
def test_lost_frames_of_a_short_clip_are_no_other_joints(clip, time, zero):
    joints = walk(time, seed=time)
    joints[zero] = 0
    assert len(read(clip(joints).path).joints) == time


def test_every_real_skeleton_is_a_body(shared):
    files = sorted((shared / "msr-action3d").glob("a*_skeleton3D.txt"))
    seen = [file for file in files if file.name != "a13_s09_e02_skeleton3D.txt"]  # which is all zeros
    assert all(read(file).joints.shape[1:] == (20, 3) for file in seen)


# Repair


def test_zero_frames_lie_on_the_line_between_their_neighbours():
    line = walk(1) + np.arange(8)[:, None, None] * walk(1, seed=1)
    holes = line.copy()
    holes[[2, 3, 5]] = 0
    np.testing.assert_allclose(repaired(holes), line, atol=1e-12)
    whole = [0, 1, 4, 6, 7]
    np.testing.assert_array_equal(repaired(holes)[whole], line[whole])


def test_zero_frames_at_the_ends_repeat_the_nearest():
    joints = walk(6)
    holes = joints.copy()
    holes[[0, 1, 5]] = 0
    np.testing.assert_array_equal(repaired(holes), joints[[2, 2, 2, 3, 4, 4]])


def test_a_single_joint_at_the_origin_is_no_zero_frame():
    joints = walk(3)
    joints[1, 4] = 0
    np.testing.assert_array_equal(repaired(joints), joints)


# Normalisation


def test_normalised_bodies_have_their_hips_at_the_origin_and_bones_of_length_one():
    joints = normalised(walk())
    np.testing.assert_allclose(joints[:, 6], 0, atol=1e-12)
    assert bone_length(joints) == pytest.approx(1)


def test_normalising_forgets_where_a_body_is_and_how_large():
    joints = walk()
    path = np.random.default_rng(1).normal(size=(len(joints), 1, 3))
    np.testing.assert_allclose(normalised(1.7 * joints + path), normalised(joints), atol=1e-12)


# Bodies evened out


def test_bones_lead_outwards_from_the_hip_centre():
    assert sorted(map(sorted, OUTWARDS)) == sorted(map(sorted, BONES.tolist()))
    reached = [HIP_CENTRE]
    for inner, outer in OUTWARDS:
        assert inner in reached
        reached.append(outer)
    assert sorted(reached) == list(range(20))


def test_equal_bones_keep_directions_hips_and_the_bodys_size():
    joints = walk()
    equal = equal_bones(joints)
    lengths = np.linalg.norm(equal[:, BONES[:, 1]] - equal[:, BONES[:, 0]], axis=2)
    np.testing.assert_allclose(lengths, bone_length(joints))
    np.testing.assert_allclose(angles(equal), angles(joints), atol=1e-7)
    np.testing.assert_array_equal(equal[:, HIP_CENTRE], joints[:, HIP_CENTRE])
    np.testing.assert_allclose(equal_bones(equal), equal)


def test_bodies_that_differ_in_the_lengths_of_their_bones_alone_become_one(clip):
    joints = walk()
    other, factors = joints.copy(), np.random.default_rng(2).uniform(0.5, 2, 19)
    for (inner, outer), factor in zip(OUTWARDS, factors, strict=True):
        other[:, outer] = other[:, inner] + factor * (joints[:, outer] - joints[:, inner])
    (row,), (same,) = extract(clip(joints), equal_bones=True), extract(clip(other), equal_bones=True)
    np.testing.assert_allclose(row.arrays["features"], same.arrays["features"], atol=1e-4)


def test_a_bone_without_length_leaves_its_joints_together():
    joints = walk()
    joints[:, 7] = joints[:, 0]  # elbow and shoulder
    equal = equal_bones(joints)
    np.testing.assert_array_equal(equal[:, 7], equal[:, 0])
    assert np.isfinite(equal).all()


def test_the_first_frames_origin_keeps_the_way_of_the_hip_centre(clip):
    joints = walk()
    (row,) = extract(clip(joints + np.array((5, 6, 7))), origin="first_frame")
    positions = row.arrays["features"][:, :60].reshape(-1, 20, 3)
    way = (joints[:, HIP_CENTRE] - joints[0, HIP_CENTRE]) / bone_length(joints)
    np.testing.assert_allclose(positions[:, HIP_CENTRE], way, atol=1e-5)
    (each,) = extract(clip(joints))
    np.testing.assert_allclose(positions[0], each.arrays["features"][0, :60].reshape(20, 3), atol=1e-5)


def test_interpolation_keeps_whole_frames():
    joints = walk(5)
    np.testing.assert_array_equal(interpolated(joints, np.array([0.0, 3.0, 4.0])), joints[[0, 3, 4]])
