"""Improved dense trajectories: laws of made scenes, plain transcriptions, and the authors' program."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from extractors.base import Clip, Row
from extractors.trajectories.config import Trajectories
from extractors.trajectories.descriptors import describe, integrals
from extractors.trajectories.farneback import SCALE_STEP, expansions, flows
from pipeline.config import parse
from pipeline.errors import InputError, UnusableVideo
from tests.support.footage import write

Frames = NDArray[np.uint8]

HEIGHT, WIDTH = 80, 100


def texture(seed: int, height: int = 240, width: int = 260) -> NDArray[np.float32]:
    """Smooth, and rich in corners at all scales, from 20 to 235."""
    rng = np.random.default_rng(seed)
    pictures = [cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), sigma) * sigma for sigma in (1.5, 3, 6)]
    return cv2.normalize(sum(pictures[1:], pictures[0]), None, 20, 235, cv2.NORM_MINMAX).astype(np.float32)


def seen(scene: NDArray[np.float32], x: float, y: float, height: int = HEIGHT, width: int = WIDTH) -> NDArray[Any]:
    """A window of the scene whose upper left corner is at (x, y)."""
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
    return cv2.warpAffine(scene, matrix, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)


def filmed(scene: NDArray[np.float32], path: NDArray[np.float64]) -> Frames:
    """What a camera sees on its path over the scene, (time, height, width)."""
    return np.clip(np.rint([seen(scene, *place) for place in path]), 0, 255).astype(np.uint8)


def with_square(frames: Frames, xs: NDArray[np.float64], y: int, side: int = 30) -> Frames:
    """A square of another texture in front, its left edge at ``xs``."""
    patch, covered = texture(9, side, side), frames.astype(np.float32)
    for frame, x in zip(covered, xs, strict=True):
        matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
        share = cv2.warpAffine(np.ones_like(patch), matrix, frame.shape[::-1])
        frame += cv2.warpAffine(patch, matrix, frame.shape[::-1]) - share * frame
    return np.rint(covered).astype(np.uint8)


def still(number: int) -> NDArray[np.float64]:
    return np.full((number, 2), 60.0)


def panned(number: int, x: float, y: float) -> NDArray[np.float64]:
    return 60 + np.arange(number)[:, None] * np.array([x, y])


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return tmp_path / "clip.avi"


def extracted(path: Path, frames: Frames, **fields: Any) -> dict[str, NDArray[Any]]:
    (row,) = Trajectories(**fields).build("cpu")(Clip(write(path, frames)))
    assert row.attributes.items() >= {"fps": 25.0, "frames": len(frames)}.items()
    return row.arrays


@pytest.mark.parametrize(("x", "y"), [(1.5, 0.0), (-0.8, 1.1)])
def test_trajectories_move_as_the_scene_does(clip: Path, x: float, y: float) -> None:
    arrays = extracted(clip, filmed(texture(0), panned(20, x, y)), camera_motion=False)
    places, features = arrays["places"], arrays["features"].astype(np.float64)
    assert len(features) > 300
    assert np.unique(places[:, 5]).tolist() == pytest.approx([1, 2**0.5, 2])
    inside = (abs(places[:, :2] - [WIDTH / 2, HEIGHT / 2]) < [20, 12]).all(axis=1)
    assert inside.sum() > 50
    speed = np.hypot(x, y)
    np.testing.assert_allclose(np.median(places[inside, 4]), 15 * speed, rtol=0.01)
    steps = features[inside, :30].reshape(-1, 15, 2)
    expected = np.broadcast_to(np.array([-x, -y]) / (15 * speed), steps.shape)
    np.testing.assert_allclose(np.median(steps, axis=0), expected[0], atol=0.003)  # a twentieth of a pixel
    assert np.quantile(abs(steps - expected), 0.95) < 0.008
    deviation = speed * np.arange(16).std()
    np.testing.assert_allclose(np.median(np.hypot(*places[inside, 2:4].T)), deviation, rtol=0.01)


def test_descriptors_are_as_promised(clip: Path) -> None:
    arrays = extracted(clip, filmed(texture(0), panned(20, 1.5, 0)), camera_motion=False)
    features = arrays["features"].astype(np.float64)
    assert features.shape[1] == 426 == sum(Trajectories().layout.widths)
    assert (np.diff(arrays["start_frames"]) >= 0).all()
    assert (arrays["end_frames"] - arrays["start_frames"] == 15).all()
    assert {15, 19} <= set(arrays["end_frames"].tolist()) <= set(range(15, 20))
    steps = features[:, :30].reshape(-1, 15, 2)
    np.testing.assert_allclose(np.linalg.norm(steps, axis=2).sum(axis=1), 1, atol=2e-3)
    for descriptor in np.split(features[:, 30:], [96, 204, 300], axis=1):
        assert (descriptor >= 0).all()
        energies = (descriptor.reshape(len(features), 3, -1) ** 2).sum(axis=2)
        assert (energies < 1.001).all()  # each frame's is 1, and theirs are averaged
        assert np.quantile(energies, 0.01, axis=0).min() > 0.7
    hof = features[:, 126:234].reshape(-1, 3, 4, 9)
    assert (hof.mean(axis=(0, 1, 2)).argmax()) == 4  # the picture moves to the left


def test_what_a_camera_pans_over_leaves_no_trajectory_and_without_removal_many(clip: Path) -> None:
    pan = filmed(texture(1), panned(20, 1.5, 0.5))
    assert len(extracted(clip, pan, camera_motion=False)["features"]) > 300
    assert len(extracted(clip, pan)["features"]) == 0


def test_where_nothing_moves_there_is_nothing(clip: Path) -> None:
    frames = filmed(texture(2), still(20))
    for camera_motion in (True, False):
        arrays = extracted(clip, frames, camera_motion=camera_motion)
        assert {name: array.shape for name, array in arrays.items()} == {
            "features": (0, 426),
            "start_frames": (0,),
            "end_frames": (0,),
            "places": (0, 6),
            "times": (0,),
            "ends": (0,),
        }
    assert len(extracted(clip, np.full((17, 64, 64), 90, np.uint8))["features"]) == 0


@pytest.mark.parametrize("pan", [0.0, 1.0])
def test_trajectories_are_on_what_moves_before_a_scene(clip: Path, pan: float) -> None:
    frames = with_square(filmed(texture(3), panned(24, pan, 0)), 20 + 1.5 * np.arange(24), y=25)
    arrays = extracted(clip, frames)
    places = arrays["places"]
    assert len(places) > 40
    x, y = places[:, :2].T
    margin = 8 * places[:, 5]  # flow is smooth: what is near an edge is taken along
    on_it = (abs(x - (20 + 15 + 1.5 * 12)) < 15 + 1.5 * 12 + margin) & (abs(y - 40) < 15 + margin)
    assert on_it.mean() > 0.97
    within = (abs(x - (20 + 15 + 1.5 * (arrays["end_frames"] - 7.5))) < 8) & (abs(y - 40) < 8)
    assert within.sum() > 10
    assert np.median(places[within, 4]) == pytest.approx(15 * 1.5, rel=0.05)  # followed where it is seen
    hof = arrays["features"][:, 126:234].reshape(-1, 4, 9).mean(axis=(0, 1), dtype=np.float64)
    assert (
        hof[[0, 8]].min() > 2 * hof[[2, 3, 4, 5, 6]].max()
    )  # it goes right, the scene stands still, nothing goes left


def test_points_are_not_closer_than_the_grid_and_begin_again_where_others_end(clip: Path) -> None:
    frames = filmed(texture(4), panned(40, 2, 0))
    coarse, fine = (extracted(clip, frames, stride_px=px, scales=1, camera_motion=False) for px in (10, 5))
    assert 3 < len(fine["features"]) / len(coarse["features"]) < 5
    first = fine["places"][fine["start_frames"] == 0]
    assert len({(round(x), round(y)) for x, y in first[:, :2]}) == len(first)
    begun = np.bincount(fine["start_frames"])
    assert (begun[1:] > 0).all()
    assert (begun[1:] < 0.7 * begun[0]).all()


@pytest.mark.parametrize("frames", [1, 2, 5, 15])
def test_a_clip_too_short_for_a_trajectory_is_unusable(clip: Path, frames: int) -> None:
    with pytest.raises(UnusableVideo, match=f"{frames} frames; a trajectory needs 16") as error:
        extracted(clip, filmed(texture(0), panned(frames, 1.5, 0)))
    assert error.value.frames_decoded == frames


def test_sixteen_frames_are_enough(clip: Path) -> None:
    frames = filmed(texture(0), panned(16, 1.5, 0))
    arrays = extracted(clip, frames, camera_motion=False)
    assert len(arrays["features"]) > 100
    assert not arrays["start_frames"].any()


def test_frames_are_resized_and_too_small_ones_refused(clip: Path) -> None:
    frames = filmed(texture(0), panned(18, 2, 0))
    half = extracted(clip, frames, size_px=(50, 40), camera_motion=False)["places"]
    assert set(half[:, 5]) == {1.0}
    np.testing.assert_allclose(np.median(half[:, 4]), 15, rtol=0.02)
    assert half[:, 0].max() < 50
    with pytest.raises(UnusableVideo, match="frames of 60x30 pixels; at least 32x32 are needed"):
        extracted(clip, frames, size_px=(60, 30))


@pytest.mark.parametrize(
    ("fields", "widths", "scales"),
    [
        ({"length_frames": 10, "cells_t": 2}, (20, 64, 72, 64, 64), 3),
        ({"length_frames": 5, "cells_t": 1, "cells_xy": 1}, (10, 8, 9, 8, 8), 3),
        ({"patch_px": 16}, (30, 96, 108, 96, 96), 5),
        ({"patch_px": 16, "scales": 4, "cells_xy": 4}, (30, 384, 432, 384, 384), 4),
    ],
)
def test_lengths_patches_and_cells_are_as_they_are_set(
    clip: Path, fields: dict[str, int], widths: tuple[int, ...], scales: int
) -> None:
    arrays = extracted(clip, filmed(texture(0), panned(20, 1.5, 0)), camera_motion=False, **fields)
    places, features = arrays["places"], arrays["features"].astype(np.float64)
    steps, cells_t = fields.get("length_frames", 15), fields.get("cells_t", 3)
    assert np.array_equal(arrays["end_frames"] - arrays["start_frames"], np.full(len(places), steps))
    assert np.unique(places[:, 5]).tolist() == pytest.approx([2 ** (step / 2) for step in range(scales)])
    inside = (abs(places[:, :2] - [WIDTH / 2, HEIGHT / 2]) < [20, 12]).all(axis=1)
    np.testing.assert_allclose(np.median(places[inside, 4]), steps * 1.5, rtol=0.01)
    assert features.shape[1] == sum(widths)
    for descriptor in np.split(features, np.cumsum(widths)[:-1], axis=1)[1:]:  # means of vectors of length 1
        lengths = np.linalg.norm(descriptor.reshape(len(features), cells_t, -1), axis=2)
        assert lengths.min() > 0.5
        assert lengths.max() < 1.001


def test_cells_must_divide_what_they_divide() -> None:
    with pytest.raises(InputError, match="length_frames = 14 must be a multiple of cells_t = 3"):
        parse(Trajectories, {"length_frames": 14})
    with pytest.raises(InputError, match="patch_px = 33 must be a multiple of cells_xy = 2"):
        parse(Trajectories, {"patch_px": 33})


def test_there_are_scales_down_to_that_of_a_patch() -> None:
    assert Trajectories().layout.sizes(120, 160) == [(120, 160), (85, 113), (60, 80), (42, 57)]
    assert Trajectories().layout.sizes(64, 64)[-1] == (32, 32)
    assert len(Trajectories().layout.sizes(1080, 1920)) == 8
    assert Trajectories().layout.sizes(31, 500) == []


def test_flow_at_each_scale_is_that_of_opencv_from_the_same_beginning() -> None:
    """At one scale, and at a finer one that begins with the coarser's."""
    scene = texture(5)
    frames = filmed(scene, np.array([[60, 60], [62.5, 58.8]]))
    sizes = Trajectories(scales=2).layout.sizes(HEIGHT, WIDTH)
    fine, coarse = flows(*(expansions(frame, sizes) for frame in frames))
    (alone,) = flows(*(expansions(frame, sizes[:1]) for frame in frames))
    handed_on = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR) * SCALE_STEP
    gaussian, begun = cv2.OPTFLOW_FARNEBACK_GAUSSIAN, cv2.OPTFLOW_USE_INITIAL_FLOW
    for ours, beginning, flags in (
        (alone, np.zeros_like(alone), gaussian),
        (fine, handed_on.astype(np.float32), gaussian | begun),
    ):
        flow = cv2.calcOpticalFlowFarneback(*frames, beginning, 0.5, 0, 10, 2, 7, 1.5, flags)
        np.testing.assert_allclose(ours, cv2.medianBlur(flow, 5), atol=2e-3)
    middle = fine[25:-25, 25:-25].mean(axis=(0, 1))
    np.testing.assert_allclose(middle, [-2.5, 1.2], atol=0.05)


def plain(field: tuple[NDArray[Any], NDArray[Any]], left: int, top: int, still: float | None) -> list[float]:
    """A patch's histogram: 2 × 2 cells of 16 pixels, one pixel after the other."""
    bins = []
    for x in (left, left + 16):
        for y in (top, top + 16):
            cell = np.zeros(8 if still is None else 9)
            for dx, dy in zip(*(part[y : y + 16, x : x + 16].ravel() for part in field), strict=True):
                if still is not None and np.hypot(dx, dy) <= still:
                    cell[8] += 1
                    continue
                place = np.arctan2(dy, dx) % (2 * np.pi) / (2 * np.pi) * 8
                cell[int(place) % 8] += np.hypot(dx, dy) * (1 - place % 1)
                cell[(int(place) + 1) % 8] += np.hypot(dx, dy) * (place % 1)
            bins += (cell + 0.05).tolist()
    return np.sqrt(np.array(bins) / sum(bins)).tolist()


@pytest.mark.parametrize(("x", "y", "left", "top"), [(50.4, 37.5, 34, 22), (1.0, 2.0, 0, 0), (99.0, 79.0, 68, 48)])
def test_descriptors_are_those_of_a_plain_transcription(x: float, y: float, left: int, top: int) -> None:
    grey = seen(texture(6), 60, 60).astype(np.uint8)
    flow = np.stack([seen(texture(seed), 60, 60) - 128 for seed in (7, 8)], axis=2) / np.float32(60)
    sums = np.zeros((1, 3, 132), np.float32)
    describe(sums, np.array([1]), np.array([[x, y]], np.float32), integrals(grey, flow), 32, 2)

    def gradient(image: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        wide = np.pad(image.astype(np.float64), 1, mode="reflect")
        return wide[1:-1, 2:] - wide[1:-1, :-2], wide[2:, 1:-1] - wide[:-2, 1:-1]

    u, v = flow[..., 0], flow[..., 1]
    fields = ((gradient(grey), None), ((u, v), 0.4), (gradient(u), None), (gradient(v), None))
    expected = [value for field, still_px in fields for value in plain(field, left, top, still_px)]
    np.testing.assert_allclose(sums[0, 1], expected, atol=3e-3)  # OpenCV's angles are within 0.3 degrees
    assert not sums[0, [0, 2]].any()


@pytest.mark.parametrize("frames", [90, pytest.param(360, marks=pytest.mark.slow)])
def test_the_authors_program_finds_the_same(frames: int, shared: Path) -> None:
    """Its output for a KTH video: end frame, mean x and y, deviations, length, scale, 3 positions, and 426 numbers."""
    reference = shared / "reference" / "idt" / "person01_boxing_d1.gz"
    video = shared / "kth" / "person01_boxing_d1_uncomp.avi"
    if not (reference.exists() and video.exists()):
        pytest.skip(f"no {reference.name} or no {video.name} in {shared}")
    theirs = np.loadtxt(reference)
    theirs = theirs[theirs[:, 0] < frames]
    (row,) = Trajectories().build("cpu")(Clip(video, (0, frames)))
    assert len(row.arrays["features"]) == pytest.approx(len(theirs), rel=0.05)
    pairs, distances = matched(row, theirs)
    found = distances <= 1
    assert found.mean() >= 0.98
    assert np.median(distances) < 1e-4
    np.testing.assert_allclose(row.arrays["places"][pairs[found], 2:5], theirs[found, 3:6], atol=0.2)
    ends = np.cumsum(Trajectories().layout.widths)[:-1]
    ours, wanted = row.arrays["features"][pairs[found]].astype(np.float64), theirs[found, 10:]
    for one, other in zip(np.split(ours, ends, axis=1), np.split(wanted, ends, axis=1), strict=True):
        cosines = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
        assert np.median(cosines) > 0.999
        assert np.quantile(cosines, 0.01) > 0.98


def matched(row: Row, theirs: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Of each of theirs, ours of the same end frame and scale whose mean position is nearest, and how far it is."""
    ends, places = row.arrays["end_frames"], row.arrays["places"]
    pairs, distances = [], []
    for end, x, y, scale in theirs[:, [0, 1, 2, 6]]:
        far = np.hypot(places[:, 0] - x, places[:, 1] - y)
        far[(ends != end) | (abs(places[:, 5] - scale) > 1e-3)] = np.inf
        pairs.append(int(far.argmin()))
        distances.append(float(far.min()))
    return np.array(pairs), np.array(distances)
