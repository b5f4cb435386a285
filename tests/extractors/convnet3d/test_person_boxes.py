from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import correlate

from extractors.base import Clip
from extractors.convnet3d.local_contrast import FLOOR, local_contrast
from extractors.convnet3d.person_boxes import PersonBoxes
from extractors.convnet3d.person_tracking import cut, track
from pipeline.errors import UnusableVideo
from tests.support.footage import write

RUNNING = "kth/person15_running_d1_uncomp.avi"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def noise(rng: np.random.Generator, frames: int, height: int = 60, width: int = 80) -> np.ndarray:
    """A textured background under the noise of a camera."""
    background = rng.integers(80, 160, (height, width))
    return np.clip(background + rng.normal(0, 1, (frames, height, width)), 0, 255).astype(np.uint8)


def with_person(frames: np.ndarray, lefts: dict[int, int]) -> np.ndarray:
    """A bright block, 9 wide, whose left edge is at ``lefts[frame]``."""
    drawn = frames.copy()
    for frame, left in lefts.items():
        drawn[frame, 20:55, max(0, left) : max(0, left + 9)] = 250
    return drawn


def test_contrast_of_a_constant_video_is_zero():
    assert np.abs(local_contrast(np.full((12, 20, 16), 200, np.uint8))).max() < 1e-6


def test_contrast_is_as_defined(rng: np.random.Generator):
    frames = rng.integers(0, 256, (70, 20, 16)).astype(np.uint8)
    frames[40:] //= 64  # less contrast from there on
    axis = np.arange(-3, 4)
    t, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    window = np.exp(-(t**2 + y**2 + x**2) / (2 * 1.75**2))
    window /= window.sum()
    centred = frames - correlate(frames.astype(float), window, mode="nearest")
    centred = centred[:, 3:-3, 3:-3]  # valid in space
    deviation = np.sqrt(correlate(centred**2, window, mode="nearest"))
    expected = centred / np.maximum(deviation, deviation.mean(axis=(1, 2), keepdims=True))
    result = local_contrast(frames)
    assert result.shape == (70, 14, 10)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_contrast_ignores_brightness_and_gain(rng: np.random.Generator):
    frames = rng.integers(0, 80, (15, 20, 16))
    result = local_contrast(frames)
    np.testing.assert_allclose(local_contrast(frames + 100), result, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(local_contrast(3 * frames), result, rtol=1e-5, atol=1e-5)
    faint = frames * (FLOOR / 8000)  # below the floor it is not amplified
    assert np.abs(local_contrast(faint)).max() < 0.02


def test_contrast_of_the_mirror_image_is_the_mirror_image(rng: np.random.Generator):
    frames = rng.integers(0, 256, (15, 20, 16))
    np.testing.assert_allclose(local_contrast(frames[:, :, ::-1]), local_contrast(frames)[:, :, ::-1], rtol=1e-6)
    np.testing.assert_allclose(local_contrast(frames[::-1]), local_contrast(frames)[::-1], rtol=1e-6, atol=1e-7)


def test_the_box_follows_a_person_who_crosses(rng: np.random.Generator):
    lefts = {frame: 2 * (frame - 30) - 9 for frame in range(30, 75)}  # from the left edge to the right
    frames = with_person(noise(rng, 110), lefts)
    centres, present = track(frames, window_frames=9, min_foreground=0.01)
    middle = np.arange(40, 65)  # wholly visible, as are the four frames on either side
    np.testing.assert_allclose(centres[middle], 2.0 * (middle - 30) - 9 + 4, atol=0.3)
    assert present[35:70].all()
    assert not present[:30].any()
    assert not present[76:].any()
    assert np.ptp(centres[:26]) < 1e-9  # held
    mirrored, same = track(frames[:, :, ::-1], window_frames=9, min_foreground=0.01)
    np.testing.assert_allclose(mirrored, 79 - centres, atol=1e-9)
    assert np.array_equal(same, present)


def test_a_pause_within_the_window_is_bridged_and_a_longer_one_is_not(rng: np.random.Generator):
    still = noise(rng, 120)
    lefts = {frame: 30 for frame in (*range(20, 30), *range(38, 45), *range(80, 90))}
    centres, present = track(with_person(still, lefts), window_frames=9, min_foreground=0.01)
    assert np.flatnonzero(present).tolist() == [*range(20, 45), *range(80, 90)]
    np.testing.assert_allclose(centres, 34, atol=0.2)
    _, longer = track(with_person(still, lefts), window_frames=50, min_foreground=0.01)
    assert np.flatnonzero(longer).tolist() == list(range(20, 90))


def test_waving_arms_of_a_standing_person_stay_foreground(rng: np.random.Generator):
    frames = with_person(noise(rng, 200), dict.fromkeys(range(200), 36))
    for frame in range(200):
        if frame % 20 < 8:  # an arm that is out in 40 % of the frames
            frames[frame, 25:29, 45:55] = 250
    centres, present = track(frames, window_frames=25, min_foreground=0.002)
    assert present[:188].all()
    np.testing.assert_allclose(centres, 49.5, atol=0.5)


def test_boxes_stay_within_the_frame():
    frames = np.broadcast_to(np.arange(80, dtype=np.uint8), (5, 60, 80))
    boxes = cut(frames, np.array([-5.0, 19.5, 40.0, 30.2, 90.0]), width=40)
    assert boxes.shape == (5, 60, 40)
    assert boxes[:, 0, 0].tolist() == [0, 0, 20, 11, 40]
    assert (np.diff(boxes.astype(int), axis=2) == 1).all()


def test_narrow_frames_are_padded():
    frames = np.broadcast_to(np.arange(33, dtype=np.uint8), (2, 60, 33))
    box = cut(frames, np.array([5.0, 30.0]), width=40)[0, 0]
    assert box.tolist() == [0] * 3 + list(range(33)) + [32] * 4


def test_a_runner_crosses(shared: Path):
    plain, mirrored = PersonBoxes().build("cpu")(Clip(shared / RUNNING))
    cuboid, present = plain.arrays["cuboid"], plain.arrays["present"]
    assert cuboid.shape == (plain.attributes["frames"], 54, 34) == (325, 54, 34)
    assert cuboid.dtype == np.float16
    assert np.isfinite(cuboid).all()
    assert 0.5 < cuboid.std(dtype=float) < 1.1
    assert plain.attributes["fps"] == pytest.approx(25)
    assert (plain.attributes["mirrored"], mirrored.attributes["mirrored"]) == (0, 1)
    assert np.array_equal(mirrored.arrays["cuboid"], cuboid[:, :, ::-1])
    assert np.array_equal(mirrored.arrays["present"], present)
    assert 0.3 < present.mean() < 0.6  # out of sight between the runs


def test_the_centre_moves_with_the_runner(shared: Path):
    capture = cv2.VideoCapture(str(shared / RUNNING))
    frames = [
        cv2.resize(image[:, :, 0], (80, 60), interpolation=cv2.INTER_AREA)
        for _, image in iter(capture.read, (False, None))
    ]
    centres, present = track(np.stack(frames), window_frames=25, min_foreground=0.002)
    starts = np.flatnonzero(np.diff(np.concatenate(([False], present, [False])).astype(int)))
    crossings = [centres[start:stop] for start, stop in starts.reshape(-1, 2) if stop - start > 25]
    assert len(crossings) == 4
    for crossing, direction in zip(crossings, (-1, 1, -1, 1), strict=True):
        assert np.ptp(crossing) > 50
        assert (direction * np.diff(crossing) > -0.5).all()


def test_a_segment_is_a_clip_of_its_own(shared: Path):
    extract = PersonBoxes(mirror=False).build("cpu")
    (segment,) = extract(Clip(shared / RUNNING, (10, 50)))
    (again,) = extract(Clip(shared / RUNNING, (10, 50)))
    assert segment.arrays["cuboid"].shape == (40, 54, 34)
    assert segment.attributes["frames"] == 40
    assert segment.arrays["present"].mean() > 0.8
    assert np.array_equal(segment.arrays["cuboid"], again.arrays["cuboid"])


def box_path(monkeypatch: pytest.MonkeyPatch, folder: Path, frames: np.ndarray, smoothing_seconds: float) -> np.ndarray:
    """Centres (time,) in pixels of the boxes that are cut out of a clip of 25 frames a second."""
    paths = []

    def observed(frames: np.ndarray, centres: np.ndarray, width: int) -> np.ndarray:
        paths.append(centres)
        return cut(frames, centres, width)

    monkeypatch.setattr("extractors.convnet3d.person_tracking.cut", observed)
    extract = PersonBoxes(mirror=False, smoothing_seconds=smoothing_seconds).build("cpu")
    list(extract(Clip(write(folder / "clip.avi", frames))))
    (path,) = paths
    return path


def test_longer_smoothing_calms_a_jittering_box(tmp_path: Path, rng: np.random.Generator, monkeypatch):
    frames = with_person(noise(rng, 100), {frame: 40 if frame % 2 else 34 for frame in range(20, 60)})
    steps = [
        np.abs(np.diff(box_path(monkeypatch, tmp_path, frames, seconds)[33:47])).mean() for seconds in (0.04, 0.2, 1)
    ]
    assert steps[0] == pytest.approx(6, abs=0.2)
    assert steps[1] == pytest.approx(6 / 5, abs=0.2)
    assert steps[2] == pytest.approx(6 / 25, abs=0.2)


def test_smoothing_leaves_a_constant_box_alone(tmp_path: Path, rng: np.random.Generator, monkeypatch):
    frames = with_person(noise(rng, 100), dict.fromkeys(range(20, 60), 34))
    for seconds in (0.04, 0.2, 1):
        np.testing.assert_allclose(box_path(monkeypatch, tmp_path, frames, seconds), 38, atol=0.2)


def test_who_covers_less_than_the_least_foreground_is_nobody(tmp_path: Path, rng: np.random.Generator):
    frames = with_person(noise(rng, 100), {frame: frame for frame in range(20, 60)})  # 9×35 of 80×60: 6.6 %
    clip = Clip(write(tmp_path / "clip.avi", frames))
    (row,) = PersonBoxes(mirror=False, min_foreground=0.05).build("cpu")(clip)
    assert row.arrays["present"][25:55].all()
    with pytest.raises(UnusableVideo, match="100 frames without a moving person"):
        list(PersonBoxes(mirror=False, min_foreground=0.1).build("cpu")(clip))


@pytest.mark.parametrize(("height", "width"), [(120, 160), (240, 320), (97, 131), (160, 90), (48, 64)])
def test_any_frame_size(tmp_path: Path, rng: np.random.Generator, height: int, width: int):
    frames = with_person(noise(rng, 30, height, width), {frame: frame for frame in range(30)})
    (row,) = PersonBoxes(mirror=False).build("cpu")(Clip(write(tmp_path / "clip.avi", frames)))
    assert row.arrays["cuboid"].shape == (30, 54, 34)
    assert row.arrays["present"].any()


def test_one_frame_shows_no_motion(shared: Path):
    with pytest.raises(UnusableVideo, match="1 frames; at least 2"):
        list(PersonBoxes().build("cpu")(Clip(shared / RUNNING, (10, 11))))


def test_nobody_moves(tmp_path: Path, rng: np.random.Generator):
    path = write(tmp_path / "still.avi", np.repeat(noise(rng, 1, 120, 160), 20, axis=0))
    with pytest.raises(UnusableVideo, match="20 frames without a moving person") as failure:
        list(PersonBoxes().build("cpu")(Clip(path)))
    assert failure.value.frames_decoded == 20
