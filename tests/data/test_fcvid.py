"""FCVID: its lists of labels and halves, and what they must not hold."""

import os
from pathlib import Path

import pytest

from data.fcvid import FCVID, LABELS, SPLIT_LIST
from pipeline.errors import InputError
from tests.support.toy_datasets import FCVID_TOY, fcvid, touch, write_lines


class TestFCVID:
    def test_labels_and_halves(self, tmp_path: Path):
        config = fcvid(tmp_path)
        listing = config.listing(tmp_path)
        assert listing.classes == ("category-001", "category-002", "category-003")
        marked = {video.id: [int(label in video.labels) for label in range(3)] for video in listing.videos}
        assert marked == {id: [int(cell) for cell in cells.split()] for id, cells in FCVID_TOY.items()}
        (fold,) = config.folds(tmp_path, listing)
        assert fold.test == ("panda/d", "party/b")
        assert config.notes(listing) == ("5 videos of 3 categories are used; 91,223 of 239 were published.",)

    @pytest.mark.parametrize("on_disk", ["caf\u00e9", "cafe\u0301", os.fsdecode(b"caf\xe9")])
    @pytest.mark.parametrize("folder", [False, True])
    def test_a_list_may_spell_a_name_otherwise(self, tmp_path: Path, on_disk: str, folder: bool):
        config = fcvid(tmp_path)
        lists, party = tmp_path / "materials" / SPLIT_LIST, tmp_path / "videos/party"
        if folder:
            party.rename(tmp_path / "videos" / on_disk)
            lists.write_text(lists.read_text().replace("party/", "caf\u00e9/"))
        else:
            (party / "b.mp4").rename(party / f"{on_disk}.mp4")
            lists.write_text(lists.read_text().replace("party/b", "party/caf\u00e9"))
        listed = "caf\u00e9/b" if folder else "party/caf\u00e9"
        assert listed in [video.id for video in config.listing(tmp_path).videos]

    def test_names_of_categories(self, tmp_path: Path):
        config = fcvid(tmp_path)
        write_lines(tmp_path / "materials/categories.txt", "tailgate party", "panda", "beach")
        assert config.listing(tmp_path).classes == ("tailgate party", "panda", "beach")
        for id in ("party/-a_1", "party/b"):
            (tmp_path / "videos" / f"{id}.mp4").unlink()
        left = config.model_copy(update={"present_only": True}).listing(tmp_path)
        assert left.classes == ("panda", "beach")
        assert [video.labels for video in left.videos] == [(1,), (0,), (0, 1)]
        write_lines(tmp_path / "materials/categories.txt", "party", "panda")
        with pytest.raises(InputError, match="2 different names; each of the"):
            config.model_copy(update={"present_only": True}).listing(tmp_path)

    def test_lists_and_videos_in_the_root_itself(self, tmp_path: Path):
        whole = fcvid(tmp_path).listing(tmp_path)
        for name in (SPLIT_LIST, LABELS):
            (tmp_path / "materials" / name).rename(tmp_path / name)
        for id in FCVID_TOY:
            (tmp_path / id).parent.mkdir(exist_ok=True)
            (tmp_path / "videos" / f"{id}.mp4").rename(tmp_path / f"{id}.mp4")
        (tmp_path / "videos").rename(tmp_path / "empty")
        assert [video.id for video in FCVID().listing(tmp_path).videos] == [video.id for video in whole.videos]

    @pytest.mark.parametrize(
        ("name", "row", "line", "match"),
        [
            (SPLIT_LIST, 1, "party/b.flv later", "line 2: .* a video's path and train or test"),
            (SPLIT_LIST, 1, "train", "a video's path and train or test"),
            (SPLIT_LIST, 1, "../b.flv train", "leaves the data root"),
            (SPLIT_LIST, 1, "/b.flv train", "leaves the data root"),
            (SPLIT_LIST, 1, "party/-a_1.mp4 test", "party/-a_1 is listed a second time"),
            (SPLIT_LIST, 1, "", "has 4 videos and FCVID_Label.txt 5 lines"),
            (LABELS, 1, "1 0", "line 2: 2 columns, where the lines before have 3"),
            (LABELS, 1, "0 0 0", "line 2: a line needs a 0 or 1 for each category, and a 1 for at least one"),
            (LABELS, 1, "0 2 0", "a line needs a 0 or 1"),
            (LABELS, 1, "0 x 0", "a line needs a 0 or 1"),
            (LABELS, 1, "nan 1 0", "a line needs a 0 or 1"),
        ],
    )
    def test_mistakes(self, tmp_path: Path, name: str, row: int, line: str, match: str):
        config = fcvid(tmp_path)
        path = tmp_path / "materials" / name
        given = path.read_text().split("\n")
        write_lines(path, *given[:row], line, *given[row + 1 :])
        with pytest.raises(InputError, match=match):
            config.listing(tmp_path)

    def test_links_that_the_user_made_and_one_video_twice(self, tmp_path: Path):
        root = tmp_path / "root"
        config = fcvid(root)
        whole = config.listing(root)
        (root / "videos/beach").rename(tmp_path / "beach")
        (root / "videos/beach").symlink_to(tmp_path / "beach")
        (root / "videos/panda/loop").symlink_to(root / "videos")
        assert config.listing(root) == whole
        touch(root, "videos/beach/e.avi")
        listing = config.listing(root)
        assert {video.files["video"].name for video in listing.videos if video.id == "beach/e"} == {"e.avi"}
        assert listing.remarks[0].endswith("e.mp4 beside e.avi")
