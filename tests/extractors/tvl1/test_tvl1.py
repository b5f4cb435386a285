"""TV-L1: known motions, the plain transcription, OpenCV's own, and what a row holds."""

import tracemalloc
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from extractors.base import Clip, Row
from extractors.pictures import picture
from extractors.tvl1.config import TVL1, pixels, quantised
from extractors.tvl1.cpu import CPUFlow
from extractors.tvl1.pyramid import shapes
from pipeline.errors import UnusableVideo
from pipeline.video.decode import read
from tests.support import footage
from tests.support.contracts import GOLDEN, MEMBERS, VIDEO
from tests.support.equality import same_rows
from tests.support.plain_tvl1 import flow as plain_flow

SEMANTICS = ["opencv-cpu", "opencv-cuda"]


def texture(height: int = 96, width: int = 128, seed: int = 0) -> np.ndarray:
    """Smooth noise of all grey levels, float32."""
    noise = np.random.default_rng(seed).random((height, width), np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)


def moved(image: np.ndarray, matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    """The image and what an affine motion (2, 3) makes of it, (2, height, width) uint8, and that motion as flow."""
    matrix = np.asarray(matrix, np.float64)
    height, width = image.shape
    after = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    y, x = np.indices(image.shape)
    expected = np.tensordot(matrix, np.stack([x, y, np.ones_like(x)]), 1) - np.stack([x, y])
    return np.stack([image, after]).round().clip(0, 255).astype(np.uint8), expected


def around_the_centre(angle: float, zoom: float) -> Any:
    return cv2.getRotationMatrix2D((63.5, 47.5), angle, zoom)


def compute(pairs: np.ndarray, **fields: Any) -> np.ndarray:
    return CPUFlow(TVL1(**fields).parameters)(pairs)


def distances(flow: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Between the end points of two flows, (height, width) pixels."""
    return np.hypot(*(flow - other))


def real_pairs(path: Path, size: tuple[int, int] | None, start: int = 10) -> np.ndarray:
    """Two consecutive frames, (2, height, width) uint8."""
    frames = read(path, colour="grey", frames=(start, start + 2)).frames
    return frames if size is None else np.stack([cv2.resize(frame, size) for frame in frames])


@pytest.mark.parametrize("semantics", SEMANTICS)
@pytest.mark.parametrize(
    "matrix",
    [
        [[1, 0, 2], [0, 1, 0]],
        [[1, 0, -1.5], [0, 1, 3.25]],
        [[1, 0, 4], [0, 1, -3]],
        around_the_centre(3, 1),
        around_the_centre(0, 1.05),
        around_the_centre(-2, 0.96),
    ],
    ids=["2 px right", "between pixels", "far", "rotation", "zoom", "both"],
)
def test_a_known_motion(matrix: Any, semantics: str) -> None:
    pair, expected = moved(texture(), matrix)
    found = compute(pair[None], semantics=semantics)[0]
    inner = distances(found, expected)[12:-12, 12:-12]
    assert inner.mean() < 0.05
    assert np.percentile(inner, 99) < 0.25


@pytest.mark.parametrize("semantics", SEMANTICS)
def test_nothing_moves(semantics: str) -> None:
    image = texture().astype(np.uint8)
    still = np.stack([image, image])[None]
    assert np.abs(compute(still, semantics=semantics)).max() < 1e-3
    for level in (0, 77, 255):
        flat = np.full((1, 2, 40, 50), level, np.uint8)
        assert not compute(flat, semantics=semantics).any()


def test_a_mirrored_pair_has_the_mirrored_flow() -> None:
    pair, _ = moved(texture(), [[1, 0, 2], [0, 1, -1]])
    found, mirrored = compute(np.stack([pair, pair[:, :, ::-1]]))
    assert distances(found, mirrored[:, :, ::-1] * [[[-1]], [[1]]])[8:-8, 8:-8].mean() < 0.01


@pytest.mark.parametrize("semantics", SEMANTICS)
@pytest.mark.parametrize("size", [(33, 47), (16, 16), (17, 90), (15, 21), (5, 3), (1, 1), (1, 40), (40, 1), (61, 128)])
def test_any_size_is_as_in_the_plain_transcription(size: tuple[int, int], semantics: str) -> None:
    pair, _ = moved(texture(*size), [[1, 0, 0.75], [0, 1, 0.5]])
    config = TVL1(semantics=semantics, warps=2)
    found = CPUFlow(config.parameters)(pair[None])[0]
    assert found.shape == (2, *size)
    assert distances(found, plain_flow(config, *pair)).mean() < 0.01


@pytest.mark.parametrize("semantics", SEMANTICS)
def test_every_parameter_is_as_in_the_plain_transcription(semantics: str) -> None:
    pair, _ = moved(texture(50, 60), around_the_centre(2, 1.02))
    base = {"semantics": semantics, "warps": 2}
    default = plain_flow(TVL1(**base), *pair)
    for fields in (
        {"tau": 0.1},
        {"attachment": 0.05},
        {"theta": 0.5},
        {"scales": 1},
        {"scale_step": 0.5},
        {"warps": 1},
        {"epsilon": 0.05},
        {"epsilon": 0, "scales": 2, "warps": 1},
    ):
        config = TVL1(**base | fields)
        expected = plain_flow(config, *pair)
        assert distances(CPUFlow(config.parameters)(pair[None])[0], expected).mean() < 1e-3, fields
        assert distances(expected, default).mean() > 0.01, fields


def test_extreme_parameters_give_numbers() -> None:
    pair, _ = moved(texture(40, 60), [[1, 0, 1], [0, 1, 0]])
    for tau, attachment, theta in product((1e-30, 1), (1e-30, 100), (0.001, 100)):
        assert np.isfinite(compute(pair[None], tau=tau, attachment=attachment, theta=theta)).all()


def test_the_pyramid_stops_above_16_pixels() -> None:
    assert shapes(TVL1().parameters, 240, 320) == [(240, 320), (192, 256), (154, 205), (123, 164), (98, 131)]
    assert shapes(TVL1().parameters, 20, 100) == [(20, 100), (16, 80)]
    assert shapes(TVL1().parameters, 10, 100) == [(10, 100)]
    assert shapes(TVL1(scales=2).parameters, 240, 320) == [(240, 320), (192, 256)]


def opencv(pair: np.ndarray) -> np.ndarray:
    return cv2.optflow.DualTVL1OpticalFlow_create().calc(pair[0], pair[1], None).transpose(2, 0, 1)


@pytest.mark.parametrize(("size", "count"), [((160, 120), 8), ((320, 240), 3)])
def test_real_pairs_are_as_opencv_has_them(size: tuple[int, int], count: int, shared: Path) -> None:
    """Of all their pixels together, and of most pairs alone.

    Rounding grows on its way through the warps, as there is 0 outside: a change of intensities by a ten-millionth moves
    OpenCV's own flow of such a pair by 0.06 pixels on average.
    """
    videos = sorted((shared / "ucf101-11" / "videos").glob("*/*.mp4"))
    clips = [*videos[:: len(videos) // count][:count], *sorted((shared / "kth").glob("*.avi"))[:2]]
    pairs = np.stack([real_pairs(clip, size) for clip in clips])
    apart = np.stack([distances(ours, opencv(pair)) for pair, ours in zip(pairs, compute(pairs), strict=True)])
    assert len(apart) == count + 2
    assert apart.mean() <= 0.05
    assert np.percentile(apart, 95) <= 0.1
    alone = [one.mean() <= 0.05 and np.percentile(one, 95) <= 0.1 for one in apart]
    assert np.mean(alone) >= 0.75


@pytest.mark.parametrize(("semantics", "most"), [("opencv-cpu", 0.05), ("opencv-cuda", 1e-3)])
def test_a_real_pair_is_as_in_the_plain_transcription(semantics: str, most: float) -> None:
    config = TVL1(semantics=semantics)
    pair = real_pairs(VIDEO, None)
    apart = distances(CPUFlow(config.parameters)(pair[None])[0], plain_flow(config, *pair))
    assert apart.mean() <= most
    assert np.percentile(apart, 95) <= 2 * most


def test_neither_threads_nor_the_batch_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = read(VIDEO, colour="grey", frames=(0, 8)).frames
    pairs = np.stack([frames[:-1], frames[1:]], axis=1)
    alone = np.concatenate([compute(pair[None]) for pair in pairs])
    for threads in (1, 2, 5):
        monkeypatch.setattr(cv2, "getNumThreads", lambda threads=threads: threads)
        assert np.array_equal(compute(pairs), alone)


def rows(config: TVL1, path: Path, frames: tuple[int, int] | None = None) -> Row:
    (row,) = config.build("cpu")(Clip(path, frames))
    return row


@pytest.mark.parametrize("stride", [1, 2, 3, 6, 7, 50])
def test_every_stride_th_frame_gives_the_flow_to_its_next(stride: int) -> None:
    row = rows(TVL1(size_px=(24, 20), stride_frames=stride, encoding="raw"), VIDEO, (3, 16))
    starts = row.arrays["start_frames"]
    assert starts.tolist() == list(range(0, 12, stride))
    assert len(starts) == -(-12 // stride)
    assert row.attributes["frames"] == 13
    every = rows(TVL1(size_px=(24, 20), encoding="raw"), VIDEO, (3, 16)).arrays
    for name in "xy":
        assert np.array_equal(row.arrays[name], every[name][starts])


@pytest.mark.parametrize("size", [None, (200, 150), (100, 80)])
def test_a_row_holds_the_flow_of_its_frames_as_integers(
    size: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TVL1(size_px=size, encoding="png", bound_px=0.5)
    row = rows(config, VIDEO, (0, 6))
    frames = read(VIDEO, colour="grey", frames=(0, 6)).frames
    if size:
        way = cv2.INTER_LINEAR if size[0] > frames.shape[2] else cv2.INTER_AREA
        frames = np.stack([cv2.resize(frame, size, interpolation=way) for frame in frames])
    flows = CPUFlow(config.parameters)(np.stack([frames[:-1], frames[1:]], axis=1))
    for component, name in enumerate("xy"):
        for index, flow in enumerate(flows[:, component]):
            levels = (flow.clip(-0.5, 0.5).astype(np.float64) + 0.5) * 255
            assert np.abs(picture(row.arrays, name, index) - levels).max() < 0.501
    stored = np.stack([[picture(row.arrays, name, index) for name in "xy"] for index in range(5)])
    lost = np.abs(pixels(stored, 0.5) - flows).mean()
    assert row.attributes["quantisation_error_px"] == pytest.approx(lost, rel=1e-4)
    assert row.attributes["clipped_share"] == pytest.approx((np.abs(flows) > 0.5).mean())
    assert row.attributes["clipped_share"] > 0
    monkeypatch.setattr(cv2, "getNumThreads", lambda: 3)
    monkeypatch.setattr("extractors.tvl1.cpu._BATCH_PIXELS", 2 * frames[0].size)
    assert same_rows([row], [rows(config, VIDEO, (0, 6))])


def test_a_jpeg_holds_almost_the_same() -> None:
    exact, lossy = (rows(TVL1(encoding=way), VIDEO, (0, 3)).arrays for way in ("png", "jpeg"))
    assert len(lossy["x"]) < len(exact["x"])
    for name in "xy":
        apart = picture(exact, name, 1).astype(float) - picture(lossy, name, 1)
        assert 0 < np.abs(apart).mean() < 1


def test_higher_quality_costs_bytes_and_gains_accuracy() -> None:
    exact, *lossy = (
        rows(TVL1(bound_px=2, **fields), VIDEO, (0, 3)).arrays
        for fields in ({"encoding": "png"}, {"quality": 20}, {"quality": 60}, {"quality": 95})
    )
    assert np.all(np.diff([len(arrays["x"]) for arrays in lossy]) > 0)
    errors = [(picture(exact, "x", 1).astype(float) - picture(arrays, "x", 1)).std() for arrays in lossy]
    assert np.all(np.diff(errors) < 0)


def test_rows_are_no_video() -> None:
    with pytest.raises(TypeError, match="tvl1 reads a video file, not rows"):
        next(TVL1().build("cpu")([Row({})]))


def test_the_golden_rows_flow() -> None:
    member = MEMBERS["tvl1"](GOLDEN)
    (row,) = member.rows()
    with np.load(GOLDEN / "tvl1-v1.npz") as golden:
        for name in "xy":
            apart = np.abs(row.arrays[name].astype(float) - golden[f"0/{name}"])
            assert golden[f"0/{name}"].std() > 2
            assert apart.mean() < 1.5  # 0.05 pixels: rounding grows


def test_quantisation_by_the_fields_rule() -> None:
    flow = np.array([-30, -20, -19.93, 0, 0.1, 10, 20, 21], np.float32)
    stored = quantised(flow, 20)
    assert stored.tolist() == [0, 0, 0, 128, 128, 191, 255, 255]
    assert np.abs(pixels(stored, 20) - flow.clip(-20, 20)).max() <= 20 / 255 + 1e-5


def test_grey_is_opencvs_grey_of_the_rgb_frames() -> None:
    rgb = read(VIDEO, frames=(0, 2)).frames
    grey = read(VIDEO, colour="grey", frames=(0, 2)).frames
    assert np.array_equal(grey, [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in rgb])


@pytest.mark.parametrize("frames", [1, 2, 5, 15])
def test_short_clips(frames: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (frames, 32, 48), np.uint8)
    path = footage.write(tmp_path / "short.avi", noise)
    config = TVL1(size_px=None)
    if frames == 1:
        with pytest.raises(UnusableVideo, match="1 frame; optical flow needs 2") as error:
            rows(config, path)
        assert error.value.frames_decoded == 1
    else:
        assert len(rows(config, path).arrays["start_frames"]) == frames - 1


def test_memory_does_not_grow_with_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractors.tvl1.cpu._BATCH_PIXELS", 2**17)
    noise = np.random.default_rng(0).integers(0, 256, (2, 240, 320), np.uint8)
    paths = [footage.write(tmp_path / f"{frames}.avi", noise[np.arange(frames) % 2]) for frames in (30, 120)]
    config = TVL1(size_px=(160, 120), encoding="raw", scales=1, warps=1, epsilon=1)
    rows(config, paths[0])
    peaks = []
    for path in paths:
        tracemalloc.start()
        row = rows(config, path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert all(isinstance(row.arrays[name], np.memmap) for name in "xy")
    assert peaks[1] < 1.3 * peaks[0] + 2**20
