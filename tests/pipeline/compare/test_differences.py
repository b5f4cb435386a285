"""How far two arrays are apart: by the largest difference, by direction, and by flow's end points."""

import numpy as np
import pytest

from pipeline.compare.differences import dequantised, difference, with_flow


def measured(a: object, b: object, name: str = "features"):  # type: ignore[no-untyped-def]
    return difference(np.asarray(a), np.asarray(b), "video", 0, name)


def test_cosine_of_known_angles() -> None:
    one = measured([[1.0, 0], [1, 0], [1, 0]], [[2.0, 0], [0, 3], [1, 1]])
    assert one.mean_cosine == pytest.approx((1 + 0 + 0.5**0.5) / 3)
    assert one.least_cosine == pytest.approx(0)
    assert one.max_difference == 3
    assert measured([[1.0, 2]], [[-1.0, -2]]).least_cosine == pytest.approx(-1)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_cosine_does_not_depend_on_length(scale: float) -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 4, 7))
    assert measured(a * scale, b).mean_cosine == pytest.approx(measured(a, b).mean_cosine)


def test_cosine_of_vectors_of_length_zero() -> None:
    both_zero, one_zero = measured(np.zeros((2, 3)), np.zeros((2, 3))), measured(np.zeros((2, 3)), np.ones((2, 3)))
    assert (both_zero.mean_cosine, both_zero.max_difference) == (1, 0)
    assert (one_zero.mean_cosine, one_zero.max_difference) == (0, 1)


def test_long_arrays_are_measured_piece_by_piece_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 50, 2, 4, 3))
    whole = measured(a, b, "flow")
    monkeypatch.setattr("pipeline.compare.differences.NUMBERS_AT_ONCE", 100)
    assert measured(a, b, "flow") == whole


def test_what_is_not_finite_is_counted_and_differs_unless_it_is_the_same() -> None:
    a, b = np.ones((4, 3)), np.ones((4, 3))
    a[0, 0] = b[0, 0] = np.nan
    a[1, 1] = b[1, 1] = np.inf
    same = measured(a, b)
    assert (same.not_finite, same.max_difference, same.mean_cosine) == ((2, 2), 0, 1)
    b[2, 0] = np.nan
    other = measured(a, b)
    assert (other.not_finite, other.max_difference) == ((2, 3), np.inf)
    assert measured([[1.0, np.inf]], [[1.0, -np.inf]]).max_difference == np.inf


@pytest.mark.parametrize(
    ("a", "b"), [(np.zeros((0, 3)), np.zeros((0, 3))), (np.zeros((3, 0)), np.zeros((3, 0))), (1.0, 1.0)]
)
def test_arrays_without_steps_or_axes(a: object, b: object) -> None:
    assert measured(a, b).within(0)


def test_integers_are_compared_without_wrapping() -> None:
    assert measured(np.uint8([3]), np.uint8([250])).max_difference == 247


def test_end_point_error_of_a_known_shift() -> None:
    flow = np.random.default_rng(0).normal(size=(3, 2, 10, 20))
    shift = np.zeros_like(flow)
    shift[:, 0, :, :2], shift[:, 1, :, :2] = 3, 4  # a tenth of all pixels, each by 5 px
    one = measured(flow, flow + shift, "flow")
    assert one.mean_epe_px == pytest.approx(0.5)
    assert one.epe95_px == pytest.approx(5)
    assert measured(flow, flow + shift).mean_epe_px is None


def test_quantised_flow_is_within_half_a_level_of_what_it_was() -> None:
    flow = np.random.default_rng(0).uniform(-20, 20, size=(2, 2, 8, 9))
    levels = np.round((flow + 20) * 255 / 40).astype(np.uint8)
    assert np.abs(dequantised(levels) - flow).max() <= 20 / 255 + 1e-9
    pair = with_flow({"flow_x": levels[:, 0], "flow_y": levels[:, 1], "rest": flow})
    assert pair.keys() == {"flow", "rest"}
    one = measured(pair["flow"], flow, "flow")
    assert one.max_difference is not None
    assert one.max_difference <= 20 / 255 + 1e-9
    assert 0 < (one.mean_epe_px or 0) <= 20 / 255 * 2**0.5
    assert measured(levels, levels, "flow").mean_epe_px == 0
