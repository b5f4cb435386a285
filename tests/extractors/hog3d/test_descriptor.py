"""HOG3D: its laws, the original tool's own output, an independent transcription; and that a grid is its points."""

import gc
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from extractors.hog3d.dense import Dense
from extractors.hog3d.descriptor import borders
from extractors.hog3d.grid import Descriptor, Grid
from extractors.hog3d.polyhedra import Quantiser, axes
from pipeline.errors import InputError, UnusableVideo
from pipeline.video.decode import read
from tests.support import plain_hog3d as plain
from tests.support.hog3d_points import describe_points
from tests.support.paths import ROOT

BMVC08 = {"cells_xy": 4, "cells_t": 3, "sub_blocks": 3, "orientation": "full", "sigma_support": 8, "tau_support": 6}
SETTINGS: dict[str, dict[str, Any]] = {
    "KTH": {},
    "BMVC'08": BMVC08,
    "dodecahedron": {"solid": "dodecahedron", "cells_xy": 2, "cells_t": 2},
    "dodecahedron, full": {"solid": "dodecahedron", "orientation": "full", "cells_xy": 3, "cells_t": 2},
    "global": {**BMVC08, "normalisation": "global"},
}
SOLIDS = [(solid, orientation) for solid in ("icosahedron", "dodecahedron") for orientation in ("half", "full")]


@pytest.fixture
def video() -> np.ndarray:
    """Smooth noise, uint8 (40, 60, 70)."""
    rng = np.random.default_rng(3)
    frames = rng.normal(size=(48, 68, 78))
    for axis in range(3):
        frames = sum(np.take(frames, range(k, frames.shape[axis] - 8 + k), axis) for k in range(9))
    frames = (frames - frames.min()) / np.ptp(frames)
    return (60 + 120 * frames).round().astype(np.uint8)


def dense(
    frames: np.ndarray, descriptor: Descriptor, grid: Grid, *, block_frames: int = 32, chosen: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """First frames (n,) and features (n, boxes, dims)."""
    blocks = np.split(frames, range(block_frames, len(frames), block_frames))
    starts, features = zip(*Dense(descriptor, grid, "cpu")(blocks, chosen), strict=True)
    return np.concatenate(starts), torch.cat(features).unflatten(1, (-1, descriptor.dims)).numpy()


def centres(grid: Grid, descriptor: Descriptor, height: int, width: int) -> list[tuple[float, float, float]]:
    """x, y and σ of the grid's boxes."""
    return [
        (left + side / 2, top + side / 2, side / descriptor.sigma_support)
        for tops, lefts, side in grid.places(descriptor, height, width)
        for top in tops
        for left in lefts
    ]


def ramp(x: float, y: float, t: float, *, frames: int = 17, size: int = 30) -> np.ndarray:
    """Grey levels that grow by so much from pixel to pixel and frame to frame, (frames, size, size)."""
    time, row, column = np.mgrid[:frames, :size, :size]
    levels = x * column + y * row + t * time
    return (levels - levels.min()).astype(np.uint8)


# laws


@pytest.mark.parametrize(("solid", "orientation"), SOLIDS)
def test_axes_are_the_normals_of_a_regular_solid(solid: str, orientation: str) -> None:
    found = axes(solid, orientation)
    faces, edges = {"icosahedron": (20, 3), "dodecahedron": (12, 5)}[solid]
    assert len(found) == (faces if orientation == "full" else faces // 2)
    norms = found.norm(dim=1)
    assert norms.tolist() == pytest.approx([float(norms[0])] * len(found))
    every = torch.cat((found, -found)) if orientation == "half" else found
    cosines = (every @ every.T / norms[0] ** 2).fill_diagonal_(-1)
    nearest = cosines.max()
    assert ((nearest - cosines).abs() < 1e-9).sum(dim=1).tolist() == [edges] * faces
    assert nearest == pytest.approx({"icosahedron": 0.745356, "dodecahedron": 0.447214}[solid], abs=1e-6)


@pytest.mark.parametrize(("solid", "orientation"), SOLIDS)
def test_a_vector_is_divided_among_the_axes_around_it(solid: str, orientation: str) -> None:
    quantise, along = Quantiser(solid, orientation, "cpu"), axes(solid, orientation).float()
    alone = quantise(along.T)
    torch.testing.assert_close(alone, torch.diag(along.norm(dim=1)), rtol=0, atol=1e-5)
    vectors = torch.randn(3, 1000, generator=torch.Generator().manual_seed(0))
    shares = quantise(vectors)
    torch.testing.assert_close(shares.sum(0), vectors.norm(dim=0))
    projected = along @ vectors
    assert torch.equal(shares.argmax(0), (projected.abs() if orientation == "half" else projected).argmax(0))
    assert not quantise(torch.zeros(3, 4)).any()


@pytest.mark.parametrize(
    ("gradient", "bins"),
    [
        ((3, 0, 0), {8: 1, 9: 1}),  # an upright edge that stands still
        ((0, 3, 0), {6: 1, 7: 1}),
        ((0, 0, 5), {4: 1, 5: 1}),  # flicker
        # moving to the right, one pixel a frame: (φ + 1/φ)/√2 - θ and 2/√2 - θ for θ = √(5/3)
        ((2, 0, -2), {1: 0.123219, 2: 0.123219, 9: 0.290145}),
        ((2, 0, 2), {0: 0.123219, 3: 0.123219, 8: 0.290145}),  # and to the left
    ],
)
def test_an_edge_at_constant_speed_is_in_the_bins_of_its_direction(
    gradient: tuple[int, int, int], bins: dict[int, float]
) -> None:
    config = Descriptor()
    (found,) = describe_points(ramp(*gradient), np.array([[15, 15, 8, 1, 1]]), config)
    cells = found.reshape(100, 10)
    assert np.flatnonzero(cells.any(axis=0)).tolist() == list(bins)
    shares = np.array(list(bins.values())) / sum(bins.values())
    mass = 64 * np.linalg.norm(gradient) / 255  # of a cell of 4×4×4 sub-blocks, a pixel and a frame each
    expected = mass * shares / (mass * np.linalg.norm(shares) + 0.02 * 64)
    np.testing.assert_allclose(cells[:, list(bins)], np.tile(expected, (100, 1)), rtol=1e-4)


def test_contrast_inverted_full_orientation_swaps_opposite_bins_and_half_sees_nothing(video: np.ndarray) -> None:
    point = np.array([[30, 28, 20, 1.7, 5]])
    for config, swap in ((Descriptor(orientation="full"), 10), (Descriptor(), 0)):
        found, inverted = (describe_points(frames, point, config).reshape(100, -1) for frames in (video, 255 - video))
        np.testing.assert_allclose(inverted, np.roll(found, swap, axis=1), rtol=0, atol=1e-6)


def test_brightness_is_nothing_and_a_shifted_video_has_shifted_descriptors(video: np.ndarray) -> None:
    points = np.array([[30, 28, 20, 1.7, 5], [41.5, 20.25, 17, 2, 4]])
    found = describe_points(video, points, Descriptor())
    assert np.array_equal(describe_points(video + np.uint8(40), points, Descriptor()), found)
    shifted = np.roll(video, (2, -3, 5), axis=(0, 1, 2))
    points += (5, -3, 2, 0, 0)
    np.testing.assert_allclose(describe_points(shifted, points, Descriptor()), found, rtol=0, atol=1e-6)


@pytest.mark.parametrize("setting", SETTINGS)
def test_norms_stay_below_one_and_a_blank_clip_gives_zeros(setting: str, video: np.ndarray) -> None:
    config = Descriptor(**SETTINGS[setting])
    contrast = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), video.shape)
    for frames in (video, contrast):
        _, features = dense(frames, config, Grid(stride_frames=5))
        cells = features.reshape(-1, config.cells_xy**2 * config.cells_t, config.bins)
        if config.normalisation == "cell":
            assert 0.1 < np.linalg.norm(cells, axis=2).max() < 1
        else:
            np.testing.assert_allclose(np.linalg.norm(features, axis=2), 1, rtol=1e-5)
        assert (features >= 0).all()
    blank = np.full_like(video, 99)
    assert not dense(blank, config, Grid())[1].any()
    blank[20, 30, 30] += 2  # too little for any cell to count
    assert not dense(blank, config, Grid())[1].any()


# the original tool's output


def test_the_original_tools_descriptors(shared: Path) -> None:
    """All but boxes at the clip's end, where the tool's last difference in time is none of the video's.

    Of the other rows nine have some cells that lie in a few macroblocks, which its decoder saw otherwise.
    """
    folder = shared / "reference" / "hog3d"
    frames = read(folder / "walk-simple.avi", colour="grey").frames
    rows = np.loadtxt(folder / "kth.features")
    points, expected = rows[:, [0, 1, 2, 6, 7]], rows[:, 8:]
    before_end = points[:, 2] + 8 < len(frames) - 1
    assert before_end.sum() == 193
    found = describe_points(frames, points[before_end], Descriptor())
    errors = np.abs(found - expected[before_end])
    assert (errors.max(axis=1) < 1e-5).mean() >= 0.95
    assert (errors.reshape(-1, 10).max(axis=1) < 1e-5).mean() >= 0.998


def test_the_original_tool_leaves_out_the_same_points(shared: Path) -> None:
    folder = shared / "reference" / "hog3d"
    frames = read(folder / "walk-simple.avi", colour="grey").frames
    described = {tuple(row) for row in np.loadtxt(folder / "kth.features")[:, [0, 1, 2, 6, 7]].tolist()}
    for point in np.loadtxt(folder / "walk-simple.pos"):
        if tuple(point.tolist()) in described:
            continue
        with pytest.raises(InputError, match="is not inside 160x120 pixels and 113 frames"):
            describe_points(frames, point[None], Descriptor())


# agreement


@pytest.mark.parametrize("setting", SETTINGS)
def test_points_are_those_of_the_plain_transcription(setting: str, video: np.ndarray) -> None:
    config, gradient = Descriptor(**SETTINGS[setting]), plain.gradients(video)
    points = np.array([[25.0, 27, 12, 1, 1], [33.3, 29.9, 19.25, 1.9, 5.3], [35, 30, 20, 60 / 16, 4]])
    found = describe_points(video, points, config)
    assert found.shape == (3, config.dims)
    for point, one in zip(points, found, strict=True):
        np.testing.assert_allclose(one, plain.describe(gradient, point, config), rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("setting", "grid"),
    [
        ("KTH", Grid(stride_px=11, stride_frames=3)),
        ("KTH", Grid(tau_frames=5.15, scales=2)),  # 20.6 frames, parts of one and of two
        ("BMVC'08", Grid(stride_px=14, stride_frames=7, sigma_px=2.2)),
        ("dodecahedron", Grid(tau_frames=4, stride_frames=30)),  # further apart than a box is long
        ("global", Grid(stride_frames=4, scales=1)),
    ],
)
def test_a_grid_is_its_points(setting: str, grid: Grid, video: np.ndarray) -> None:
    config = Descriptor(**SETTINGS[setting])
    starts, features = dense(video, config, grid, block_frames=9)
    duration = config.length_frames(grid.tau_frames)
    assert starts.tolist() == [at for at in range(0, 40, grid.stride_frames) if at + round(duration) < 40]
    boxes = centres(grid, config, 60, 70)
    assert features.shape == (len(starts), len(boxes), config.dims)
    for start, row in zip(starts, features, strict=True):
        points = np.array([(x, y, start + duration / 2, sigma, grid.tau_frames) for x, y, sigma in boxes])
        np.testing.assert_allclose(row, describe_points(video, points, config), rtol=0, atol=1e-6)


def test_blocks_and_left_out_positions_change_nothing(video: np.ndarray) -> None:
    grid = Grid(stride_frames=2, tau_frames=5)
    starts, features = dense(video, Descriptor(), grid)
    for block_frames in (1, 7, 40):
        again, others = dense(video, Descriptor(), grid, block_frames=block_frames)
        assert np.array_equal(starts, again)
        np.testing.assert_allclose(others, features, rtol=0, atol=1e-6)
    chosen = np.array([0, 1, 7, 9])
    some, others = dense(video, Descriptor(), grid, block_frames=6, chosen=chosen)
    assert np.array_equal(some, starts[chosen])
    np.testing.assert_allclose(others, features[chosen], rtol=0, atol=1e-6)


# sizes


def test_kth_has_56_boxes_a_frame() -> None:
    places = Grid().places(Descriptor(), 120, 160)
    assert [(len(lefts), len(tops)) for tops, lefts, _ in places] == [(7, 5), (5, 3), (3, 2)]
    assert [side for _, _, side in places] == pytest.approx([20, 28.2843, 40], abs=1e-4)
    tops, lefts, side = places[0]
    assert {b - a for starts in (tops, lefts) for a, b in pairwise(starts)} == {side}
    assert tops[0] == lefts[0] == 10
    assert Descriptor().dims * 56 == 56_000
    assert Descriptor(**BMVC08).dims == 960


def test_other_frame_sizes() -> None:
    rng = np.random.default_rng(0)
    for height, width, boxes in ((30, 30, 1), (31, 90, 4), (50, 75, 6 + 2)):
        frames = rng.integers(0, 256, (18, height, width), np.uint8)
        assert dense(frames, Descriptor(), Grid())[1].shape == (2, boxes, 1000)


def test_what_is_too_short_or_too_small_is_said() -> None:
    frames = np.zeros((16, 40, 40), np.uint8)
    with pytest.raises(UnusableVideo, match="16 frames; HOG3D needs 17") as error:
        dense(frames, Descriptor(), Grid())
    assert error.value.frames_decoded == 16
    with pytest.raises(UnusableVideo, match="160x29 pixels; HOG3D's smallest box here needs 30x30"):
        dense(np.zeros((20, 29, 160), np.uint8), Descriptor(), Grid())
    for point in ([9.9, 15, 8, 1, 1], [20, 20, 7.5, 1, 1], [30.5, 20, 8, 1, 1], [20, 20, 8, 1, 1]):
        with pytest.raises(InputError, match="is not inside 40x40 pixels and 16 frames; leave such points out"):
            describe_points(frames, np.array([point]), Descriptor())


def test_borders_are_rounded_half_away_from_zero() -> None:
    assert borders(np.array([0.5, -2.5]), 4, 2).tolist() == [[1, 3, 5], [-3, -1, 2]]


# memory


def held_bytes() -> int:
    """By all tensors there are, but for those that stand for others and have no memory of their own."""
    tensors = [held for held in gc.get_objects() if type(held) is torch.Tensor and torch._C._has_storage(held)]
    return sum({held.data_ptr(): held.untyped_storage().nbytes() for held in tensors}.values())


def test_memory_does_not_grow_with_the_clip(video: np.ndarray) -> None:
    """The most that is held is the same, to the byte, after four blocks of frames and after twenty."""
    gc.collect()  # what other tests left would go while this one counts
    before, most = held_bytes(), []
    for blocks in (4, 20):
        pieces = Dense(Descriptor(), Grid(), "cpu")(video[:32] for _ in range(blocks))
        most.append(max(held_bytes() - before for _ in pieces))
    assert most[0] == most[1] > 0


LONG = """
import resource, sys
from pathlib import Path
import numpy as np
from extractors.base import Clip
from extractors.hog3d.config import HOG3DRows
from pipeline.video.encode import write

folder, texture = Path(sys.argv[1]), np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
texture = texture.repeat(10, axis=0).repeat(10, axis=1)
extraction = HOG3DRows().build("cpu")
for frames in (160, 800):
    path = folder / f"{frames}.mp4"
    write(path, (np.roll(texture, 2 * n, axis=1) for n in range(frames)), 25)
    (row,) = extraction(Clip(path))
    assert row.arrays["features"].shape == (frames - 16, 56000)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_a_process_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    """640 frames more are 12 MB as they are, 36 MB as cells, 143 MB as descriptors and 72 MB as they are stored."""
    exact = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}  # what is freed goes back to the system
    command = [sys.executable, "-c", LONG, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, env=exact, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    short_kib, long_kib = map(int, ended.stdout.split())
    assert long_kib - short_kib < 8000


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_gpu_gives_the_cpus_numbers(setting: str, video: np.ndarray) -> None:
    config, grid = Descriptor(**SETTINGS[setting]), Grid(stride_frames=2)
    _, expected = dense(video, config, grid)
    pieces = [features for _, features in Dense(config, grid, "cuda")([video])]
    found = torch.cat(pieces).cpu().unflatten(1, (-1, config.dims)).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    points = np.array([[30, 28, 20, 1.7, 5]])
    on_both = [describe_points(video, points, config, device) for device in ("cpu", "cuda")]
    np.testing.assert_allclose(on_both[1], on_both[0], rtol=0, atol=2e-6)
