"""Frames spaced evenly along the body's path."""

import numpy as np
import pytest

from extractors.skeleton.path import along_path
from tests.support.skeletons import extract, walk


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
