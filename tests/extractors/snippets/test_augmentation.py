"""Laws of crops, mirrors and colours."""

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from extractors.snippets.augmentation import PLACES, Crop, colour_jittered, drawn_crop, mirrored

SCALES = (1, 0.875, 0.75, 0.66)


def crops(height: int, width: int, *, corners: bool = True, count: int = 2000) -> list[Crop]:
    rng = np.random.default_rng(0)
    return [drawn_crop(height, width, scales=SCALES, corners=corners, rng=rng) for _ in range(count)]


def test_places_are_the_thirteen_of_the_papers_code() -> None:
    corners, middles, quadrants = {(0, 0), (0, 4), (4, 0), (4, 4)}, {(0, 2), (2, 0), (2, 4), (4, 2)}, {1, 3}
    assert set(PLACES) == {*corners, (2, 2), *middles, *((a, b) for a in quadrants for b in quadrants)}
    drawn = {crop[:2] for crop in crops(256, 340) if crop[2:] == (224, 224)}
    assert drawn == {(32 * down // 4, 116 * right // 4) for down, right in PLACES}


def test_sides_are_scales_of_the_short_side_at_most_one_apart() -> None:
    sizes = [256, 224, 192, 169]
    drawn = {crop[2:] for crop in crops(340, 256)}
    assert drawn == {(a, b) for i, a in enumerate(sizes) for j, b in enumerate(sizes) if abs(i - j) <= 1}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.booleans(), st.integers(0, 9))
def test_crops_lie_inside(height: int, width: int, corners: bool, seed: int) -> None:
    crop = drawn_crop(height, width, scales=SCALES, corners=corners, rng=np.random.default_rng(seed))
    assert 0 <= crop.top <= crop.top + crop.height <= height
    assert 0 <= crop.left <= crop.left + crop.width <= width
    assert min(crop.height, crop.width) > 0
    assert crop(np.zeros((height, width, 2), np.uint8), 7).shape == (7, 7, 2)


def test_without_corners_any_place_may_come() -> None:
    drawn = {crop.left for crop in crops(60, 100, corners=False) if crop[2:] == (60, 60)}
    assert drawn == set(range(41))


def test_a_crop_keeps_flat_pictures_and_directions() -> None:
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None], 100, axis=0)
    for side in (20, 56, 112):
        shown = Crop(10, 50, 80, 80)(ramp, side)
        expected = 50 + (np.arange(side) + 0.5) * 80 / side - 0.5
        np.testing.assert_allclose(shown[side // 2, 1:-1], expected[1:-1], atol=1)
        assert (Crop(10, 50, 80, 80)(np.full_like(ramp, 77), side) == 77).all()


def test_mirroring_flow_negates_x_and_keeps_y() -> None:
    x, y = np.random.default_rng(0).integers(0, 256, (2, 8, 6)).astype(np.uint8)
    turned = mirrored(x, negated=True).astype(int) - 127.5
    np.testing.assert_array_equal(turned, -(x[:, ::-1].astype(int) - 127.5))
    np.testing.assert_array_equal(mirrored(mirrored(x, negated=True), negated=True), x)
    np.testing.assert_array_equal(mirrored(y, negated=False), y[:, ::-1])
    colours = np.stack([x, y, x], axis=-1)
    np.testing.assert_array_equal(mirrored(colours, negated=False), colours[:, ::-1])


def test_colours_vary_alike_in_all_pictures_and_not_at_strength_zero() -> None:
    rng = np.random.default_rng(0)
    picture = cv2.blur(rng.integers(60, 180, (20, 30, 3)).astype(np.uint8), (5, 5))
    varied = colour_jittered(np.stack([picture, picture]), 0.4, rng)
    np.testing.assert_array_equal(varied[0], varied[1])
    assert (varied[0] != picture).mean() > 0.5
    np.testing.assert_array_equal(colour_jittered(picture, 0.0, rng), picture)


def test_brightness_contrast_and_saturation_each_vary() -> None:
    grey = np.stack([np.full((4, 4, 3), level, np.uint8) for level in (100, 140)])
    varied = [colour_jittered(grey, 0.3, np.random.default_rng(seed)).astype(float) for seed in range(200)]
    assert all((one.max(-1) == one.min(-1)).all() for one in varied)  # grey stays grey
    means, spreads = (
        np.array([one.mean() for one in varied]),
        np.array([one[1].mean() - one[0].mean() for one in varied]),
    )
    assert means.min() > 120 * 0.69
    assert means.max() < 120 * 1.31
    assert means.std() > 10
    assert 40 * 0.69**2 < spreads.min() < 30 < 50 < spreads.max() < 40 * 1.31**2 + 1
    red = np.broadcast_to(np.array([180, 100, 100], np.uint8), (4, 4, 3))
    ratios = [
        np.ptp(one) / one.mean() for one in (colour_jittered(red, 0.3, np.random.default_rng(s)) for s in range(99))
    ]
    plain = 80 / (380 / 3)
    assert 0.69**2 < min(ratios) / plain < 0.69  # more than contrast alone could do
    assert 1.31 < max(ratios) / plain < 1.31**2 * 1.05
