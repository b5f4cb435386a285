"""Pictures of stick figures: drawn where the joints are, on scenes as asked for."""

import numpy as np
import pytest

from data.stick_figures import body
from data.stick_figures.body import project
from tests.support.stick_people import SCENARIOS, performed


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
