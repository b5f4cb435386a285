"""UCF-101: its figures, the layouts it comes in, and what its lists must not hold."""

import errno
import json
import os
import re
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from data.ucf101 import UCF101
from pipeline.config import parse
from pipeline.errors import InputError
from tasks.experiment import load_experiment
from tasks.recipes import bundled
from tests.support.paths import ROOT
from tests.support.toy_datasets import (
    UCF_CLASSES,
    UCF_TOY,
    emptied_copy,
    touch,
    ucf101,
    write_lines,
)


class TestUCF101:
    def test_the_whole(self, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        scans: list[str] = []
        scandir = os.scandir
        monkeypatch.setattr("data.official.os.scandir", lambda path: (scans.append(str(path)), scandir(path))[1])
        listing, folds = emptied_copy(UCF101(split="all"), shared / "ucf101-11" / "splits", tmp_path)
        classes = [path for path in scans if Path(path).parent == tmp_path / "videos"]  # and glob its own
        assert len(classes) == len(set(classes)) == 101
        assert (len(listing.videos), len(listing.classes)) == (13320, 101)
        assert (listing.classes[0], listing.classes[-1]) == ("ApplyEyeMakeup", "YoYo")
        sizes = [(len(fold.train), len(fold.test)) for fold in folds]
        assert sizes == [(9537, 3783), (9586, 3734), (9624, 3696)]
        assert [fold.name for fold in folds] == ["split-1", "split-2", "split-3"]
        group = {video.id: video.subject for video in listing.videos}
        assert len(set(group.values())) == 101 * 25
        assert not any({group[id] for id in f.train} & {group[id] for id in f.test} for f in folds)
        assert Counter(name for names in UCF101().groups.values() for name in names) == Counter(listing.classes)
        assert [len(names) for names in UCF101().groups.values()] == [20, 16, 5, 10, 50]

    def test_the_eleven_classes(self, shared: Path):
        root = shared / "ucf101-11"
        config = UCF101(present_only=True, split=2)
        listing = config.listing(root)
        (fold,) = config.folds(root, listing)
        assert (len(listing.videos), len(listing.classes)) == (825, 11)
        assert set(Counter(video.labels for video in listing.videos).values()) == {75}
        assert all(listing.classes[video.labels[0]] == video.id.split("/")[0] for video in listing.videos)
        official_test = {
            line.split(".")[0] for line in (root / "splits/testlist02.txt").read_text().split() if "_c0" in line
        }
        assert set(fold.test) == official_test & {video.id for video in listing.videos}
        assert len(fold.train) + len(fold.test) == 825
        with pytest.raises(InputError, match="12495 of 13320 files are missing"):
            UCF101().listing(root)

    @pytest.mark.parametrize("videos", ["UCF-101", "videos", "."])
    @pytest.mark.parametrize("lists", ["ucfTrainTestlist", "splits", "."])
    @pytest.mark.parametrize("extension", [".avi", ".MP4"])
    def test_layouts(self, tmp_path: Path, videos: str, lists: str, extension: str):
        listing = ucf101(tmp_path, videos, lists, extension).listing(tmp_path)
        assert [video.id for video in listing.videos] == sorted(stem for stems in UCF_TOY.values() for stem in stems)
        assert listing.classes == UCF_CLASSES
        assert {path.suffix for video in listing.videos for path in video.files.values()} == {extension}

    def test_folder_of_videos_may_be_a_link(self, tmp_path: Path):
        ucf101(tmp_path / "root")
        (tmp_path / "root/UCF-101").rename(tmp_path / "big-disk")
        (tmp_path / "root/videos").symlink_to(tmp_path / "big-disk")
        assert len(UCF101().listing(tmp_path / "root").videos) == 18

    def test_classes_are_those_present(self, tmp_path: Path):
        ucf101(tmp_path)
        for path in (tmp_path / "UCF-101/YoYo").iterdir():
            path.unlink()
        listing = UCF101(present_only=True).listing(tmp_path)
        assert listing.classes == ("Archery", "Basketball")
        assert {(video.id.split("/")[0], video.labels) for video in listing.videos} == {
            ("Archery", (0,)),
            ("Basketball", (1,)),
        }

    def test_a_half_without_videos(self, tmp_path: Path):
        ucf101(tmp_path)
        for path in (tmp_path / "UCF-101").glob("*/*_g01_*"):
            path.unlink()
        config = UCF101(present_only=True)
        listing = config.listing(tmp_path)
        with pytest.raises(InputError, match="split-1: no video is left to test on"):
            config.folds(tmp_path, listing)

    @pytest.mark.parametrize("stem", ["/Archery/v_A_g01_c01", "../Archery/v_A_g01_c01", "Archery/../../v_A_g01_c01"])
    @pytest.mark.parametrize("split", [1, 2])
    def test_paths_out_of_the_root(self, tmp_path: Path, stem: str, split: int):
        config, listing = ucf101(tmp_path), ucf101(tmp_path).listing(tmp_path)
        with open(tmp_path / f"ucfTrainTestlist/testlist0{split}.txt", "a") as file:
            file.write(stem + ".avi\n")
        with pytest.raises(InputError, match=f"testlist0{split}.txt, line 7"):
            config.folds(tmp_path, listing)

    def test_links_that_the_user_made(self, tmp_path: Path):
        """Annexed files, and a class on another disk."""
        root = tmp_path / "root"
        config = ucf101(root)
        whole = config.listing(root)
        victim = root / "UCF-101/YoYo/v_YoYo_g01_c01.avi"
        victim.rename(tmp_path / "object")
        victim.symlink_to(tmp_path / "object")
        assert config.listing(root) == whole
        (root / "UCF-101/YoYo").rename(tmp_path / "YoYo")
        (root / "UCF-101/YoYo").symlink_to(tmp_path / "YoYo")
        assert config.listing(root) == whole

    @pytest.mark.parametrize("target", ["nowhere", "v_YoYo_g01_c01.avi"])
    def test_links_that_lead_nowhere(self, tmp_path: Path, target: str):
        config = ucf101(tmp_path)
        whole = config.listing(tmp_path)
        video = tmp_path / "UCF-101/YoYo/v_YoYo_g01_c01.avi"
        video.unlink()
        video.symlink_to(target)
        assert config.listing(tmp_path) == whole
        partial = config.model_copy(update={"present_only": True}).listing(tmp_path)
        assert partial.videos == tuple(v for v in whole.videos if v.id != "YoYo/v_YoYo_g01_c01")
        assert partial.remarks == ("1 link leads nowhere, and is left out: YoYo/v_YoYo_g01_c01",)

    @pytest.mark.parametrize(
        ("file", "line", "match"),
        [
            ("trainlist01.txt", "Archery/v_Archery_g01.avi 1", "line 13: 'Archery/v_Archery_g01.avi 1'; a line is"),
            ("trainlist01.txt", "Archery/v_Archery_g09_c01.avi 2", "line 13: .* classInd.txt has 1"),
            ("trainlist01.txt", "Fishing/v_Fishing_g09_c01.avi 2", "line 13: .* classInd.txt has None"),
            ("testlist01.txt", "Fishing/v_Fishing_g09_c01.avi", "line 7: 'Fishing' is not one of the 3 classes"),
            ("testlist01.txt", "Archery/v_Archery_g02_c01.avi", "line 7: .* second time"),
            ("classInd.txt", "5 Fishing", "line 4: '5 Fishing'; '4 <new class>' should be here"),
            ("classInd.txt", "4 YoYo", "line 4"),
            ("classInd.txt", f"{'9' * 5000} Fishing", "line 4"),
            ("trainlist01.txt", f"Archery/v_Archery_g09_c01.avi {'9' * 5000}", "line 13"),
            ("classInd.txt", "4 ..", "line 4"),
        ],
    )
    def test_malformed_lists(self, tmp_path: Path, file: str, line: str, match: str):
        config = ucf101(tmp_path)
        with open(tmp_path / "ucfTrainTestlist" / file, "a") as stream:
            stream.write(line + "\n")
        with pytest.raises(InputError, match=f"{file}, {match}"):
            config.listing(tmp_path)

    def test_missing_and_binary_lists(self, tmp_path: Path):
        config = ucf101(tmp_path)
        listing = config.listing(tmp_path)
        (tmp_path / "ucfTrainTestlist/testlist03.txt").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(InputError, match=r"testlist03\.txt: not a text file"):
            config.folds(tmp_path, listing)
        (tmp_path / "ucfTrainTestlist/testlist03.txt").unlink()
        with pytest.raises(InputError, match=r"testlist03\.txt: No such file"):
            config.folds(tmp_path, listing)

    def test_a_list_in_another_encoding(self, tmp_path: Path):
        config = ucf101(tmp_path)
        (tmp_path / "ucfTrainTestlist/trainlist01.txt").write_bytes(b"Archery/v_caf\xe9_g01_c01.avi 1\n")
        with pytest.raises(InputError, match=r"trainlist01\.txt: not UTF-8 \(.*0xe9.*\); save it anew, as UTF-8"):
            config.listing(tmp_path)

    def test_splits_must_agree_on_the_videos(self, tmp_path: Path):
        config = ucf101(tmp_path)
        listing = config.listing(tmp_path)
        write_lines(
            tmp_path / "ucfTrainTestlist/testlist02.txt", *(f"{s}.avi" for s in UCF_TOY["YoYo"] if "_g02_" in s)
        )
        with pytest.raises(InputError, match="Archery/v_Archery_g02_c01 is not in the lists of every split"):
            config.folds(tmp_path, listing)

    def test_two_files_of_one_video(self, tmp_path: Path):
        config = ucf101(tmp_path)
        whole = config.listing(tmp_path)
        touch(tmp_path, "UCF-101/YoYo/v_YoYo_g01_c01.MP4", "UCF-101/YoYo/v_YoYo_g01_c01.jpg", "UCF-101/YoYo/._x.avi")
        listing = config.listing(tmp_path)
        assert listing.videos == whole.videos
        (said,) = listing.remarks
        assert said.startswith("1 file is left out, as another is the same video")
        assert said.endswith("v_YoYo_g01_c01.MP4 beside v_YoYo_g01_c01.avi")

    def test_a_link_that_leads_nowhere_beside_a_file_of_the_video(self, tmp_path: Path):
        config = ucf101(tmp_path)
        folder = tmp_path / "UCF-101/YoYo"
        (folder / "v_YoYo_g01_c01.avi").rename(folder / "v_YoYo_g01_c01.mp4")
        (folder / "v_YoYo_g01_c01.avi").symlink_to("nowhere")
        listing = config.listing(tmp_path)
        (said,) = listing.remarks
        assert said.endswith("v_YoYo_g01_c01.avi beside v_YoYo_g01_c01.mp4")
        assert folder.resolve() / "v_YoYo_g01_c01.mp4" in [video.files["video"] for video in listing.videos]

    def test_files_left_out_are_named_in_order_on_every_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        config = ucf101(tmp_path)
        touch(tmp_path, *(f"UCF-101/YoYo/v_YoYo_g01_c0{n}.{ending}" for n in (1, 2) for ending in ("mp4", "mkv")))
        scandir, said = os.scandir, set()
        for backwards in (False, True):
            monkeypatch.setattr("data.files.os.scandir", by_name(scandir, backwards))
            said.add(config.listing(tmp_path).remarks)
        assert len(said) == 1

    def test_a_folder_that_cannot_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        config = ucf101(tmp_path)
        scandir = os.scandir

        def refused(path: str) -> Any:
            if str(path).endswith("YoYo"):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return scandir(path)

        monkeypatch.setattr("data.files.os.scandir", refused)
        with pytest.raises(InputError, match="YoYo: Permission denied; a readable folder is needed"):
            config.listing(tmp_path)


def by_name(scandir: Callable[[Any], Any], backwards: bool) -> Callable[[Any], Any]:
    """Make ``os.scandir`` read folders in the order of names, or backwards."""
    return lambda path: nullcontext(sorted(scandir(path), key=lambda entry: str(entry.name), reverse=backwards))


WRITTEN = (ROOT / "docs" / "ucf101-11.txt").read_text().splitlines()
"""Ids of the clips of which the recipes on 11 classes make their figures."""


class TestPart:
    def test_the_825_clips_are_written_down(self):
        config = load_experiment("ucf101-11-res-lstm").dataset
        assert config.classes is not None
        numbers = product(config.classes, range(1, 26), (1, 2, 3))
        assert [f"{name}/v_{name}_g{group:02d}_c{clip:02d}" for name, group, clip in numbers] == WRITTEN
        assert len(WRITTEN) == 825

    def test_the_official_lists_and_the_clips_at_hand_hold_what_is_written_down(self, shared: Path, tmp_path: Path):
        config = load_experiment("ucf101-11-res-lstm").dataset
        listing, folds = emptied_copy(config, shared / "ucf101-11" / "splits", tmp_path)
        assert [video.id for video in listing.videos] == WRITTEN
        assert listing.classes == config.classes
        at_hand = config.listing(shared / "ucf101-11")
        assert [(video.id, video.labels, video.subject) for video in at_hand.videos] == [
            (video.id, video.labels, video.subject) for video in listing.videos
        ]
        assert folds == UCF101(split="all", present_only=True).folds(shared / "ucf101-11", at_hand)
        assert config.notes(listing) == ("825 videos of 11 classes are used; 13,320 of 101 were published.",)

    def test_every_recipe_on_11_classes_uses_these(self):
        part = load_experiment("ucf101-11-res-lstm").dataset.selection
        names = [name for name in bundled() if name.startswith("ucf101-11-")]
        assert len(names) == 44
        for name in names:
            dataset = load_experiment(name).dataset
            assert (dataset.selection, dataset.present_only) == (part, False)

    def test_exactly_these_are_required(self, tmp_path: Path):
        ucf101(tmp_path)
        config = UCF101(classes=("YoYo", "Archery"), clips=(2,))
        listing = config.listing(tmp_path)
        assert [video.id for video in listing.videos] == [
            f"{name}/v_{name}_g{group:02d}_c02" for name in ("Archery", "YoYo") for group in (1, 2, 3)
        ]
        assert listing.classes == ("Archery", "YoYo")  # in the official order
        (fold,) = config.folds(tmp_path, listing)
        assert (len(fold.train), len(fold.test)) == (4, 2)
        for other in ("Archery/v_Archery_g01_c01", "Basketball/v_Basketball_g01_c02"):
            (tmp_path / "UCF-101" / f"{other}.avi").unlink()
        assert config.listing(tmp_path) == listing
        (tmp_path / "UCF-101/YoYo/v_YoYo_g03_c02.avi").unlink()
        with pytest.raises(InputError, match=r"1 of 6 files are missing .* such as YoYo/v_YoYo_g03_c02"):
            config.listing(tmp_path)
        there = config.model_copy(update={"present_only": True}).listing(tmp_path)
        assert there.videos == listing.videos[:5]

    def test_the_whole_of_a_part_is_the_whole(self, tmp_path: Path):
        config = ucf101(tmp_path)
        listing = config.listing(tmp_path)
        everything = config.model_copy(update={"classes": UCF_CLASSES, "clips": (1, 2, 3)})
        assert everything.listing(tmp_path) == listing
        assert everything.folds(tmp_path, listing) == config.folds(tmp_path, listing)

    def test_a_class_that_is_in_no_list(self, tmp_path: Path):
        ucf101(tmp_path)
        with pytest.raises(InputError, match=r"classes: unknown class 'Archer': did you mean 'Archery'\? \(Archery, "):
            UCF101(classes=("YoYo", "Archer")).listing(tmp_path)

    def test_a_clip_that_no_group_has(self, tmp_path: Path):
        ucf101(tmp_path)
        with pytest.raises(InputError, match=r"no video of the official lists in .* is one of \{'clips': \[7\]\}"):
            UCF101(clips=(7,)).listing(tmp_path)

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"classes": ()}, "classes: Tuple should have at least 1 item"),
            ({"clips": ()}, "clips: Tuple should have at least 1 item"),
            ({"clips": (8,)}, "clips.0: Input should be less than or equal to 7, not 8"),
            ({"clips": (0,)}, "clips.0: Input should be greater than or equal to 1, not 0"),
            ({"clips": ("c01",)}, "clips.0: Input should be a valid integer"),
            ({"clips": (1, 2, 1)}, "clips must differ from each other"),
            ({"classes": ("YoYo", "YoYo")}, "classes must differ from each other"),
        ],
    )
    def test_wrong_fields(self, fields: dict[str, Any], sentence: str):
        with pytest.raises(InputError, match=re.escape(sentence)):
            parse(UCF101, {"name": "ucf101", **fields})

    def test_it_is_written_only_where_it_is_said(self):
        assert json.loads(UCF101().canonical()) == {"name": "ucf101", "present_only": False, "split": 1}
        assert json.loads(UCF101(clips=(1,)).canonical())["clips"] == [1]
