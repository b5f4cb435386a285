import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates, maximum_filter

from extractors.base import Clip
from extractors.harris3d.config import Harris3D
from extractors.harris3d.hof import DIMENSIONS, FlowHistograms, votes
from extractors.harris3d.interest_points import halo_frames, interest_points
from pipeline.errors import UnusableVideo
from pipeline.video.decode import read
from tests.support.footage import write

Frames = NDArray[np.uint8]

DEFAULTS = Harris3D().model_dump(include={"sigmas", "taus", "k", "threshold"})
FINE = DEFAULTS | {"sigmas": DEFAULTS["sigmas"][:2]}
RIGHT, DOWN, LEFT, UP, STILL = range(5)
TURN = 20


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def found(frames: Frames, **parameters: object) -> NDArray[np.float32]:
    return interest_points(frames, range(len(frames)), **{**DEFAULTS, **parameters})


def texture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """Smooth and rich in corners, from 20 to 230."""
    picture = rng.standard_normal((height, width))
    for axis in (0, 1):
        picture = gaussian_filter1d(picture, 2.0, axis=axis)
    return 20 + 210 * (picture - picture.min()) / np.ptp(picture)


def seen(scene: NDArray[np.float64], shifts: NDArray[np.float64], height: int, width: int) -> Frames:
    """(time, height, width): what lies (x, y) = ``shifts[t]`` pixels from the scene's origin, by cubic splines."""
    rows, columns = np.mgrid[:height, :width].astype(float)
    pictures = [map_coordinates(scene, (rows + y, columns + x), order=3) for x, y in shifts]
    return np.clip(np.rint(pictures), 0, 255).astype(np.uint8)


def events(rng: np.random.Generator, *shape: int, size: float = 1.5) -> Frames:
    """Blobs that come and go, (time, height, width), of some ``size`` pixels."""
    video = gaussian_filter(rng.standard_normal(shape), (1.0, size, size))
    return np.rint(np.interp(video / video.std(), (-1.5, 1.5), (0, 180))).astype(np.uint8)


def corner(xs: NDArray[np.float64], ys: NDArray[np.float64], height: int = 60, width: int = 80) -> Frames:
    """The upper left corner of a bright area over a dark one, drawn to a 256th of a pixel."""
    pictures = np.full((len(xs), height, width), 40, np.uint8)
    for picture, x, y in zip(pictures, xs, ys, strict=True):
        left, top = (np.clip(np.arange(length) - start + 0.5, 0, 1) for length, start in ((width, x), (height, y)))
        picture += np.rint(160 * np.outer(top, left)).astype(np.uint8)
    return pictures


def turning(frames: int = 41) -> Frames:
    """A corner that comes from the left at 1 pixel a frame and goes back: at x = 45, y = 30 in frame ``TURN``."""
    time = np.arange(frames)
    return corner(45.0 - abs(time - TURN), np.full(frames, 30.0))


def strongest(frames: Frames, **parameters: object) -> NDArray[np.float32]:
    """The point that is left when the threshold rises."""
    threshold, points = 1e-9, found(frames, **parameters)
    while len(higher := found(frames, **{**parameters, "threshold": threshold})):
        threshold, points = threshold * 1.3, higher
    return points[0]


def test_a_static_scene_has_no_point(rng: np.random.Generator) -> None:
    scene = np.clip(texture(rng, 60, 80), 0, 255).astype(np.uint8)
    assert not len(found(np.repeat(scene[None], 30, axis=0), threshold=0))


@pytest.mark.parametrize("tau", DEFAULTS["taus"])
@pytest.mark.parametrize("sigma", DEFAULTS["sigmas"][:3])
def test_a_corner_that_turns_back_is_found_where_and_when_it_does(sigma: float, tau: float) -> None:
    """A window sees most of a corner a little inside of it, which is some 1.5σ."""
    x, y, t, *scale = strongest(turning(), sigmas=[sigma], taus=[tau])
    assert max(abs(x - 45), abs(y - 30)) <= 1.5 * sigma + 1
    assert abs(t - TURN) <= 1
    assert scale == pytest.approx([sigma, tau])


def test_a_flickering_corner_is_found_when_it_flickers() -> None:
    """It goes out with frame 14 and is there again from frame 28 on; the space-time corners lie where it is."""
    frames = corner(np.full(42, 45.0), np.full(42, 30.0))
    frames[14:28] = 40
    points = found(frames, sigmas=[2.0])
    assert len(points) > 0
    assert (abs(points[:, :2] - [45, 30]) <= 3).all()
    out, again = abs(points[:, 2] - 11.5) <= 2, abs(points[:, 2] - 29.5) <= 2
    assert out.any()
    assert again.any()
    assert (out | again).all()


@pytest.mark.parametrize("velocity", [(1.0, 0.0), (0.7, -0.4), (-1.3, 1.1)])
def test_a_scene_in_constant_motion_has_no_point_up_to_the_very_borders(
    rng: np.random.Generator, velocity: tuple[float, float]
) -> None:
    shifts = 60 - np.arange(40)[:, None] * velocity
    scene = texture(rng, 220, 240)
    moving = seen(scene, shifts, 60, 80)
    assert not len(found(moving, threshold=0))
    jerking = shifts.copy()
    jerking[20:] = 2 * shifts[20] - shifts[20:]
    points = found(seen(scene, jerking, 60, 80), threshold=1e-10)
    assert len(points) > 5
    assert (abs(points[:, 2] - 20) <= 2).all()


def test_a_shift_of_the_video_shifts_the_points(rng: np.random.Generator) -> None:
    video = events(rng, 60, 90, 100)
    shift = np.array([5, 2, 3])  # x, y, t
    whole, part = found(video, **FINE), found(video[shift[2] :, shift[1] :, shift[0] :], **FINE)
    whole[:, :3] -= shift
    reach = np.array([23, 23, halo_frames(2.0)])  # what lies nearer to a border saw something else
    inside = [
        points[((points[:, :3] >= reach) & (points[:, :3] < np.array([95, 88, 57]) - reach)).all(axis=1)]
        for points in (whole, part)
    ]
    assert len(inside[0]) > 20
    assert np.array_equal(*inside)


def test_more_light_changes_nothing(rng: np.random.Generator) -> None:
    video = events(rng, 30, 50, 60)
    points = found(video, **FINE)
    assert len(points) > 20
    assert np.array_equal(found(video + np.uint8(70), **FINE), points)


def test_points_are_ordered_by_time_and_none_needs_a_pixel_that_is_not_there(rng: np.random.Generator) -> None:
    points = found(events(rng, 30, 50, 60))
    x, y, t, sigma, tau = points.T.astype(np.float64)
    keys = list(zip(t, y, x, sigma, tau, strict=True))
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert len(points) > 20
    for place, scale, length in ((x, sigma, 60), (y, sigma, 50), (t, tau, 30)):
        assert (np.minimum(place, length - 1 - place) > 3 * scale + 0.5).all()


def transcribed(frames: Frames, sigma: float, tau: float, k: float) -> NDArray[np.float64]:
    """H in float64 from SciPy's filters, NaN where it is not defined."""
    deviations = (tau, sigma, sigma)
    margins = [int(3 * deviation + 0.5) for deviation in deviations]
    level = frames / 255
    for axis, deviation in enumerate(deviations):
        level = gaussian_filter1d(level, deviation, axis=axis, truncate=3)
    level = level[tuple(slice(margin, -margin) for margin in margins)]
    inner = (slice(1, -1),) * 3
    lt, ly, lx = (scale * slope[inner] for scale, slope in zip(deviations, np.gradient(level), strict=True))

    def averaged(product: NDArray[np.float64]) -> NDArray[np.float64]:
        there = np.ones_like(product)
        for axis, deviation in enumerate(deviations):
            product, there = (
                gaussian_filter1d(values, 2**0.5 * deviation, axis=axis, truncate=3, mode="constant")
                for values in (product, there)
            )
        return product / there

    mu = np.array([[averaged(one * other) for one in (lx, ly, lt)] for other in (lx, ly, lt)])
    response = np.linalg.det(np.moveaxis(mu, (0, 1), (-2, -1))) - k * np.trace(mu) ** 3
    return np.pad(response, [(margin + 1, margin + 1) for margin in margins], constant_values=np.nan)


@pytest.mark.parametrize("tau", DEFAULTS["taus"])
@pytest.mark.parametrize("sigma", DEFAULTS["sigmas"][:4])
def test_points_are_those_of_a_plain_transcription(rng: np.random.Generator, sigma: float, tau: float) -> None:
    video, threshold = events(rng, 36, 80, 90, size=0.7 * sigma), 1e-11
    response = transcribed(video, sigma, tau, DEFAULTS["k"])
    highest = maximum_filter(np.where(np.isnan(response), np.inf, response), 3, mode="constant", cval=np.inf)
    t, y, x = np.nonzero((response == highest) & (response > threshold))
    points = found(video, sigmas=[sigma], taus=[tau], threshold=threshold)
    assert len(points) > 0
    assert np.array_equal(points[:, :3], np.stack([x, y, t], axis=1))


def drifting(rng: np.random.Generator, velocity: tuple[float, float]) -> Frames:
    return seen(texture(rng, 160, 160), 50 + np.arange(12)[:, None] * velocity, 60, 60)


@pytest.mark.parametrize(("velocity", "bin_"), [((2, 0), LEFT), ((-2, 0), RIGHT), ((0, 2), UP), ((0, -2), DOWN)])
def test_a_patch_that_moves_votes_for_its_direction(
    rng: np.random.Generator, velocity: tuple[float, float], bin_: int
) -> None:
    """The picture moves against what is seen of the scene."""
    (descriptor,) = FlowHistograms()(drifting(rng, velocity), 0, np.float32([[30, 30, 6, 2, 1.4]]))
    cells = descriptor.reshape(18, 5)
    assert (cells[:, bin_] > 0.9).all()
    np.testing.assert_allclose(cells.sum(axis=1), 1, rtol=1e-6)


def test_a_direction_between_two_orientations_votes_for_both(rng: np.random.Generator) -> None:
    frames = drifting(rng, (-1.5, -1.5))
    mean = votes(*frames[:2])[15:-15, 15:-15].mean(axis=(0, 1))
    np.testing.assert_allclose(mean[[RIGHT, DOWN]], 0.5 * 1.5 * 2**0.5, rtol=0.05)
    assert mean[[LEFT, UP, STILL]].max() < 0.02


def test_what_stands_still_votes_for_no_motion(rng: np.random.Generator) -> None:
    (descriptor,) = FlowHistograms()(drifting(rng, (0, 0)), 0, np.float32([[30, 30, 6, 2, 1.4]]))
    assert np.array_equal(descriptor.reshape(18, 5), np.tile(np.float32([0, 0, 0, 0, 1]), (18, 1)))


def test_cells_lie_in_the_order_of_time_and_rows_and_columns(rng: np.random.Generator) -> None:
    """Only what is left of the point, above it and later moves."""
    scene = texture(rng, 160, 160)
    frames = seen(scene, np.full((13, 2), 50), 60, 60)
    frames[6:, :23, :23] = seen(scene, 50 + np.arange(7)[:, None] * (2, 0), 23, 23)
    (descriptor,) = FlowHistograms()(frames, 0, np.float32([[30, 30, 6, 2, 1.4]]))
    cells = descriptor.reshape(2, 3, 3, 5)
    moving = 1 - cells[..., STILL]
    assert moving[1, 0, 0] > 0.7
    assert moving[0].max() == 0
    assert moving[1, 1:, 1:].max() < 0.2


def test_descriptors_are_those_of_a_plain_transcription(rng: np.random.Generator) -> None:
    """Near the borders, too, where cells end with the frame."""
    frames = drifting(rng, (1.3, 0.4))
    points = np.float32([[30, 30, 6, 2, 1.4], [13, 40, 5, 4, 2], [50, 50, 7, 2.83, 2]])
    expected = []
    for x, y, t, sigma, tau in points.astype(np.float64):
        inner, outer, deep = round(3 * sigma), round(9 * sigma), round(4 * tau)
        cells = np.zeros((2, 3, 3, 5))
        for pair in range(len(frames) - 1):
            if not t - deep <= pair < t + deep:
                continue
            given = votes(*frames[pair : pair + 2])
            for row in range(60):
                for column in range(60):
                    place = [int(np.sign(d) * (abs(d) > inner)) + 1 for d in (row - y, column - x)]
                    if max(abs(row - y), abs(column - x)) <= outer:
                        cells[(int(pair >= t), *place)] += given[row, column]
        expected.append((cells / cells.sum(axis=-1, keepdims=True)).ravel())
    np.testing.assert_allclose(FlowHistograms()(frames, 0, points), expected, atol=1e-5)


def test_window_by_window_a_row_is_that_of_the_clip_at_once(rng: np.random.Generator, tmp_path: Path) -> None:
    frames = np.concatenate([turning(), turning(), turning()])[:, :48, 10:74]
    frames = np.clip(frames + rng.normal(0, 3, frames.shape), 0, 255).astype(np.uint8)
    path = write(tmp_path / "turning.avi", frames)
    (row,) = Harris3D().build("cpu")(Clip(path))
    points = row.arrays["points"]
    assert len(points) > 10
    assert np.array_equal(points, found(frames))
    np.testing.assert_allclose(row.arrays["features"], FlowHistograms()(frames, 0, points), atol=1e-6)
    assert row.arrays["features"].shape == (len(points), DIMENSIONS)
    assert row.arrays["features"].dtype == points.dtype == np.float32
    assert np.array_equal(row.arrays["start_frames"], points[:, 2])
    assert row.attributes.items() >= {"fps": 25.0, "frames": 123}.items()


def test_memory_does_not_grow_with_the_clip(rng: np.random.Generator, tmp_path: Path) -> None:
    frames = np.clip(turning()[:, :48, 10:74] + rng.normal(0, 3, (41, 48, 64)), 0, 255).astype(np.uint8)
    peaks = []
    for times in (3, 7):
        path = write(tmp_path / f"{times}.avi", np.tile(frames, (times, 1, 1)))
        tracemalloc.start()
        list(Harris3D().build("cpu")(Clip(path)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[1] < 5000 * 48 * 64


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((12, 40, 40), "12 frames; at least 13 are needed"),
        ((20, 16, 40), "40x16 pixels; at least 17 either way are needed"),
        ((20, 40, 40), "20 frames without an interest point above 1e-09: a lower threshold finds weaker ones"),
    ],
)
def test_a_clip_without_points_says_why(tmp_path: Path, shape: tuple[int, int, int], reason: str) -> None:
    path = write(tmp_path / "grey.avi", np.full(shape, 99, np.uint8))
    with pytest.raises(UnusableVideo) as error:
        list(Harris3D().build("cpu")(Clip(path)))
    assert error.value.reason == reason
    assert error.value.frames_decoded == shape[0]


def test_a_scale_too_fine_to_be_sampled_is_refused() -> None:
    with pytest.raises(ValueError, match=r"greater than or equal to 0\.5"):
        Harris3D(sigmas=(0.2,))


def test_scales_are_deviations_whose_squares_are_the_papers() -> None:
    np.testing.assert_allclose(np.square(Harris3D().sigmas), [4, 8, 16, 32, 64, 128])
    np.testing.assert_allclose(np.square(Harris3D().taus), [2, 4])


@pytest.mark.parametrize("video", ["person21_boxing_d1", "person15_running_d1"])
def test_on_a_real_video_points_lie_where_something_moves(shared: Path, video: str) -> None:
    path = shared / "kth" / f"{video}_uncomp.avi"
    if not path.exists():
        pytest.skip(f"no {path}")
    frames = read(path, colour="grey", frames=(0, 80)).frames
    points = found(frames)
    assert len(points) > 50
    changes = np.ptp(np.lib.stride_tricks.sliding_window_view(frames, 5, axis=0), axis=-1)  # of frames t - 2 to t + 2
    moving = np.array([cv2.dilate(change, np.ones((5, 5))) for change in changes]) > 25
    x, y, t = points[:, :3].astype(int).T
    assert moving[t - 2, y, x].mean() > 0.95
    assert moving.mean() < 0.25
