"""The blocks of a skeleton's features against their definitions, and what they ignore."""

import math

import numpy as np
import pytest

from extractors.skeleton.augmentation import rotation
from extractors.skeleton.blocks import (
    angles,
    features,
    offsets,
    pairwise_distances,
    relative_positions,
    velocity_histograms,
)
from extractors.skeleton.body import BONES, bone_length
from tests.support.skeletons import PLACES, walk


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
