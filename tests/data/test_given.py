"""Lists of given videos: what paths, folders, patterns and tables mean, and the ids that files get."""

import os
from pathlib import Path

import numpy as np
import pytest

from data.given import Given, Listed, gather, write_list
from pipeline.errors import InputError
from pipeline.video.encode import write

VIDEO, BOTH = frozenset({"video"}), frozenset({"video", "skeleton"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders of files, which need not be videos to be listed."""
    for name in ("one/a.mp4", "one/b.avi", "one/b.txt", "one/.hidden.mp4", "two/deep/c.mkv", "two/notes.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ids(*places: str, kinds: frozenset[str] = VIDEO) -> list[str]:
    return list(gather(places, kinds).videos)  # type: ignore[arg-type]


def test_folders_are_read_at_any_depth_and_what_is_left_out_is_said(folder: Path) -> None:
    found = gather(["."], VIDEO)
    assert list(found.videos) == ["one/a", "one/b", "two/deep/c"]
    assert any("notes.md" in remark for remark in found.remarks)
    assert not any("hidden" in remark for remark in found.remarks)


def test_ids_begin_below_the_folder_in_which_all_lie(folder: Path) -> None:
    assert ids("one") == ["a", "b"]
    assert ids("one/a.mp4") == ["a"]
    assert ids("one/a.mp4", "two") == ["one/a", "two/deep/c"]


def test_patterns_and_doubles(folder: Path) -> None:
    assert ids("one/*.mp4", "one", "one/../one/a.mp4") == ["a", "b"]
    assert ids("**/*.mkv") == ["c"]


def test_a_video_and_a_skeleton_file_of_one_name_belong_together(folder: Path) -> None:
    found = gather(["one"], BOTH)  # type: ignore[arg-type]
    assert set(found.videos["b"]) == {"video", "skeleton"}
    assert found.videos["a"]["skeleton"] == str(folder / "one" / "a.txt")  # where it would be
    assert set(gather(["one"], VIDEO).videos["a"]) == {"video"}
    (folder / "one" / "b.txt").rename(folder / "one" / "b.skeleton")
    assert gather(["one"], BOTH).videos["b"]["skeleton"] == str(folder / "one" / "b.skeleton")  # type: ignore[arg-type]
    (folder / "one" / "a_skeleton3D.txt").touch()
    assert gather(["one"], BOTH).videos["a"]["skeleton"].endswith("a_skeleton3D.txt")  # type: ignore[arg-type]


def test_files_of_one_kind_that_differ_in_the_extension_keep_it(folder: Path) -> None:
    (folder / "one" / "a.mkv").touch()
    assert ids("one") == ["a.mkv", "a.mp4", "b"]


def test_a_named_file_is_taken_whatever_its_ending(folder: Path) -> None:
    assert gather(["two/notes.md"], VIDEO).videos["notes"] == {"video": str(folder / "two" / "notes.md")}


@pytest.mark.parametrize(
    "text", ["one/a.mp4\none/b.avi\n", "path\none/a.mp4\n\none/b.avi\n", "n,Path\n1,one/a.mp4\n2,one/b.avi"]
)
def test_tables(folder: Path, text: str) -> None:
    (folder / "list.csv").write_text(text)
    assert ids("list.csv") == ["a", "b"]


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        (["nowhere.mp4"], "nowhere.mp4: there is no such file or folder; paths of videos are needed"),
        (["*.webm"], "there is no such file or folder"),
        (["empty"], "no video file was found; paths of files or folders are needed"),
        (["broken.csv"], "broken.csv, line 2: no path in it"),
    ],
)
def test_mistakes(folder: Path, places: list[str], sentence: str) -> None:
    (folder / "empty").mkdir()
    (folder / "broken.csv").write_text("n,path\n1\n")
    with pytest.raises(InputError, match=sentence.replace("*", r"\*")):
        gather(places, VIDEO)


def test_names_that_are_no_text_are_kept(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")
    write(Path(path), np.zeros((2, 32, 32, 3), np.uint8), 25)
    root = write_list(tmp_path / "lists", gather([path], VIDEO))
    dataset = Given(root=str(root))
    (video,) = dataset.listing(root).videos
    assert video.id == r"caf\xe9"
    assert video.files["video"].read_bytes()
    (fold,) = dataset.folds(root, dataset.listing(root))
    assert (fold.train, fold.test) == ((), (r"caf\xe9",))


def test_a_list_has_one_place(tmp_path: Path) -> None:
    one, same, other = (Listed(videos={name: {"video": "/x.mp4"}}) for name in "aab")
    assert write_list(tmp_path, one) == write_list(tmp_path, same) != write_list(tmp_path, other)
