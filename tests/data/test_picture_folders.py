"""Videos that are folders of numbered pictures, in anybody's own data and among those that are asked about."""

import re
from pathlib import Path
from typing import Any

import pytest

from data.base import Listing, Video
from data.folder import Folder
from data.given import Given, Listed, gather, in_windows, write_list
from data.modality import holds_frames
from data.validation import Validation
from pipeline.config import parse
from pipeline.errors import InputError
from tests.support import picture_folders
from tests.support.films import numbered
from tests.support.toy_datasets import touch, write_lines

FRAMES = ("img_00001.jpg", "img_00002.jpg")


def clips(root: Path, *names: str) -> None:
    for name in names:
        touch(root / name, *FRAMES)


def listed(root: Path, **fields: Any) -> Listing:
    return Folder(root=str(root), **fields).listing(root)


def test_a_folder_in_the_folder_of_a_class_is_a_video(tmp_path: Path) -> None:
    clips(tmp_path, "run/a", "run/v_Run.g01", "jump/a", "jump/b")
    touch(tmp_path / "run/a", "flow_x_00001.jpg", "flow_y_00001.jpg", "x/1.jpg", "y/1.jpg")
    listing = listed(tmp_path, fps=12.5)
    root = tmp_path.resolve()
    assert listing.classes == ("jump", "run")
    assert listing.videos[2:] == (
        Video("run/a", {"video": root / "run/a"}, (1,), fps=12.5),
        Video("run/v_Run.g01", {"video": root / "run/v_Run.g01"}, (1,), fps=12.5),
    )
    assert listing.remarks == ()


def test_files_and_folders_may_lie_beside_each_other(tmp_path: Path) -> None:
    """Each file says its own rate."""
    clips(tmp_path, "run/a", "run/c.2")
    touch(tmp_path, "run/a.mp4", "jump/b.mp4")
    listing = listed(tmp_path, fps=25)
    assert {video.id: video.fps for video in listing.videos} == {
        "jump/b": None, "run/a": 25, "run/a.mp4": None, "run/c.2": 25,
    }  # fmt: skip
    assert "a and a.mp4" in listing.remarks[0]
    (tmp_path / "run/a.mp4").unlink()
    touch(tmp_path, "run/a.txt", "run/c.2.txt", "jump/b.txt")
    assert [set(video.files) for video in listed(tmp_path, fps=25).videos] == [{"video", "skeleton"}] * 3


def test_the_rate_must_be_given_where_there_are_pictures_and_only_there(tmp_path: Path) -> None:
    clips(tmp_path, "run/a", "jump/a")
    with pytest.raises(InputError, match=r"jump/a: pictures do not say how many .* give the data set fps, such as fps"):
        listed(tmp_path)
    touch(tmp_path, "files/run/a.mp4", "files/jump/a.mp4")
    with pytest.raises(InputError, match="fps is that of videos that are folders of pictures, and all are files"):
        listed(tmp_path / "files", fps=25)
    for fps in (0, -1, 1e6, "many"):
        with pytest.raises(InputError, match="fps"):
            parse(Folder, {"root": "x", "fps": fps})


def test_the_rate_is_written_where_it_is_given(tmp_path: Path) -> None:
    assert "fps" not in Folder(root="x").canonical()
    assert [Folder(root="x", fps=fps).store_name for fps in (None, 25, 29.97002997)] == [
        "folder-x", "folder-x-25.0fps", "folder-x-29.97002997fps",
    ]  # fmt: skip
    given = Folder(root="x", fps=25)
    assert parse(Folder, {"name": "folder", "root": "x", "fps": 25.0}) == given
    assert given.without_protocol() == given
    assert (given.pictures_fps, Validation(of=given).pictures_fps, Folder(root="x").pictures_fps) == (25, 25, None)


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (("run/a/cover.jpg", "jump/a/img_1.jpg"), "run/a: a folder within a class's folder that is no video"),
        (("run/a/b/img_1.jpg", "jump/a/img_1.jpg"), "run/a: a folder within a class's folder that is no video"),
        (("run/a/img_1.jpg", "run/a/film.mp4", "jump/a/img_1.jpg"), "no video file in it"),
        (("run/img_1.jpg", "jump/a/img_1.jpg"), "run: no video .*numbered pictures must lie in a folder of their own"),
    ],
)
def test_folders_that_are_no_videos(names: tuple[str, ...], match: str, tmp_path: Path) -> None:
    touch(tmp_path, *names)
    with pytest.raises(InputError, match=match):
        listed(tmp_path, fps=25)


def test_a_manifest_names_folders_and_ranges_of_their_frames(tmp_path: Path) -> None:
    clips(tmp_path, "clips/a.1", "far/b")
    (tmp_path / "root").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far")
    write_lines(
        tmp_path / "root/manifest.csv",
        "path,label,start_frame,end_frame",
        "../clips/a.1,run,0,1",
        "../clips/a.1/,jump,1,2",
        f"{tmp_path}/link/b,run,,",
    )
    listing = listed(tmp_path / "root", fps=30)
    base = str(tmp_path).lstrip("/")
    assert [(video.id, video.frames, video.fps) for video in listing.videos] == [
        (f"{base}/clips/a.1@0-1", (0, 1), 30),
        (f"{base}/clips/a.1@1-2", (1, 2), 30),
        (f"{base}/link/b", None, 30),
    ]
    touch(tmp_path, "empty/notes.txt")
    write_lines(tmp_path / "root/manifest.csv", "path,label", "../empty,run")
    with pytest.raises(InputError, match=r"line 2: .*empty is a folder; each line must name a file, or a folder"):
        listed(tmp_path / "root", fps=30)
    touch(tmp_path, "empty/img_1.jpg", "empty/film.mp4")
    with pytest.raises(InputError, match=r"line 2: .*with numbered pictures .* and no video file in it"):
        listed(tmp_path / "root", fps=30)
    write_lines(tmp_path / "root/manifest.csv", "path,label", "../gone,run")
    with pytest.raises(InputError, match="1 of 1 files in the manifest are missing"):
        listed(tmp_path / "root", fps=30)


@pytest.mark.parametrize(
    "names",
    [
        ("z/a/img_1.jpg",),
        ("z/a.mp4",),
        ("z/a.mp4", "z/a.avi"),
    ],
    ids=["folders", "files", "files with others"],
)
def test_what_no_extension_tells_apart_is_said(names: tuple[str, ...], tmp_path: Path) -> None:
    """One lies below the root, the other where the path from the root of the disk is the same."""
    root = tmp_path / "root"
    inside = root / str(tmp_path).lstrip("/")
    for folder in (tmp_path, inside):
        touch(folder, *names)
    videos = list(dict.fromkeys(str(Path(name).parent if "img" in name else name) for name in names))
    lines = [f"{folder}/{video},run" for folder in (tmp_path, inside) for video in videos]
    write_lines(root / "manifest.csv", "path,label", *lines)
    with pytest.raises(InputError, match=rf"{tmp_path}/z/a.* and {inside}/z/a.* would both be the video|"
                       rf"{inside}/z/a.* and {tmp_path}/z/a.* would both be the video"):  # fmt: skip
        listed(root, fps=25)


@pytest.mark.parametrize(
    ("names", "video"),
    [
        (("cover.jpg",), False),
        (("1.jpg", "cover.jpg"), True),
        (("b/1.jpg",), False),
        (("1.jpg/a",), False),
        (("1.jpg", ".film.mp4"), True),
        (("1.jpg", "film.MP4"), False),
    ],
)
def test_a_folder_is_a_video_where_a_picture_is_numbered(names: tuple[str, ...], video: bool, tmp_path: Path) -> None:
    touch(tmp_path, *names)
    assert holds_frames(tmp_path) == video
    assert not holds_frames(tmp_path / names[0])
    assert not holds_frames(tmp_path / "none")


VIDEO = frozenset({"video"})


def test_folders_that_are_asked_about_are_videos_where_the_rate_is_known(tmp_path: Path) -> None:
    clips(tmp_path, "new/a", "new/deep/b.2")
    touch(tmp_path, "new/c.mp4", "new/photo_1.jpg", "new/a/x/1.jpg")
    found = gather([str(tmp_path / "new")], VIDEO, fps=25)
    assert set(found.videos) == {"a", "deep/b.2", "c"}
    assert found.fps == 25
    assert "1 file is not taken" in found.remarks[0]
    listing = Given(root=str(write_list(tmp_path / "lists", found))).listing(write_list(tmp_path / "lists", found))
    assert {video.id: video.fps for video in listing.videos} == {"a": 25, "c": None, "deep/b.2": 25}
    alone = gather([str(tmp_path / "new/a")], VIDEO, fps=25)
    assert alone.videos == {"a": {"video": str(tmp_path / "new/a")}}


def test_folders_of_flow_are_no_videos(tmp_path: Path) -> None:
    touch(tmp_path, "frames/run/a/img_1.jpg", "tvl1/u/a/frame1.jpg", "tvl1/v/a/frame1.jpg", "run2/a/img/00001.jpg")
    touch(tmp_path, "run2/a/x/00001.jpg", "run2/a/Y/00001.jpg", "b/flow_x/1.jpg", "flow/run/a/1.jpg", "overflow/1.jpg")
    found = gather([str(tmp_path)], VIDEO, fps=25)
    assert set(found.videos) == {"frames/run/a", "run2/a/img", "overflow"}
    (left_out,) = found.remarks
    assert left_out.startswith("6 folders of pictures are not taken, as flow lies in folders named x, y, u, v or flow")
    assert "b/flow_x" in left_out
    alone = gather([str(tmp_path / "tvl1/u/a")], VIDEO, fps=25)  # named by itself
    assert set(alone.videos) == {"a"}
    assert alone.remarks == ()
    with pytest.raises(InputError, match=r"no video file was found.*tvl1/u/a is taken for flow"):
        gather([str(tmp_path / "tvl1")], VIDEO, fps=25)


def test_where_the_rate_is_not_known_pictures_are_no_videos(tmp_path: Path) -> None:
    clips(tmp_path, "new/a")
    with pytest.raises(InputError, match=r"no video file was found.*pictures are frames of a video where fps is known"):
        gather([str(tmp_path / "new")], VIDEO)
    touch(tmp_path, "new/c.mp4")
    found = gather([str(tmp_path / "new")], VIDEO)
    assert set(found.videos) == {"c"}
    assert "2 files are not taken" in found.remarks[0]


@pytest.mark.parametrize("fps", [-25.0, 0.0, 1e6, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(fps: float, tmp_path: Path) -> None:
    clips(tmp_path, "new/a")
    with pytest.raises(InputError, match=rf"fps = {re.escape(str(fps))}; .* is needed, from 0.001 to 10000"):
        gather([str(tmp_path / "new")], VIDEO, fps=fps)
    with pytest.raises(ValueError, match="fps"):
        Listed(videos={}, fps=fps)


def test_lists_of_files_are_written_as_before(tmp_path: Path) -> None:
    touch(tmp_path, "c.mp4")
    assert gather([str(tmp_path)], VIDEO, fps=25) == gather([str(tmp_path)], VIDEO)
    assert Listed(videos={}).model_dump(mode="json") == {"videos": {}, "windows": {}, "remarks": []}


def test_windows_of_a_folder(tmp_path: Path) -> None:
    picture_folders.frames(tmp_path / "film", numbered(20, 32, 24), "%d.png")
    found = in_windows(gather([str(tmp_path / "film")], VIDEO, fps=10), 1.0, 0.5)
    assert [tuple(span) for span in found.windows["film"].values()] == [(0.0, 1.0), (0.5, 1.5), (1.0, 2.0)]
