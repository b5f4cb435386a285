import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from data.base import Listing, Video
from data.stick_figures import body
from data.stick_figures.body import Person, project
from data.stick_figures.dataset import StickFigures
from data.stick_figures.motion import ACTIONS, FPS, GAITS, Performance, perform
from pipeline.errors import InputError
from tests.support.paths import ROOT

SCENARIOS = ("d1", "d2", "d3", "d4")
BONES = [(a - 1, b - 1) for a, b in (
    (20, 3), (1, 3), (2, 3), (1, 8), (8, 10), (10, 12), (2, 9), (9, 11), (11, 13), (3, 4), (4, 7), (7, 5), (7, 6),
    (5, 14), (6, 15), (14, 16), (15, 17), (16, 18), (17, 19),
)]  # fmt: skip
SMALL = StickFigures(subjects=2, scenarios=("d4",), repetitions=2, seed=3)


def performed(
    action: str, scenario: str = "d1", seed: int = 0, repetitions: int = 3, camera_back_m: float = 0.0
) -> tuple[Person, Performance]:
    rng = np.random.default_rng([seed, ACTIONS.index(action), int(scenario[1])])
    person = Person.draw(rng)
    return person, perform(action, person, scenario, repetitions, None, camera_back_m, rng)


def gone_at(
    ratio: float, action: str, scenario: str = "d1", repetitions: int = 1, camera_back_m: float = 0.0
) -> Performance:
    """The same person on the same way in each gait, with one form of motion for all three."""
    rng = np.random.default_rng(7)
    return perform(action, Person.draw(rng), scenario, repetitions, ratio, camera_back_m, rng)


def read_skeleton(path: Path) -> np.ndarray:
    return np.loadtxt(path).reshape(-1, 20, 4)


def decoded(path: Path) -> np.ndarray:
    cv2 = pytest.importorskip("cv2")
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return np.stack(frames)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("figures")
    SMALL.generate(root)
    return root


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


@pytest.mark.parametrize("camera_back_m", [0.0, 3.0])
def test_the_floor_meets_the_wall_behind_the_figure_and_the_shadow_falls_on_it(camera_back_m: float):
    from data.stick_figures.scenes import Scene

    scene = Scene.draw("d4", 0.0, 0.0, camera_back_m, np.random.default_rng(0))
    assert scene.wall_depth_m is not None
    joints = performed("handwaving", "d4", camera_back_m=camera_back_m)[1].joints
    assert joints[..., 2].max() < scene.wall_depth_m
    np.testing.assert_allclose(scene.cast(joints)[..., 2], scene.wall_depth_m)
    edge = project(np.array([0.0, -body.CAMERA_HEIGHT_M, scene.wall_depth_m]))[1]
    brightness = scene.background.mean(axis=(1, 2))
    assert np.argmin(np.diff(brightness[: int(edge) + 3])) + 1 == pytest.approx(edge, abs=1)
    assert Scene.draw("d1", 0.0, 0.0, camera_back_m, np.random.default_rng(0)).wall_depth_m is None


@pytest.mark.parametrize("camera_back_m", [0.0, 3.0])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("action", ["handwaving", "running"])
def test_projected_joints_lie_on_the_drawn_figure(action: str, scenario: str, camera_back_m: float):
    from data.stick_figures.rendering import Outfit, render
    from data.stick_figures.scenes import Scene

    person, performance = performed(action, scenario, repetitions=1, camera_back_m=camera_back_m)
    rng = np.random.default_rng(4)
    outfit, scene = Outfit.draw(rng), Scene.draw(scenario, 0.5, 0.0, camera_back_m, rng)
    for frame, image in enumerate(render(performance, person, outfit, scene, 0.0, rng)):
        empty = scene.zoomed(performance.zoom[frame])
        drawn = np.abs(image.astype(int) - empty).max(axis=-1) > 12
        columns, rows = np.floor(project(performance.joints[frame])).astype(int).T
        inside = (columns >= 0) & (columns < body.WIDTH) & (rows >= 0) & (rows < body.HEIGHT)
        if inside.any():
            assert drawn[rows[inside], columns[inside]].mean() > 0.85
        else:
            shadow = (image >= (1 - scene.shade) * empty - 2) & (image <= empty)
            assert (~shadow).mean() < 0.02
        assert drawn.mean() < 0.25


def test_occlusion_hides_and_noise_is_as_strong_as_asked():
    from data.stick_figures.rendering import Outfit, render
    from data.stick_figures.scenes import Scene

    person, performance = performed("walking", repetitions=1)
    rng = np.random.default_rng(1)
    outfit = Outfit.draw(rng)
    hidden = [Scene.draw("d1", 0.0, 0.5, 0.0, np.random.default_rng(seed)).opaque.any() for seed in range(60)]
    assert 0.3 < np.mean(hidden) < 0.7
    assert not Scene.draw("d1", 0.0, 0.0, 0.0, rng).opaque.any()
    scene = Scene.draw("d4", 0.0, 0.0, 0.0, rng)
    first = next(render(performance, person, outfit, scene, 3.0, rng)).astype(float) - scene.background
    assert first[5:40].std() == pytest.approx(3.0, rel=0.15)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_clutter_is_more_edges_in_the_background(scenario: str):
    from data.stick_figures.scenes import Scene

    def edges(clutter: float) -> float:
        scenes = [Scene.draw(scenario, clutter, 0.0, 0.0, np.random.default_rng(seed)) for seed in range(5)]
        steps = [np.abs(np.diff(scene.background.mean(axis=2), axis=1)) for scene in scenes]
        return float(np.mean([(step > 12).mean() for step in steps]))

    assert 2 * edges(0.0) < edges(0.3) < 0.7 * edges(1.0)


def test_videos_and_skeletons_have_kths_and_msrs_form(made: Path):
    listing = SMALL.listing(made)
    assert listing.classes == ACTIONS
    assert [video.id for video in listing.videos[:2]] == ["person01_boxing_d4", "person01_handclapping_d4"]
    assert len(listing.videos) == 2 * 6
    for video in listing.videos:
        skeleton, frames = read_skeleton(video.files["skeleton"]), decoded(video.files["video"])
        assert frames.shape == (len(skeleton), 120, 160, 3)
        assert video.id.split("_")[:2] == [video.subject, listing.classes[video.labels[0]]]
        assert set(np.unique(skeleton[..., 3])) <= {0.0, 1.0}


def test_moving_foreground_is_where_the_skeleton_is(made: Path):
    cv2 = pytest.importorskip("cv2")
    for video in SMALL.listing(made).videos:
        if listing_action(video.id) not in GAITS:
            continue
        skeleton = read_skeleton(video.files["skeleton"])
        subtractor, hits, offsets = cv2.createBackgroundSubtractorMOG2(), [], []
        for frame, image in enumerate(decoded(video.files["video"])):
            mask = subtractor.apply(image) == 255
            columns, rows = (
                np.floor(project(skeleton[frame, :, :3])).astype(int).T if skeleton[frame].any() else ([], [])
            )
            seen = skeleton[frame, :, 3] > 0
            if seen.all() and frame > 20:
                hits.append(mask[rows[seen], columns[seen]].mean())
                offsets.append(np.flatnonzero(mask.any(axis=0)).mean() - columns.mean())
        assert np.mean(hits) > 0.6
        assert np.abs(np.median(offsets)) < 8


def listing_action(identifier: str) -> str:
    return identifier.split("_")[1]


def test_segments_cover_the_frames_with_a_skeleton(made: Path):
    segments = SMALL.model_copy(update={"form": "kth2"})
    whole = {video.id: video for video in SMALL.listing(made).videos}
    listing = segments.listing(made)
    assert len(listing.videos) == 2 * len(whole)
    for identifier, video in whole.items():
        tracked = read_skeleton(video.files["skeleton"]).any(axis=(1, 2))
        covered = np.zeros_like(tracked)
        for part in listing.videos:
            if part.id.startswith(f"{identifier}/"):
                assert part.files == video.files
                assert part.frames is not None
                covered[slice(*part.frames)] = True
        np.testing.assert_array_equal(covered, tracked)


def test_the_same_configuration_gives_the_same_bytes_and_another_seed_does_not(made: Path, tmp_path: Path):
    SMALL.generate(tmp_path)
    other = SMALL.model_copy(update={"seed": 4})
    other.generate(tmp_path)
    made_videos, again_videos = SMALL.listing(made).videos, SMALL.listing(tmp_path).videos
    for video, again, differs in zip(made_videos, again_videos, other.listing(tmp_path).videos, strict=True):
        for kind, path in video.files.items():
            assert path.read_bytes() == again.files[kind].read_bytes()
            assert path.read_bytes() != differs.files[kind].read_bytes()


def test_generation_goes_on_where_it_was_killed(tmp_path: Path):
    tiny = StickFigures(subjects=2, scenarios=("d1",), repetitions=1)
    with pytest.raises(InputError, match=r"25 of 25 generated files are missing"):
        tiny.listing(tmp_path)
    tiny.generate(tmp_path)
    first, second = tiny.listing(tmp_path).videos[:2]
    kept, expected = second.files["video"].stat(), first.files["video"].read_bytes()
    first.files["video"].unlink()
    with pytest.raises(InputError, match=r"1 of 25 .*person01_boxing_d1.mp4"):
        tiny.listing(tmp_path)
    tiny.generate(tmp_path)
    assert first.files["video"].read_bytes() == expected
    assert second.files["video"].stat().st_mtime_ns == kept.st_mtime_ns
    assert not list(tiny.folder(tmp_path).glob("*tmp*"))


def test_folds_keep_subjects_apart_in_kths_ratio(made: Path):
    trials = SMALL.model_copy(update={"trials": 3})
    listing = SMALL.listing(made)
    folds = trials.folds(made, listing)
    assert folds[:1] == SMALL.folds(made, listing)
    for fold in folds:
        assert sorted(fold.train + fold.test) == [video.id for video in listing.videos]
        assert not {i.split("_")[0] for i in fold.train} & {i.split("_")[0] for i in fold.test}
    everybody = tuple(Video(f"person{n:02d}", {}, (0,), f"person{n:02d}") for n in range(1, 26))
    for dataset, training in ((StickFigures(subjects=25), 16), (StickFigures(subjects=25, train_subjects=4), 4)):
        (fold,) = dataset.folds(made, Listing(ACTIONS, everybody))
        assert (len(fold.train), len(fold.test)) == (training, 25 - training)


def test_the_protocol_shares_the_store_and_the_form_does_not():
    plain = StickFigures()
    assert StickFigures(trials=5, train_subjects=3, protocol_seed=7).store_name == plain.store_name
    assert StickFigures(trials=5).without_protocol() == plain
    others = [
        StickFigures.model_validate(table) for table in ({"form": "kth2"}, {"seed": 1}, {"noise": 1.0}, {"subjects": 8})
    ]
    assert len({plain.store_name, *(other.store_name for other in others)}) == 5
    assert StickFigures(form="kth2").folder(Path("x")) == plain.folder(Path("x"))


@pytest.mark.parametrize(
    "table",
    [
        {"train_subjects": 9},
        {"scenarios": ["d1", "d1"]},
        {"scenarios": []},
        {"noise": -1},
        {"subjects": 1},
        {"speed_ratio": 1},
        {"camera_back_m": -0.5},
    ],
)
def test_impossible_configurations_are_refused(table: dict[str, object]):
    with pytest.raises(ValidationError):
        StickFigures.model_validate(table)


def test_the_definition_loads_nothing_heavy():
    code = "import sys, data.stick_figures.dataset; print([m for m in ('cv2', 'av', 'torch') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
