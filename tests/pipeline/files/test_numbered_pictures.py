"""Numbered pictures: which are a clip's frames, and what is wrong with those that are none."""

from pathlib import Path

import pytest

from pipeline.errors import UnusableVideo
from pipeline.files.numbered_pictures import frames, series
from tests.support.toy_datasets import touch


def test_frames_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    touch(tmp_path, *(f"img_{number}.jpg" for number in (8, 9, 10, 11, 100)), "img_12.JPG", ".img_7.jpg", "notes.txt")
    (tmp_path / "img_100.jpg").rename(tmp_path / "img_0013.png")
    assert [path.name for path in frames(tmp_path)] == [
        *(f"img_{number}.jpg" for number in (8, 9, 10, 11)), "img_12.JPG", "img_0013.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "beside",
    [
        ("flow_x_00001.jpg", "flow_y_00001.jpg"),
        ("x_00001.jpg", "y_00001.jpg"),
        ("flow_x_p2_00001.png", "warp_flow_y_00001.jpg"),
        ("x/00001.jpg", "y/00001.jpg"),
        ("u/frame000001.jpg", "v/frame000001.jpg"),
        ("img_00001_mask.jpg", "img.jpg"),
    ],
)
def test_what_lies_beside_them_is_left_out(tmp_path: Path, beside: tuple[str, ...]) -> None:
    names = ["img_00000.jpg", "img_00001.jpg"]
    touch(tmp_path, *names, *beside)
    assert [path.name for path in frames(tmp_path)] == names


@pytest.mark.parametrize("name", ["v_Run_g01_c01_", "frame", "", "overflow_", "x-ray"])
def test_frames_may_have_any_name(tmp_path: Path, name: str) -> None:
    touch(tmp_path, f"{name}1.jpg", f"{name}2.jpg", "flow_x_1.jpg", "flow_y_1.jpg")
    assert [path.name for path in frames(tmp_path)] == [f"{name}1.jpg", f"{name}2.jpg"]


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        ((), "a folder with no numbered picture in it; frames are needed, such as img_00001.jpg"),
        (("a.jpg", "b.jpg", "1.txt"), "a folder with no numbered picture in it"),
        (("flow_x_1.jpg", "flow_y_1.jpg"), "a folder with flow alone in it; frames are needed"),
        (("img_1.jpg", "img_3.jpg"), ".*/img_3.jpg follows .*/img_1.jpg; each number must be one more"),
        (("img_1.jpg", "img_2.jpg", "img_2.png"), ".*/img_2.jpg and .*/img_2.png have one number; keep one"),
        (("img_1.jpg", "img_001.jpg"), ".*/img_001.jpg and .*/img_1.jpg have one number"),
        (("img_1.jpg", "thumbnail_1.jpg"), r"numbered pictures img_\* and thumbnail_\* in one folder"),
    ],
)
def test_what_is_no_clip(tmp_path: Path, names: tuple[str, ...], fault: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(UnusableVideo, match=f"^{fault}"):
        frames(tmp_path)


def test_a_link_that_leads_nowhere_is_a_frame_that_is_missing(tmp_path: Path) -> None:
    touch(tmp_path, "img_1.jpg", "img_2.jpg")
    (tmp_path / "img_3.jpg").symlink_to("nowhere")
    assert len(frames(tmp_path)) == 3


def test_a_series_is_named_but_for_its_numbers(tmp_path: Path) -> None:
    touch(tmp_path, "flow_x_10.jpg", "flow_x_9.jpg", "flow_x_p2_9.jpg", "flow_xx_9.jpg", "flow_x_11.png")
    (found,) = series(tmp_path, ("flow_x_", ".jpg"))
    assert [entry.name for entry in found] == ["flow_x_9.jpg", "flow_x_10.jpg"]
    assert [len(some) for some in series(tmp_path, ("flow_x_", ".jpg"), ("flow_x_", ".png"))] == [2, 1]
    with pytest.raises(UnusableVideo, match=r"no picture flow_y_\*.jpg in .*, where \* is a number"):
        series(tmp_path, ("flow_x_", ".jpg"), ("flow_y_", ".jpg"))
    touch(tmp_path, "flow_x_12.jpg")
    with pytest.raises(UnusableVideo, match=r"flow_x_12.jpg follows .*/flow_x_10.jpg"):
        series(tmp_path, ("flow_x_", ".jpg"))
