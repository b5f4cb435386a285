"""Skeletons as an extractor, on made bodies and on real ones."""

import numpy as np
import pytest

from extractors.base import Clip
from extractors.skeleton.augmentation import Augmentation
from extractors.skeleton.blocks import (
    offsets,
)
from extractors.skeleton.body import BONES, normalised
from extractors.skeleton.config import Skeleton
from extractors.skeleton.file import read
from pipeline.errors import InputError, UnusableVideo
from tests.support.skeletons import PLACES, extract, walk


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
    joints = normalised(read(shared / "msr-action3d" / "a02_s01_e01_skeleton3D.txt").joints).mean(axis=0)
    height = joints[:, 1]
    assert height[19] == height.max()
    assert height[[15, 16, 17, 18]].max() < height[[13, 14]].min() < height[6] < height[3] < height[2] < height[19]
    lengths = np.linalg.norm(joints[BONES[:, 1]] - joints[BONES[:, 0]], axis=1)
    assert lengths.max() < 3
