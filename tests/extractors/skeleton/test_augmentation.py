"""Perturbed copies of a clip: within their bounds, and by content and seed alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractors.skeleton.augmentation import UNCHANGED, Augmentation, Perturbation, generator, rotation
from extractors.skeleton.blocks import (
    pairwise_distances,
)
from tests.support.skeletons import extract, walk


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
