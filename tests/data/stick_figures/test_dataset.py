"""Stick figures as a data set: its files, its segments and folds, and what it refuses."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from data.base import Listing, Video
from data.stick_figures.body import project
from data.stick_figures.dataset import StickFigures
from data.stick_figures.motion import ACTIONS, GAITS
from extractors.skeleton.file import read
from pipeline.errors import InputError
from tests.support.paths import ROOT

SMALL = StickFigures(subjects=2, scenarios=("d4",), repetitions=2, seed=3)


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


def test_every_skeleton_is_read_as_a_body_of_twenty_joints(made: Path):
    for video in SMALL.listing(made).videos:
        assert len(read(video.files["skeleton"]).joints) == len(read_skeleton(video.files["skeleton"]))


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
