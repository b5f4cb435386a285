import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractors.base import Clip
from extractors.skeleton.augmentation import UNCHANGED, Augmentation, Perturbation, generator, rotation
from extractors.skeleton.blocks import (
    angles,
    features,
    offsets,
    pairwise_distances,
    relative_positions,
    velocity_histograms,
)
from extractors.skeleton.config import Skeleton
from extractors.skeleton.file import (
    BONES,
    HIP_CENTRE,
    OUTWARDS,
    bone_length,
    equal_bones,
    interpolated,
    normalised,
    parse,
    read,
    repaired,
)
from extractors.skeleton.path import along_path
from pipeline.errors import InputError, UnusableVideo

SIZES = {"position": 60, "angle": 136, "offset": 54, "velocity": 162, "pairwise": 171}
PLACES = dict(zip(SIZES, np.split(np.arange(583), np.cumsum(list(SIZES.values()))[:-1]), strict=True))


def walk(time=12, seed=0):
    """A random body, (time, 20, 3), whose joints wander."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(20, 3)) + np.cumsum(rng.normal(scale=0.05, size=(time, 20, 3)), axis=0) + (0, 0, 3)


def text(joints, confidence=1.0):
    rows = np.asarray(joints, float).reshape(-1, 3)
    return "".join(f"{x!r} {y!r} {z!r} {confidence}\n" for x, y, z in rows.tolist())


@pytest.fixture
def clip(tmp_path):
    """Writes joints, text or bytes, and returns the clip."""

    def write(content, frames=None):
        path = tmp_path / "a01_s01_e01_skeleton3D.txt"
        content = content if isinstance(content, str | bytes) else text(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return Clip(path, frames)

    return write


def extract(clip, **fields):
    return list(Skeleton(**fields).build("cpu")(clip))


# Parsing


def test_coordinates_are_read_to_the_last_bit_and_confidences_left_out(clip):
    joints = walk()
    np.testing.assert_array_equal(read(clip(joints).path), joints)
    np.testing.assert_array_equal(read(clip(text(joints, 0.25).replace("\n", "\r\n") + "\r\n \n").path), joints)


def test_a_range_is_half_open(clip):
    joints = walk(9)
    np.testing.assert_array_equal(read(clip(joints).path, (2, 5)), joints[2:5])
    np.testing.assert_array_equal(read(clip(joints).path, (0, 9)), joints)


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
    assert len(read(clip(content).path)) == 3
    with pytest.raises(UnusableVideo, match="smaller"):
        read(clip(content + "\n").path)


def test_trouble_of_the_system_passes_through(tmp_path):
    for path in (tmp_path / "missing.txt", tmp_path):
        with pytest.raises(OSError, match=str(path)):
            extract(Clip(path))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text(alphabet="0123456789.-+einfNa_ \n\r\t\x00", max_size=300).map(str.encode))
def test_no_bytes_raise_anything_else(content):
    with pytest.raises(UnusableVideo):  # too short for even one frame of twenty lines
        parse(content)


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


# Blocks


def test_sizes_and_order_of_the_blocks():
    joints = walk()
    blocks = features(joints, 5, 0.02, distances=True)
    assert blocks.shape == (12, 583)
    assert features(joints, 5, 0.02, distances=False).shape == (12, 472)
    np.testing.assert_array_equal(blocks[:, PLACES["position"]], joints.reshape(12, 60))
    np.testing.assert_array_equal(blocks[:, PLACES["angle"]], angles(joints))
    np.testing.assert_array_equal(blocks[:, PLACES["offset"]], offsets(joints))
    np.testing.assert_array_equal(blocks[:, PLACES["velocity"]], velocity_histograms(offsets(joints), 5, 0.02))
    np.testing.assert_array_equal(blocks[:, PLACES["pairwise"]], pairwise_distances(joints))
    np.testing.assert_array_equal(features(joints, 5, 0.02, distances=False)[:, 412:], relative_positions(joints))


def test_the_bones_are_a_tree_over_all_joints():
    reached = {0}
    for _ in BONES:
        reached |= {b for bone in BONES.tolist() for a, b in (bone, bone[::-1]) if a in reached}
    assert len(BONES) == 19
    assert reached == set(range(20))


def test_angles_against_the_definition_bone_by_bone():
    # 1-based, as in the published layout of the data
    listed = "20-3 1-3 2-3 1-8 8-10 10-12 2-9 9-11 11-13 3-4 4-7 7-5 7-6 5-14 6-15 14-16 15-17"
    bones = [tuple(int(joint) - 1 for joint in bone.split("-")) for bone in listed.split(" ")]
    joints = walk(2)
    for frame, found in zip(joints, angles(joints), strict=True):
        vectors = [frame[b] - frame[a] for a, b in bones]
        expected = [
            math.acos(np.dot(u, v) / math.sqrt(np.dot(u, u) * np.dot(v, v))) / math.pi
            for i, u in enumerate(vectors)
            for v in vectors[i + 1 :]
        ]
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_angles_of_parallel_opposite_and_vanishing_bones():
    joints = np.zeros((1, 20, 3))
    joints[0, 2] = (0, 0.1, 0)  # neck, above head and shoulders: those three bones are parallel
    found = angles(joints)[0]
    pair = {pair: place for place, pair in enumerate(zip(*np.triu_indices(17, 1), strict=True))}
    assert found[pair[0, 1]] == pytest.approx(0, abs=1e-7)
    assert found[pair[0, 9]] == pytest.approx(1)  # the neck's own bone leads down to the spine
    assert found[pair[0, 3]] == 0.5  # shoulder and elbow coincide
    assert found[pair[3, 4]] == 0.5
    assert np.isfinite(found).all()


def test_offsets_of_a_constant_velocity():
    velocity = np.random.default_rng(0).normal(size=(20, 3))
    joints = walk(1) + np.arange(5)[:, None, None] * velocity
    found = offsets(joints).reshape(5, 18, 3)
    np.testing.assert_array_equal(found[0], 0)
    np.testing.assert_allclose(
        found[1:], np.broadcast_to(np.delete(velocity, [17, 18], axis=0), (4, 18, 3)), atol=1e-12
    )


def test_a_velocity_histogram_against_its_definition():
    moved = np.array([0.0, 0.3, -0.1, 0.005, 0.3])[:, None]
    found = velocity_histograms(moved, 3, 0.01)
    votes = np.array([(0, 0.01, 0), (0, 0, 0.3), (0.1, 0, 0), (0, 0.01, 0), (0, 0, 0.3)])
    windows = [votes[:1], votes[:2], votes[:3], votes[1:4], votes[2:]]
    np.testing.assert_allclose(found, [window.sum(axis=0) / window.sum() for window in windows])


def test_velocity_histograms_of_rest_and_of_steady_movement():
    np.testing.assert_array_equal(velocity_histograms(np.zeros((6, 1)), 5, 0.01), np.tile((0, 1, 0), (6, 1)))
    steady = np.full((6, 2), (0.02, -0.02))
    np.testing.assert_allclose(velocity_histograms(steady, 2, 0.01), np.tile((0, 0, 1, 1, 0, 0), (6, 1)))
    np.testing.assert_array_equal(velocity_histograms(steady, 2, 0.02)[:, [1, 4]], 1)  # at the threshold: still


@pytest.mark.parametrize("window_frames", [1, 4, 50])
def test_velocity_histograms_are_distributions_over_past_frames(window_frames):
    moved = offsets(walk(20))
    found = velocity_histograms(moved, window_frames, 0.02)
    assert found.shape == (20, 162)
    assert found.min() >= 0
    np.testing.assert_allclose(found.reshape(20, 54, 3).sum(axis=2), 1)
    np.testing.assert_array_equal(velocity_histograms(moved[:9], window_frames, 0.02), found[:9])


def test_distances_against_the_definition():
    joints = walk(2)
    others = [joint for joint in range(20) if joint != 6]
    for frame, found in zip(joints, pairwise_distances(joints), strict=True):
        expected = [math.dist(frame[a], frame[b]) for i, a in enumerate(others) for b in others[i + 1 :]]
        np.testing.assert_allclose(found, expected)


BLOCKS = {
    "angle": angles,
    "offset": offsets,
    "velocity": lambda joints: velocity_histograms(offsets(joints), 5, 0.02 * bone_length(joints)),
    "pairwise": pairwise_distances,
    "relative": relative_positions,
}
TURN = rotation(0, 0.4) @ rotation(1, -1.1) @ rotation(2, 2.0)
INVARIANCES = {
    "translation": (
        lambda joints: joints + np.array((1.5, -2, 0.3)),
        {"angle", "offset", "velocity", "pairwise", "relative"},
    ),
    "rotation": (lambda joints: joints @ TURN.T, {"angle", "pairwise"}),
    "scale": (lambda joints: 2.5 * joints, {"angle", "velocity"}),
    "path": (
        lambda joints: joints + np.random.default_rng(1).normal(size=(len(joints), 1, 3)),
        {"angle", "pairwise", "relative"},
    ),
}


@pytest.mark.parametrize("change", INVARIANCES)
@pytest.mark.parametrize("block", BLOCKS)
def test_each_block_ignores_what_it_should_and_nothing_else(block, change):
    transform, invariant = INVARIANCES[change]
    joints = walk()
    same = np.allclose(BLOCKS[block](transform(joints)), BLOCKS[block](joints), atol=1e-9)
    assert same == (block in invariant)


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


# Time along the path


def swing(times):
    """Arms that swing once to and fro over a time of 1, on a hip that travels; (time, 20, 3)."""
    joints = np.tile(walk(1)[0], (len(times), 1, 1))
    joints[:, 9:13, 1] += np.sin(np.pi * np.asarray(times))[:, None]
    return joints + np.outer(times, (3, 0, 1))[:, None]


def test_what_is_sampled_along_the_path_forgets_pauses_and_rhythm(clip):
    steady = np.linspace(0, 1, 200)
    paused = np.concatenate([steady[:60], np.full(150, steady[60]), steady[60:]])
    rhythms = (steady, paused, steady**2, 1 - (1 - steady) ** 1.5)
    in_time, on_path = (
        [extract(clip(swing(times)), sampled_frames=12, spacing=spacing)[0].arrays["features"] for times in rhythms]
        for spacing in ("time", "path")
    )
    for one, other, changed in zip(on_path[1:], in_time[1:], ("pause", "acceleration", "slowing"), strict=True):
        assert np.abs(one - on_path[0])[:, :60].max() < 0.02, changed
        assert np.abs(other - in_time[0])[:, :60].max() > 0.1, changed


def test_times_along_the_path_rise_from_the_first_frame_to_the_last():
    joints = walk(30)
    found = along_path(joints, np.linspace(0, 29, 16))
    assert found[0] == 0
    assert found[-1] == pytest.approx(29)
    assert (np.diff(found) > 0).all()
    np.testing.assert_allclose(along_path(joints + np.arange(30)[:, None, None], np.linspace(0, 29, 16)), found)


def test_a_body_at_rest_keeps_its_times():
    still = np.tile(walk(1), (9, 1, 1))
    times = np.linspace(0, 8, 5)
    np.testing.assert_array_equal(along_path(still, times), times)
    np.testing.assert_array_equal(along_path(still[:1], np.zeros(3)), np.zeros(3))


# Augmentation


@given(warp=st.tuples(*[st.floats(-0.5, 0.5)] * 2), frames=st.integers(1, 50), count=st.integers(1, 60))
def test_a_warp_keeps_order_and_both_ends(warp, frames, count):
    times = np.linspace(0, frames - 1, count)
    warped = UNCHANGED._replace(warp=np.array(warp)).warped(times)
    assert (np.diff(warped) >= 0).all()
    np.testing.assert_allclose(warped[[0, -1]], times[[0, -1]], atol=1e-9)
    np.testing.assert_array_equal(UNCHANGED.warped(times), times)


def test_a_warp_speeds_up_one_part_and_slows_down_another(clip):
    times = np.linspace(0, 99, 100)
    speeds = np.diff(UNCHANGED._replace(warp=np.array((0.4, 0))).warped(times))
    assert speeds[0] == pytest.approx(1.4, abs=0.01)
    assert speeds[-1] == pytest.approx(0.6, abs=0.01)
    fields = {"sampled_frames": 16, "normalise": False}
    plain, warped = (
        extract(clip(walk(40)), augment=Augmentation(copies=3, time_warp=warp), **fields) for warp in (0, 0.5)
    )
    np.testing.assert_array_equal(warped[0].arrays["features"], plain[0].arrays["features"])
    for one, other in zip(warped[1:], plain[1:], strict=True):
        assert (one.arrays["start_frames"] != other.arrays["start_frames"]).any()
        np.testing.assert_allclose(one.arrays["features"][0], other.arrays["features"][0], atol=1e-6)


def test_rotations_are_right_handed_turns():
    for axis in range(3):
        matrix = rotation(axis, np.pi / 2)
        np.testing.assert_allclose(matrix @ np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3], atol=1e-15)
        np.testing.assert_allclose(matrix @ np.eye(3)[axis], np.eye(3)[axis])
        assert np.linalg.det(matrix) == pytest.approx(1)


def test_a_yaw_keeps_heights_and_a_turn_keeps_distances():
    joints = walk()
    turn = Augmentation(speed_factor=1, pitch_degrees=0, axis_scale=0, joint_offset_metres=0)
    copy = Perturbation.draw(turn, np.random.default_rng(0)).moved(joints)
    np.testing.assert_allclose(copy[..., 1], joints[..., 1])
    np.testing.assert_allclose(pairwise_distances(copy), pairwise_distances(joints))
    assert np.abs(copy - joints).max() > 0.01


def test_shifts_are_constant_over_the_clip():
    joints = walk()
    shift = Augmentation(speed_factor=1, yaw_degrees=0, pitch_degrees=0, axis_scale=0)
    moved = Perturbation.draw(shift, np.random.default_rng(0)).moved(joints) - joints
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-12)
    assert 0.01 < moved[0].std() < 0.03


def test_draws_stay_within_their_bounds_and_reach_them():
    draws = [Perturbation.draw(Augmentation(joint_offset_metres=0), np.random.default_rng(n)) for n in range(500)]
    speeds = [draw.speed for draw in draws]
    assert 0.8 <= min(speeds) < 0.82
    assert 1.23 < max(speeds) <= 1.25
    assert np.median(speeds) == pytest.approx(1, abs=0.03)
    scales = np.array([np.linalg.norm(draw.matrix, axis=0) for draw in draws])  # of x, y, z, before the turn
    assert 0.85 <= scales.min() < 0.86
    assert 1.14 < scales.max() <= 1.15
    turns = np.array([draw.matrix for draw in draws]) / scales[:, None]  # (draw, 3, 3)
    for angle, bound in (
        (np.arctan2(turns[:, 0, 2], turns[:, 0, 0]), 20),
        (np.arctan2(turns[:, 2, 1], turns[:, 1, 1]), 9),
    ):
        assert 0.95 * bound < np.abs(np.degrees(angle)).max() <= bound


def test_copies_depend_on_content_seed_and_number_alone():
    joints = walk()
    first = generator(joints, 0, 1).random(4)
    np.testing.assert_array_equal(generator(joints.copy(), 0, 1).random(4), first)
    nudged = joints.copy()
    nudged[5, 5, 0] = np.nextafter(nudged[5, 5, 0], 9)
    for other in (generator(joints, 0, 2), generator(joints, 1, 1), generator(nudged, 0, 1)):
        assert not np.isin(other.random(4), first).any()


# The extractor


@pytest.mark.parametrize(("variant", "size"), [("583", 583), ("472", 472)])
def test_rows(clip, variant, size):
    (row,) = extract(clip(walk(12)), variant=variant)
    assert row.arrays["features"].shape == (12, size)
    assert row.arrays["features"].dtype == np.float32
    np.testing.assert_array_equal(row.arrays["start_frames"], np.arange(12))
    assert row.arrays["start_frames"].dtype == np.int64
    assert row.attributes == {"frames": 12}


def test_raw_coordinates_are_those_of_the_file(clip):
    joints = walk(12)
    (row,) = extract(clip(joints, (3, 9)), normalise=False)
    np.testing.assert_array_equal(row.arrays["features"][:, :60], joints[3:9].reshape(6, 60).astype(np.float32))
    assert row.attributes == {"frames": 6}


def test_normalised_rows_forget_place_and_size(clip):
    (row,), (other,) = extract(clip(walk())), extract(clip(3 * walk() + 1))
    np.testing.assert_allclose(row.arrays["features"], other.arrays["features"], atol=1e-5)


def velocities(clip, joints, **fields):
    """The histograms (time, coordinate, bin) of a row, and its other blocks."""
    (row,) = extract(clip(joints), normalise=False, **fields)
    blocks = row.arrays["features"]
    return blocks[:, PLACES["velocity"]].reshape(-1, 54, 3), np.delete(blocks, PLACES["velocity"], axis=1)


def test_a_wider_window_of_a_constant_velocity_changes_nothing(clip):
    joints = walk(1) + np.arange(12)[:, None, None] * (0.3, -0.3, 0.3)
    narrow, others = velocities(clip, joints, velocity_window_frames=1)
    np.testing.assert_array_equal(narrow[1:].argmax(axis=2), np.tile((2, 0, 2), (11, 18)))
    for frames in (2, 4, 8):
        wide, same = velocities(clip, joints, velocity_window_frames=frames)
        np.testing.assert_array_equal(wide[frames:], narrow[frames:])
        np.testing.assert_array_equal(same, others)


def test_a_wider_window_remembers_a_turn_for_longer(clip):
    way = 0.3 * np.concatenate([np.arange(8), np.arange(6, -6, -1)])  # forwards, from frame 8 on backwards
    joints = walk(1) + way[:, None, None]
    for frames in (1, 3, 6):
        forwards = velocities(clip, joints, velocity_window_frames=frames)[0][..., 2]
        remembered = np.arange(frames - 1, 0, -1) / frames
        np.testing.assert_allclose(forwards[8 : 7 + frames], np.tile(remembered[:, None], 54), atol=1e-6)
        assert not forwards[7 + frames :].any()


def test_more_is_still_below_a_higher_threshold(clip):
    joints = walk(20)
    shares = [
        velocities(clip, joints, velocity_threshold_bone_lengths=threshold)[0][..., 1]
        for threshold in (1e-6, 0.02, 0.05, 10)
    ]
    assert shares[0][5:].max() < 0.01
    assert (np.diff([share.mean() for share in shares]) > 0).all()
    np.testing.assert_allclose(shares[-1], 1)


def test_one_frame_is_enough(clip):
    for fields in ({}, {"sampled_frames": 4}, {"augment": Augmentation(copies=3)}):
        for row in extract(clip(walk(1)), **fields):
            assert np.isfinite(row.arrays["features"]).all()
            np.testing.assert_array_equal(row.arrays["start_frames"], 0)


def test_sampled_rows_have_one_length_and_know_their_frames(clip):
    joints = walk(21)
    (row,) = extract(clip(joints), sampled_frames=6, normalise=False)
    np.testing.assert_array_equal(row.arrays["start_frames"], [0, 4, 8, 12, 16, 20])
    np.testing.assert_array_equal(row.arrays["features"][:, :60], joints[::4].reshape(6, 60).astype(np.float32))
    np.testing.assert_allclose(row.arrays["features"][1:, 196:250], offsets(joints[::4])[1:], atol=1e-6)
    (longer,) = extract(clip(joints), sampled_frames=41, normalise=False)
    between = (joints[3] + joints[4]) / 2
    np.testing.assert_allclose(longer.arrays["features"][7, :60], between.ravel(), atol=1e-6)


def test_variant_0_is_the_clip_itself_and_copies_differ(clip):
    augment = Augmentation(copies=5)
    assert Skeleton(augment=augment).variants == 6
    assert Skeleton().variants == 1
    plain, *copies = extract(clip(walk(40)), augment=augment)
    np.testing.assert_array_equal(plain.arrays["features"], extract(clip(walk(40)))[0].arrays["features"])
    assert len(copies) == 5
    assert len({copy.arrays["features"].tobytes() for copy in copies}) == 5
    for copy in copies:
        time = len(copy.arrays["features"])
        assert 32 <= time <= 50
        assert copy.arrays["start_frames"].shape == (time,)
        assert (copy.arrays["start_frames"][[0, -1]] == (0, 39)).all()
        assert copy.attributes == {"frames": 40}
    assert len({len(copy.arrays["features"]) for copy in copies}) > 1


def test_more_copies_leave_the_first_ones_as_they_were(clip):
    few = extract(clip(walk()), augment=Augmentation(copies=2))
    many = extract(clip(walk()), augment=Augmentation(copies=4))
    for one, other in zip(few, many[:3], strict=True):
        np.testing.assert_array_equal(one.arrays["features"], other.arrays["features"])


def test_a_wrong_field_is_refused():
    from pipeline.config import parse

    for table in (
        {"variant": "500"},
        {"augment": {"axis_scale": 1}},
        {"augment": {"speed_factor": 0.8}},
        {"copies": 1},
    ):
        with pytest.raises(InputError):
            parse(Skeleton, table)


def test_the_augmentation_is_part_of_what_is_significant():
    digest = str
    plain, augmented = Skeleton().significant(digest), Skeleton(augment=Augmentation()).significant(digest)
    assert plain["augment"] is None
    assert augmented["augment"]["copies"] == 8


# Real data


def test_every_real_file_but_the_empty_one_gives_finite_features(shared):
    files = sorted((shared / "msr-action3d").glob("a*_s0[12]_e*_skeleton3D.txt"))
    assert len(files) > 50
    for path in files:
        (row,) = extract(Clip(path))
        assert np.isfinite(row.arrays["features"]).all()
        assert len(row.arrays["features"]) * 20 == path.read_bytes().count(b"\n")


def test_the_real_file_of_zeros_is_unusable(shared):
    with pytest.raises(UnusableVideo, match="frames are zero"):
        extract(Clip(shared / "msr-action3d" / "a13_s09_e02_skeleton3D.txt"))


def test_real_bodies_stand_upright_with_the_joints_where_the_layout_says(shared):
    joints = normalised(read(shared / "msr-action3d" / "a02_s01_e01_skeleton3D.txt")).mean(axis=0)
    height = joints[:, 1]
    assert height[19] == height.max()
    assert height[[15, 16, 17, 18]].max() < height[[13, 14]].min() < height[6] < height[3] < height[2] < height[19]
    lengths = np.linalg.norm(joints[BONES[:, 1]] - joints[BONES[:, 0]], axis=1)
    assert lengths.max() < 3


def test_interpolation_keeps_whole_frames():
    joints = walk(5)
    np.testing.assert_array_equal(interpolated(joints, np.array([0.0, 3.0, 4.0])), joints[[0, 3, 4]])
