import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError, UnusableVideo
from pipeline.video.sampling import corner_crops, resample, segment_centres, segment_random, ten_crops, windows

COUNTS = st.integers(1, 400)
FEW = st.integers(1, 40)


@given(frames=COUNTS, length=FEW, stride=FEW)
def test_windows_are_all_the_whole_windows(frames: int, length: int, stride: int) -> None:
    whole = [start for start in range(0, frames, stride) if start + length <= frames]
    if not whole:
        with pytest.raises(UnusableVideo, match=f"{frames} frames; at least {length}") as caught:
            windows(frames, length, stride)
        assert caught.value.frames_decoded == frames
    else:
        assert windows(frames, length, stride).tolist() == whole
        assert len(whole) == (frames - length) // stride + 1


@given(clips=COUNTS)
def test_windows_of_half_overlap_agree_with_the_papers_count(clips: int) -> None:
    """Res-LSTM counts l/r - 1 windows where the length is twice the stride and divides the clip."""
    assert len(windows((clips + 1) * 8, 16, 8)) == clips


@given(frames=COUNTS, snippets=FEW, span=FEW, seed=st.integers(0, 9))
def test_snippets_stay_within_the_clip_and_their_segments(frames: int, snippets: int, span: int, seed: int) -> None:
    if frames < span:
        for sample in (segment_centres, lambda *a: segment_random(*a[:2], np.random.default_rng(seed), a[2])):
            with pytest.raises(UnusableVideo):
                sample(frames, snippets, span)
        return
    places = frames - span + 1
    for starts in (
        segment_centres(frames, snippets, span),
        segment_random(frames, snippets, np.random.default_rng(seed), span),
    ):
        assert starts.shape == (snippets,)
        assert starts.min() >= 0
        assert starts.max() + span <= frames
        assert (np.diff(starts) >= (1 if places >= snippets else 0)).all()
        segment = np.arange(snippets) * places / snippets
        assert (starts > segment - 1).all()
        assert (starts < np.maximum(segment + places / snippets, segment + 1)).all()


@given(frames=COUNTS, snippets=FEW)
def test_centres_are_symmetric_in_time(frames: int, snippets: int) -> None:
    """A reversed clip is sampled at the same places, but for the rounding down."""
    starts = segment_centres(frames, snippets)
    assert np.isin(frames - 1 - starts[::-1] - starts, (-1, 0)).all()


def test_centres_of_a_tsn_clip() -> None:
    """The published test sampling, int(tick / 2 + tick * i), of 25 flow snippets of 5 frames."""
    tick = (180 - 5 + 1) / 25
    assert segment_centres(180, 25, 5).tolist() == [int(tick / 2 + tick * i) for i in range(25)]


def test_random_snippets_reach_every_place_alike() -> None:
    rng = np.random.default_rng(0)
    counts = np.bincount(np.concatenate([segment_random(12, 3, rng, 1) for _ in range(3000)]), minlength=12)
    assert abs(counts - 750).max() < 5 * np.sqrt(750)


def test_random_snippets_repeat_with_the_seed_and_differ_without() -> None:
    first, same, other = (segment_random(300, 25, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first == same).all()
    assert (first != other).any()


@given(items=COUNTS, steps=FEW)
def test_resample_is_res_lstms_sigma(items: int, steps: int) -> None:
    """σ(t) = 1 + ⌊(t − 1)(K − 1) / (T − 1)⌋ for t = 1 … T; the first for T = 1."""
    sigma = [1 + ((t - 1) * (items - 1)) // (steps - 1) if steps > 1 else 1 for t in range(1, steps + 1)]
    chosen = resample(items, steps)
    assert (chosen + 1).tolist() == sigma
    assert chosen[0] == 0
    if steps > 1:
        assert chosen[-1] == items - 1
    if steps == items:
        assert chosen.tolist() == list(range(items))
    assert len(set(chosen.tolist())) <= min(items, steps)


@given(height=FEW, width=FEW, data=st.data())
def test_crops_touch_the_corners(height: int, width: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, min(height, width)))
    boxes = corner_crops(height, width, size)
    assert boxes.shape == (5, 2)
    assert boxes[:4].tolist() == [[0, 0], [0, width - size], [height - size, 0], [height - size, width - size]]
    margins = np.array([height, width]) - size - 2 * boxes[4]
    assert np.isin(margins, (0, 1)).all()


def test_ten_crops_of_a_picture_of_coordinates() -> None:
    height, width, size = 7, 9, 4
    y, x = np.mgrid[:height, :width]
    crops = ten_crops(np.stack([y, x], -1).astype(np.uint8)[None].repeat(3, 0), size)
    assert crops.shape == (3, 10, size, size, 2)
    for crop, mirrored, (top, left) in zip(crops[1, :5], crops[1, 5:], corner_crops(height, width, size), strict=True):
        assert crop[0, 0].tolist() == [top, left]
        assert crop[-1, -1].tolist() == [top + size - 1, left + size - 1]
        assert (mirrored == crop[:, ::-1]).all()


@given(seed=st.integers(0, 20))
def test_ten_crops_of_the_mirrored_video_are_the_same_crops(seed: int) -> None:
    """With an even margin, mirroring only exchanges left with right and a crop with its mirror."""
    pictures = np.random.default_rng(seed).integers(0, 256, (2, 8, 10, 3), np.uint8)
    swapped = [6, 5, 8, 7, 9, 1, 0, 3, 2, 4]
    assert (ten_crops(pictures[:, :, ::-1], 4) == ten_crops(pictures, 4)[:, swapped]).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda: windows(20, 0, 8),
        lambda: windows(20, 16, 0),
        lambda: segment_centres(20, 0),
        lambda: segment_random(20, 0, np.random.default_rng(0)),
        lambda: resample(0, 3),
        lambda: resample(3, 0),
        lambda: corner_crops(10, 12, 11),
        lambda: corner_crops(10, 12, 0),
    ],
)
def test_impossible_requests_say_what_is_needed(call) -> None:
    with pytest.raises(InputError, match=r"at least|at least as many"):
        call()


def test_importing_loads_neither_cv2_nor_torch() -> None:
    code = "import sys, pipeline.video.sampling; print({'cv2', 'torch', 'av'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
