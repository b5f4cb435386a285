"""How stick figures move: bodies that keep their bones, actions that do what their names say, gaits and cameras."""

import numpy as np
import pytest

from data.stick_figures import body
from data.stick_figures.body import Person, project
from data.stick_figures.dataset import StickFigures
from data.stick_figures.motion import ACTIONS, FPS, GAITS, Performance, perform
from tests.support.stick_people import SCENARIOS, performed

BONES = [(a - 1, b - 1) for a, b in (
    (20, 3), (1, 3), (2, 3), (1, 8), (8, 10), (10, 12), (2, 9), (9, 11), (11, 13), (3, 4), (4, 7), (7, 5), (7, 6),
    (5, 14), (6, 15), (14, 16), (15, 17), (16, 18), (17, 19),
)]  # fmt: skip


def gone_at(
    ratio: float, action: str, scenario: str = "d1", repetitions: int = 1, camera_back_m: float = 0.0
) -> Performance:
    """The same person on the same way in each gait, with one form of motion for all three."""
    rng = np.random.default_rng(7)
    return perform(action, Person.draw(rng), scenario, repetitions, ratio, camera_back_m, rng)


def test_camera_puts_the_optical_axis_in_the_centre_and_scales_with_distance():
    assert project(np.array([0.0, 0.0, 3.0])) == pytest.approx([80, 60])
    assert project(np.array([1.0, 0.0, 3.8])) == pytest.approx([80 + 50, 60])
    assert project(np.array([0.0, 1.0, 1.9])) == pytest.approx([80, 60 - 100])


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_bones_keep_their_length_and_feet_stay_above_ground(action: str, scenario: str):
    person, performance = performed(action, scenario)
    joints = performance.joints
    for a, b in BONES:
        length = np.linalg.norm(joints[:, a] - joints[:, b], axis=-1)
        bends = {a, b} in ({19, 2}, {2, 3})  # the head stays upright when the trunk leans
        np.testing.assert_allclose(length, length.mean(), rtol=0.05 if bends else 1e-9)
        assert 0.02 < length.mean() / person.stature < 0.27
    lowest = joints[..., 1].min(axis=1) + body.CAMERA_HEIGHT_M
    assert (lowest > 0).all()
    assert (lowest < 0.12 + GAITS["running"].flight).all()
    assert joints[:, 19, 1].max() + body.CAMERA_HEIGHT_M == pytest.approx(0.93 * person.stature, rel=0.08)


@pytest.mark.parametrize("seed", range(4))
def test_gaits_differ_by_speed_and_stride_frequency(seed: int):
    speeds, steps = {}, {}
    for action in ("walking", "jogging", "running"):
        rng = np.random.default_rng(seed)
        person = Person.draw(np.random.default_rng(seed))
        joints = perform(action, person, "d1", 1, None, 0.0, rng).joints
        pelvis, knees = joints[:, body.HIP_CENTRE], joints[:, body.KNEES]
        speeds[action] = np.linalg.norm(np.diff(pelvis[:, [0, 2]], axis=0), axis=1).mean() * FPS
        apart = (knees[:, 0] - knees[:, 1])[:, 0]
        steps[action] = (np.diff(np.sign(apart)) != 0).sum() / len(joints) * FPS
        expected = GAITS[action].speed_metres_per_second * person.tempo
        assert speeds[action] == pytest.approx(expected, rel=0.051)
    assert speeds["walking"] < 0.7 * speeds["jogging"] < 0.7 * 0.75 * speeds["running"]
    assert steps["walking"] < steps["running"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_gaits_of_one_form_are_the_same_motion_at_another_speed(scenario: str):
    joints = {action: gone_at(2.0, action, scenario).joints for action in GAITS}
    np.testing.assert_array_equal(joints["jogging"], joints["walking"][::2])
    np.testing.assert_array_equal(joints["running"], joints["jogging"][::2])
    distinct = {action: performed(action, scenario, repetitions=1)[1].joints for action in GAITS}
    knee_heights = [np.ptp(joints[:, body.KNEES, 1]) for joints in distinct.values()]
    assert np.diff(np.sort(knee_heights)).min() > 0.02


@pytest.mark.parametrize("ratio", [1.25, 1.4])
def test_gaits_of_one_form_have_the_ratio_of_speeds_that_is_asked_for(ratio: float):
    going = {action: gone_at(ratio, action, repetitions=2, camera_back_m=2.0) for action in GAITS}
    shifts, gaps = {}, {}
    for action, performance in going.items():
        pixels = project(performance.joints[:, body.HIP_CENTRE])[:, 0]
        shifts[action] = [np.abs(np.diff(pixels[s:e])).mean() for s, e in performance.segments]
        gaps[action] = performance.segments[1][0] - performance.segments[0][1]
    for slow, fast in (("walking", "jogging"), ("jogging", "running")):
        assert np.divide(shifts[fast], shifts[slow]) == pytest.approx(ratio, rel=0.01)
        assert len(going[slow].joints) / len(going[fast].joints) == pytest.approx(ratio, rel=0.02)
        assert abs(gaps[slow] - ratio * gaps[fast]) < 3  # how long it is away tells no more than how fast it goes


def test_below_a_ratio_of_one_point_four_four_some_are_faster_in_the_slower_gait():
    figures = StickFigures(subjects=99, scenarios=("d1",), speed_ratio=1.3, seed=1)
    logs: dict[str, list[float]] = {action: [] for action in GAITS}
    for take in figures._takes():
        if take.action in GAITS:
            performance = figures._performance(take)
            for start, end in performance.segments:
                way = np.diff(performance.joints[start:end, body.HIP_CENTRE][[0, -1]], axis=0)
                logs[take.action].append(np.log(np.linalg.norm(way) / (end - start - 1)))
    for slow, fast in (("walking", "jogging"), ("jogging", "running")):
        assert np.median(logs[fast]) - np.median(logs[slow]) == pytest.approx(np.log(1.3), abs=0.04)
        overlap = max(logs[slow]) - min(logs[fast])
        assert 0.05 < overlap < np.log(1.44 / 1.3)


@pytest.mark.parametrize("camera_back_m", [0.0, 4.0])
@pytest.mark.parametrize("action", GAITS)
def test_the_figure_leaves_the_picture_between_passes_and_comes_back_the_other_way(action: str, camera_back_m: float):
    _, performance = performed(action, camera_back_m=camera_back_m)
    inside = np.zeros(len(performance.joints), bool)
    for start, end in performance.segments:
        inside[start:end] = True
    np.testing.assert_array_equal(inside, performance.present)
    pixels = project(performance.joints)
    visible = ((pixels >= 0) & (pixels < (body.WIDTH, body.HEIGHT))).all(axis=-1).any(axis=-1)
    assert not visible[~performance.present].any()
    directions = [np.sign(np.diff(performance.joints[[s, e - 1], 6, 0])[0]) for s, e in performance.segments]
    assert directions in ([1, -1, 1], [-1, 1, -1])
    gaps = [after[0] - before[1] for before, after in zip(performance.segments, performance.segments[1:], strict=False)]
    assert min(gaps) >= 6


@pytest.mark.parametrize("action", ["walking", "jogging", "running"])
def test_arms_swing_against_the_legs(action: str):
    _, performance = performed(action, repetitions=1)
    forward = np.sign(np.diff(performance.joints[[0, -1], 6, 0]))
    hands, knees = (performance.joints[:, joint, 0] * forward for joint in (body.HANDS, body.KNEES))
    assert np.corrcoef(hands[:, 0] - hands[:, 1], knees[:, 0] - knees[:, 1])[0, 1] < -0.8


@pytest.mark.parametrize("seed", range(4))
def test_arm_actions_do_what_their_names_say(seed: int):
    _, boxing = performed("boxing", seed=seed)
    reach = np.linalg.norm((boxing.joints[:, body.HANDS] - boxing.joints[:, body.SHOULDERS])[..., [0, 2]], axis=-1)
    assert np.corrcoef(reach.T)[0, 1] < -0.2  # alternately
    assert (np.ptp(reach, axis=0) > 0.2).all()

    person, clapping = performed("handclapping", seed=seed)
    between = np.linalg.norm(clapping.joints[:, 11] - clapping.joints[:, 12], axis=-1)
    assert between.min() < 0.15 < 0.5 < between.max()

    person, waving = performed("handwaving", seed=seed)
    above_head = waving.joints[:, body.HANDS, 1] - waving.joints[:, body.HEAD, None, 1]
    assert (above_head.max(axis=0) > 0.1 * person.stature).all()
    assert (above_head.min(axis=0) < -0.1 * person.stature).all()
    for performance in (boxing, clapping, waving):
        assert performance.present.all()
        assert performance.segments[0][0] == 0
        assert performance.segments[-1][1] == len(performance.joints)


def test_inverse_kinematics_reach_the_target_and_keep_the_elbow_on_its_side():
    person = Person(1.8, 1, 1, 1, 1, 1, 0)
    targets = np.random.default_rng(0).uniform(-0.3, 0.3, (50, 2, 3))
    targets[..., 0] = 0.3
    hint = np.array([0.0, -1.0, 0.0])
    upper, fore = body.reach(targets, hint, person)
    np.testing.assert_allclose(0.186 * 1.8 * upper + 0.146 * 1.8 * fore, targets, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(upper, axis=-1), 1)
    across = hint - (targets @ hint / (targets**2).sum(-1))[..., None] * targets
    assert ((upper * across).sum(axis=-1) > 0).all()


def test_scale_varies_in_d2_only():
    for action in ACTIONS:
        spread = {}
        for scenario in ("d1", "d2"):
            _, performance = performed(action, scenario)
            depth = performance.joints[performance.present, body.HIP_CENTRE, 2]
            spread[scenario] = depth.max() / depth.min()
        assert spread["d1"] < 1.12 < 1.2 < spread["d2"]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("action", ACTIONS)
def test_a_camera_farther_back_makes_the_figure_smaller(action: str, scenario: str):
    near, far = (performed(action, scenario, camera_back_m=back_m)[1] for back_m in (0.0, 4.0))
    rows = [project(shown.joints)[shown.present][..., 1] for shown in (near, far)]
    heights = [np.ptp(pixels, axis=1).mean() for pixels in rows]
    depth = near.joints[near.present, body.HIP_CENTRE, 2].mean()
    assert heights[1] / heights[0] == pytest.approx(depth / (depth + 4), rel=0.03)
    if action not in GAITS:
        np.testing.assert_allclose(far.joints - near.joints, np.broadcast_to([0, 0, 4], near.joints.shape), atol=1e-12)


def test_cameras_stand_back_evenly_up_to_the_distance_asked_for():
    figures = StickFigures(subjects=25, scenarios=SCENARIOS, camera_back_m=3.0)
    back_m = np.sort([figures._camera_back_m(take) for take in figures._takes()])
    assert np.abs(back_m / 3 - np.linspace(0, 1, len(back_m))).max() < 0.06  # Kolmogorov and Smirnov: 2 in 100
    assert not any(StickFigures()._camera_back_m(take) for take in StickFigures()._takes())
