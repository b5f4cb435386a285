"""MSR Action3D: its figures, its lists, and what they must not hold."""

from pathlib import Path
from typing import Any

import pytest

from data.msr_action3d import ACTIONS, CVPR12_LIST, EXCLUDED, RECORDED, MsrAction3D
from pipeline.config import parse
from pipeline.errors import InputError
from tests.support.toy_datasets import MSR_TOY, msr_action3d, touch, write_lines


class TestMsrAction3D:
    def test_the_figures(self, shared: Path):
        root = shared / "msr-action3d"
        listing = MsrAction3D().listing(root)
        (fold,) = MsrAction3D().folds(root, listing)
        assert (len(fold.train), len(fold.test), len(listing.classes)) == (284, 273, 20)
        assert {id[5:7] for id in fold.train} == {"01", "03", "05", "07", "09"}
        whole = MsrAction3D(sequences="all").listing(root)
        assert len(whole.videos) == 567
        assert {video.id for video in whole.videos} - {video.id for video in listing.videos} == EXCLUDED
        assert all(listing.classes[video.labels[0]] == ACTIONS[int(video.id[1:3]) - 1] for video in listing.videos)

    def test_list_and_exclusions_agree(self, shared: Path, tmp_path: Path):
        root = shared / "msr-action3d"
        touch(tmp_path, *(path.name for path in root.glob("a*_skeleton3D.txt")))  # the list is left out
        without = MsrAction3D().listing(tmp_path)
        assert [video.id for video in without.videos] == [video.id for video in MsrAction3D().listing(root).videos]
        assert len(EXCLUDED) == 10
        assert len(RECORDED) == 567

    def test_leave_one_out_never_sees_the_others(self, shared: Path):
        root = shared / "msr-action3d"
        config = MsrAction3D(protocol="leave_one_out")
        listing = config.listing(root)
        (across,) = MsrAction3D().folds(root, listing)
        folds = config.folds(root, listing)
        assert len(folds) == 5
        assert all(sorted(fold.train + fold.test) == sorted(across.train) for fold in folds)
        assert sorted(id for fold in folds for id in fold.test) == sorted(across.train)
        assert [{id[4:7] for id in fold.test} for fold in folds] == [{f"s{n:02d}"} for n in (1, 3, 5, 7, 9)]

    def test_screen_coordinates_are_a_kind_of_their_own(self, tmp_path: Path):
        msr_action3d(tmp_path)
        for path in tmp_path.glob("*_skeleton3D.txt"):
            path.rename(path.with_name(path.name.replace("3D", "")))
        assert [video.id for video in MsrAction3D().listing(tmp_path).videos] == sorted(MSR_TOY)
        touch(tmp_path, "a01_s01_e01_skeleton3D.txt")
        with pytest.raises(InputError, match="keep one kind"):
            MsrAction3D().listing(tmp_path)

    @pytest.mark.parametrize("line", ["a21_s01_e01", "../a01_s01_e01", "a01_s01", "a01_s04_e01", MSR_TOY[0]])
    def test_wrong_lines(self, tmp_path: Path, line: str):
        msr_action3d(tmp_path)
        write_lines(tmp_path / CVPR12_LIST, *MSR_TOY, "", line)
        with pytest.raises(InputError, match=rf"{CVPR12_LIST}, line {len(MSR_TOY) + 2}: '{line}'"):
            MsrAction3D().listing(tmp_path)

    def test_a_link_that_the_user_made(self, tmp_path: Path):
        root = tmp_path / "root"
        msr_action3d(root)
        whole = MsrAction3D().listing(root)
        (root / f"{MSR_TOY[0]}_skeleton3D.txt").rename(tmp_path / "elsewhere.txt")
        (root / f"{MSR_TOY[0]}_skeleton3D.txt").symlink_to(tmp_path / "elsewhere.txt")
        assert MsrAction3D().listing(root) == whole

    def test_a_half_without_videos(self, tmp_path: Path):
        touch(tmp_path, "a01_s01_e01_skeleton3D.txt", "a02_s03_e01_skeleton3D.txt")
        config = MsrAction3D(present_only=True)
        with pytest.raises(InputError, match="no video is left to test on"):
            config.folds(tmp_path, config.listing(tmp_path))

    @pytest.mark.parametrize(
        ("table", "match"),
        [
            ({"train_subjects": []}, "some of the ten"),
            ({"train_subjects": range(1, 11)}, "some of the ten"),
            ({"train_subjects": [1, 11]}, "from 1 to 10"),
            ({"train_subjects": [1, 1]}, "different"),
            ({"train_subjects": [1], "protocol": "leave_one_out"}, "two train_subjects"),
            ({"sequences": "557"}, "cvpr12"),
        ],
    )
    def test_wrong_configurations(self, table: dict[str, Any], match: str):
        with pytest.raises(InputError, match=match):
            parse(MsrAction3D, {**table, "train_subjects": list(table.get("train_subjects", [1, 2]))})

    def test_the_two_sets_have_stores_of_their_own(self):
        assert MsrAction3D().store_name != MsrAction3D(sequences="all").store_name
        assert MsrAction3D().store_name == MsrAction3D(protocol="leave_one_out").store_name
