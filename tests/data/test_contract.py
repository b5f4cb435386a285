"""Data sets: one contract for all, their own laws, and the figures of the real ones."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data import DATASETS
from data.act import ACT
from data.base import Dataset, Fold, Listing, Video
from data.fcvid import FCVID, LABELS, SPLIT_LIST
from data.folder import Folder
from data.hmdb51 import HMDB51
from data.kth import KTH
from data.kth import RECORDED as KTH_RECORDED
from data.msr_action3d import ACTIONS, CVPR12_LIST, EXCLUDED, RECORDED, MsrAction3D
from data.stick_figures.dataset import StickFigures
from data.ucf101 import UCF101
from pipeline.config import one_of, parse
from pipeline.errors import InputError
from tests.support.paths import ROOT


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def write(path: Path, *lines: str, newline: str = "\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + newline for line in lines).encode())


# Toy copies: a few files in the form of the whole.


def stick_figures(root: Path) -> Dataset:
    config = StickFigures(subjects=3, scenarios=("d4",), trials=2)
    actions = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
    stems = [f"person{subject:02d}_{action}_d4" for subject in (1, 2, 3) for action in actions]
    folder = config.folder(root)
    touch(folder, "sequences.txt", *(f"{s}.mp4" for s in stems), *(f"{s}_skeleton3D.txt" for s in stems))
    return config


MSR_TOY = [f"a{a:02d}_s{s:02d}_e01" for a in (1, 2, 20) for s in (1, 2, 3, 5, 6, 7, 8, 9)]


def msr_action3d(root: Path) -> Dataset:
    touch(root, *(f"{stem}_skeleton3D.txt" for stem in MSR_TOY))
    write(root / CVPR12_LIST, *MSR_TOY)
    return MsrAction3D(protocol="leave_one_out")


UCF_CLASSES = ("Archery", "YoYo", "Basketball")  # the official order is not the alphabet's for all
UCF_TOY = {name: [f"{name}/v_{name}_g{g:02d}_c{c:02d}" for g in (1, 2, 3) for c in (1, 2)] for name in UCF_CLASSES}


def ucf101(root: Path, videos: str = "UCF-101", lists: str = "ucfTrainTestlist", extension: str = ".avi") -> UCF101:
    everything = [stem for stems in UCF_TOY.values() for stem in stems]
    touch(root / videos, *(stem + extension for stem in everything))
    write(root / lists / "classInd.txt", *(f"{n} {name}" for n, name in enumerate(UCF_CLASSES, 1)), newline="\r\n")
    for split in (1, 2, 3):
        held_out = f"_g{split:02d}_"
        train = [f"{s}.avi {UCF_CLASSES.index(s.split('/')[0]) + 1}" for s in everything if held_out not in s]
        write(root / lists / f"trainlist{split:02d}.txt", *train, newline="\r\n")
        write(root / lists / f"testlist{split:02d}.txt", *(f"{s}.avi" for s in everything if held_out in s))
    return UCF101(split="all")


HMDB_TOY = {
    "draw_sword": ["#1_A_(b)_draw_sword_f_cm_np1_fr_med_0", "#1_A_(b)_draw_sword_f_cm_np1_fr_med_1"]
    + [f"Film{n}_draw_sword_u_nm_np2_le_goo_0" for n in (1, 2, 3)],
    "wave": [f"Film[{n}];-)!_wave_u_nm_np10_ba_bad_{k}" for n in (1, 2) for k in (0, 1)],
}


def hmdb51(root: Path) -> HMDB51:
    for name, stems in HMDB_TOY.items():
        touch(root / "videos" / name, *(f"{stem}.mp4" for stem in stems))
        for split in (1, 2, 3):
            sides = [1, 1, 2, 0, 1][: len(stems)]
            write(
                root / "splits" / f"{name}_test_split{split}.txt",
                *(f"{stem}.avi {side} " for stem, side in zip(stems, sides, strict=True)),
            )
    return HMDB51(split="all")


def act(root: Path) -> ACT:
    stems = [f"clips/{name}_{n}" for name in ("kick bag", "kick people") for n in range(3)]
    touch(root, *(f"{stem}.avi" for stem in stems))
    rows = [f"{stem}.avi,{stem[6:-2]},{'test' if stem.endswith('2') else 'train'}" for stem in stems]
    write(root / "act.csv", "path,label,split", *rows)
    return ACT()


FCVID_TOY = {"party/-a_1": "1 0 0", "party/b": "1 0 1", "panda/c": "0 1 0", "panda/d": "0 1 1", "beach/e": "0 0 1"}


def fcvid(root: Path) -> FCVID:
    touch(root / "videos", *(f"{stem}.mp4" for stem in FCVID_TOY))
    sides = ["train", "test", "train", "test", "train"]
    write(
        root / "materials" / SPLIT_LIST,
        *(f"{stem}.flv {side}" for stem, side in zip(FCVID_TOY, sides, strict=True)),
    )
    write(root / "materials" / LABELS, *FCVID_TOY.values())
    return FCVID()


def folder(root: Path) -> Dataset:
    touch(root, *(f"clips/{subject}{n}.mp4" for subject in "xyz" for n in range(4)))
    rows = [f"clips/{subject}{n}.mp4,{('jump', 'run')[n % 2]},{subject}" for subject in "xyz" for n in range(4)]
    write(root / "manifest.csv", "path,label,subject", *rows)
    return Folder(root=str(root), trials=3)


def kth(root: Path) -> Dataset:
    touch(root, *(f"{stem}_uncomp.avi" for stem in KTH_RECORDED))
    return KTH()


TOYS: dict[str, Callable[[Path], Dataset]] = {
    toy.__name__: toy for toy in (stick_figures, kth, msr_action3d, ucf101, hmdb51, act, fcvid, folder)
}


@pytest.fixture(params=sorted(DATASETS))
def toy(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Dataset, Path]:
    if request.param not in TOYS:
        pytest.fail(f"a toy copy of {request.param} is needed in TOYS")
    root = tmp_path / "root"
    root.mkdir()
    return TOYS[request.param](root), root


class TestContract:
    def test_registered_under_its_own_name(self, toy: tuple[Dataset, Path]):
        config, _ = toy
        assert type(config) is DATASETS[config.name]
        assert parse(one_of(DATASETS, "data set"), json.loads(config.canonical())) == config
        assert type(config).protocol_fields < set(type(config).model_fields)
        assert "/" not in config.store_name
        assert config.store_name.startswith(config.name)

    def test_listing(self, toy: tuple[Dataset, Path]):
        config, root = toy
        listing = config.listing(root)
        ids = [video.id for video in listing.videos]
        assert ids == sorted(set(ids))
        assert len(set(listing.classes)) == len(listing.classes) >= 2
        for video in listing.videos:
            assert video.files
            assert set(video.files) <= {"video", "skeleton"}
            assert all(path.is_absolute() and path.is_file() for path in video.files.values())
            assert all(0 <= label < len(listing.classes) for label in video.labels)
            assert video.labels
            assert video.frames is None or 0 <= video.frames[0] < video.frames[1]
            assert not {"", ".", ".."} & set(video.id.split("/"))

    def test_folds(self, toy: tuple[Dataset, Path]):
        config, root = toy
        listing = config.listing(root)
        folds = config.folds(root, listing)
        assert len({fold.name for fold in folds}) == len(folds) > 0
        for fold in folds:
            assert list(fold.train) == sorted(set(fold.train))
            assert list(fold.test) == sorted(set(fold.test))
            assert fold.train
            assert fold.test
            assert not set(fold.train) & set(fold.test)
            assert set(fold.train) | set(fold.test) <= {video.id for video in listing.videos}
        assert config.folds(root, listing) == folds
        assert config.folds(root, Listing(listing.classes, listing.videos[::-1])) == folds

    def test_subjects_stay_on_one_side(self, toy: tuple[Dataset, Path]):
        config, root = toy
        listing = config.listing(root)
        subject = {video.id: video.subject for video in listing.videos}
        assert len({bool(known) for known in subject.values()}) == 1  # all, or nothing tells who or whence a video is
        for fold in config.folds(root, listing):
            assert not {subject[id] or id for id in fold.train} & {subject[id] or id for id in fold.test}

    def test_protocol_does_not_change_the_videos(self, toy: tuple[Dataset, Path]):
        config, root = toy
        plain = config.without_protocol()
        assert plain.without_protocol() == plain
        assert plain.listing(root) == config.listing(root)
        assert plain.store_name == config.store_name

    def test_a_missing_file_is_counted(self, toy: tuple[Dataset, Path]):
        config, root = toy
        whole = config.listing(root)
        next(iter(whole.videos[0].files.values())).unlink()
        with pytest.raises(InputError, match=r"\b1 of \d+ "):
            config.listing(root)
        if "present_only" in type(config).model_fields:
            partial = config.model_copy(update={"present_only": True}).listing(root)
            assert partial.videos == whole.videos[1:]

    def test_root_may_be_a_link(self, toy: tuple[Dataset, Path], tmp_path: Path):
        config, root = toy
        (tmp_path / "link").symlink_to(root)
        assert config.listing(tmp_path / "link") == config.listing(root)

    def test_nothing_there(self, toy: tuple[Dataset, Path], tmp_path: Path):
        config, _ = toy
        (tmp_path / "empty").mkdir()
        for table in (config, config.model_copy(update={"present_only": True})):
            with pytest.raises(InputError):
                table.listing(tmp_path / "empty")


def test_import_is_light():
    heavy = "{'torch', 'cv2', 'av', 'h5py', 'sklearn', 'matplotlib', 'luigi'}"
    code = f"import data, sys; found = {heavy} & set(sys.modules); sys.exit(str(found) if found else 0)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# MSR Action3D.


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
        write(tmp_path / CVPR12_LIST, *MSR_TOY, "", line)
        with pytest.raises(InputError, match=rf"{CVPR12_LIST}, line {len(MSR_TOY) + 2}: '{line}'"):
            MsrAction3D().listing(tmp_path)

    def test_link_out_of_the_root(self, tmp_path: Path):
        root = tmp_path / "root"
        msr_action3d(root)
        touch(tmp_path, "elsewhere.txt")
        (root / f"{MSR_TOY[0]}_skeleton3D.txt").unlink()
        (root / f"{MSR_TOY[0]}_skeleton3D.txt").symlink_to(tmp_path / "elsewhere.txt")
        with pytest.raises(InputError, match="leaves the data root"):
            MsrAction3D().listing(root)

    def test_a_half_without_videos(self, tmp_path: Path):
        touch(tmp_path, "a01_s01_e01_skeleton3D.txt", "a02_s03_e01_skeleton3D.txt")
        config = MsrAction3D(present_only=True)
        with pytest.raises(InputError, match="no video is left to test with"):
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


class TestACT:
    def test_classes_and_halves(self, tmp_path: Path):
        config = act(tmp_path)
        listing = config.listing(tmp_path)
        assert listing.classes == ("kick bag", "kick people")
        (fold,) = config.folds(tmp_path, listing)
        assert fold.test == ("clips/kick bag_2", "clips/kick people_2")
        assert config.notes(listing) == ("6 videos of 2 classes, where 11,234 of 43 are published.",)

    @pytest.mark.parametrize(
        ("line", "match"),
        [
            ("clips/kick bag_0.avi,kick bag,later", "line 2: split 'later'; it must be train or test"),
            ("../kick.avi,kick bag,train", "line 2: .*kick.avi leaves the data root"),
            ("/kick.avi,kick bag,train", "line 2: /kick.avi leaves the data root"),
            ("clips/kick.txt,kick bag,train", "line 2: kick.txt is no video"),
            ("clips/kick bag_0.avi,,train", "the label is empty"),
            ("clips/kick.avi,kick bag,train", "1 of 1 files are missing"),
            ("clips/kick bag_0.avi,a,train\nclips/kick bag_0.avi,b,test", "line 3: .* is listed a second time"),
        ],
    )
    def test_mistakes(self, tmp_path: Path, line: str, match: str):
        config = act(tmp_path)
        write(tmp_path / "act.csv", "path,label,split", line)
        with pytest.raises(InputError, match=match):
            config.listing(tmp_path)

    def test_segments_are_videos_of_their_own(self, tmp_path: Path):
        config = act(tmp_path)
        rows = ["0,90,kick bag,train", "90,200,kick people,test"]
        write(
            tmp_path / "act.csv", "path,start_frame,end_frame,label,split", *(f"clips/kick bag_0.avi,{r}" for r in rows)
        )
        assert [video.frames for video in config.listing(tmp_path).videos] == [(0, 90), (90, 200)]

    def test_the_split_is_needed(self, tmp_path: Path):
        config = act(tmp_path)
        write(tmp_path / "act.csv", "path,label", "clips/kick bag_0.avi,a", "clips/kick bag_1.avi,b")
        with pytest.raises(InputError, match="line 2: a column split is needed"):
            config.folds(tmp_path, config.listing(tmp_path))


class TestFCVID:
    def test_labels_and_halves(self, tmp_path: Path):
        config = fcvid(tmp_path)
        listing = config.listing(tmp_path)
        assert listing.classes == ("category-001", "category-002", "category-003")
        marked = {video.id: [int(label in video.labels) for label in range(3)] for video in listing.videos}
        assert marked == {id: [int(cell) for cell in cells.split()] for id, cells in FCVID_TOY.items()}
        (fold,) = config.folds(tmp_path, listing)
        assert fold.test == ("panda/d", "party/b")
        assert config.notes(listing) == ("5 videos of 3 categories, where 91,223 of 239 are published.",)

    def test_names_of_categories(self, tmp_path: Path):
        config = fcvid(tmp_path)
        write(tmp_path / "materials/categories.txt", "tailgate party", "panda", "beach")
        assert config.listing(tmp_path).classes == ("tailgate party", "panda", "beach")
        for id in ("party/-a_1", "party/b"):
            (tmp_path / "videos" / f"{id}.mp4").unlink()
        left = config.model_copy(update={"present_only": True}).listing(tmp_path)
        assert left.classes == ("panda", "beach")
        assert [video.labels for video in left.videos] == [(1,), (0,), (0, 1)]
        write(tmp_path / "materials/categories.txt", "party", "panda")
        with pytest.raises(InputError, match="2 different names; one is needed for each"):
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
            (LABELS, 1, "1 0", "line 2: 2 columns, and 3 before"),
            (LABELS, 1, "0 0 0", "line 2: a line is a 0 or 1 for each category, and a 1 for one at least"),
            (LABELS, 1, "0 2 0", "a line is a 0 or 1"),
            (LABELS, 1, "0 x 0", "a line is a 0 or 1"),
            (LABELS, 1, "nan 1 0", "a line is a 0 or 1"),
        ],
    )
    def test_mistakes(self, tmp_path: Path, name: str, row: int, line: str, match: str):
        config = fcvid(tmp_path)
        path = tmp_path / "materials" / name
        given = path.read_text().split("\n")
        write(path, *given[:row], line, *given[row + 1 :])
        with pytest.raises(InputError, match=match):
            config.listing(tmp_path)

    def test_a_link_out_of_the_root_and_one_video_twice(self, tmp_path: Path):
        root = tmp_path / "root"
        config = fcvid(root)
        touch(tmp_path, "elsewhere.mp4")
        (root / "videos/beach/e.mp4").unlink()
        (root / "videos/beach/e.mp4").symlink_to(tmp_path / "elsewhere.mp4")
        with pytest.raises(InputError, match="leaves the data root"):
            config.listing(root)
        (root / "videos/beach/e.mp4").unlink()
        touch(root, "videos/beach/e.mp4", "videos/beach/e.avi")
        with pytest.raises(InputError, match="are the same video"):
            config.listing(root)


# Three official splits.


def official(config: UCF101 | HMDB51, lists: Path, root: Path) -> tuple[Listing, tuple[Fold, ...]]:
    """The whole data set, its videos made empty."""
    (root / "splits").symlink_to(lists)
    for entry in config.entries(lists, config.class_names(lists), 1):
        touch(root / "videos", f"{entry.id}.avi")
    listing = config.listing(root)
    return listing, config.folds(root, listing)


class TestUCF101:
    def test_the_whole(self, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        scans: list[str] = []
        scandir = os.scandir
        monkeypatch.setattr("data.official.os.scandir", lambda path: (scans.append(str(path)), scandir(path))[1])
        listing, folds = official(UCF101(split="all"), shared / "ucf101-11" / "splits", tmp_path)
        assert len(scans) == len(set(scans)) == 101
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
        with pytest.raises(InputError, match="split-1: no video is left to test with"):
            config.folds(tmp_path, listing)

    @pytest.mark.parametrize("stem", ["/Archery/v_A_g01_c01", "../Archery/v_A_g01_c01", "Archery/../../v_A_g01_c01"])
    @pytest.mark.parametrize("split", [1, 2])
    def test_paths_out_of_the_root(self, tmp_path: Path, stem: str, split: int):
        config, listing = ucf101(tmp_path), ucf101(tmp_path).listing(tmp_path)
        with open(tmp_path / f"ucfTrainTestlist/testlist0{split}.txt", "a") as file:
            file.write(stem + ".avi\n")
        with pytest.raises(InputError, match=f"testlist0{split}.txt, line 7"):
            config.folds(tmp_path, listing)

    def test_links_out_of_the_videos(self, tmp_path: Path):
        root = tmp_path / "root"
        config = ucf101(root)
        victim = root / "UCF-101/YoYo/v_YoYo_g01_c01.avi"
        victim.rename(root / "aside.avi")
        victim.symlink_to(root / "UCF-101/YoYo/v_YoYo_g01_c02.avi")
        assert len(config.listing(root).videos) == 18
        victim.unlink()
        victim.symlink_to(root / "aside.avi")
        with pytest.raises(InputError, match=r"YoYo/v_YoYo_g01_c01\.avi' leaves the data root"):
            config.listing(root)
        victim.unlink()
        (root / "UCF-101/YoYo").rename(root / "YoYo")
        (root / "UCF-101/YoYo").symlink_to(root / "YoYo")
        with pytest.raises(InputError, match="'YoYo' leaves the data root"):
            config.listing(root)

    @pytest.mark.parametrize(
        ("file", "line", "match"),
        [
            ("trainlist01.txt", "Archery/v_Archery_g01.avi 1", "line 13: 'Archery/v_Archery_g01.avi 1'; a line is"),
            ("trainlist01.txt", "Archery/v_Archery_g09_c01.avi 2", "line 13: .* classInd.txt has 1"),
            ("trainlist01.txt", "Fishing/v_Fishing_g09_c01.avi 2", "line 13: .* classInd.txt has None"),
            ("testlist01.txt", "Fishing/v_Fishing_g09_c01.avi", "line 7: 'Fishing' is none of the 3 classes"),
            ("testlist01.txt", "Archery/v_Archery_g02_c01.avi", "line 7: .* second time"),
            ("classInd.txt", "5 Fishing", "line 4: '5 Fishing'; '4 <new class>' should be here"),
            ("classInd.txt", "4 YoYo", "line 4"),
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
        with pytest.raises(InputError, match=r"testlist03\.txt: this is no text"):
            config.folds(tmp_path, listing)
        (tmp_path / "ucfTrainTestlist/testlist03.txt").unlink()
        with pytest.raises(InputError, match=r"testlist03\.txt: No such file"):
            config.folds(tmp_path, listing)

    def test_splits_must_agree_on_the_videos(self, tmp_path: Path):
        config = ucf101(tmp_path)
        listing = config.listing(tmp_path)
        write(tmp_path / "ucfTrainTestlist/testlist02.txt", *(f"{s}.avi" for s in UCF_TOY["YoYo"] if "_g02_" in s))
        with pytest.raises(InputError, match="Archery/v_Archery_g02_c01 is not in the lists of all splits"):
            config.folds(tmp_path, listing)

    def test_two_files_of_one_video(self, tmp_path: Path):
        config = ucf101(tmp_path)
        touch(tmp_path, "UCF-101/YoYo/v_YoYo_g01_c01.mp4", "UCF-101/YoYo/v_YoYo_g01_c01.jpg", "UCF-101/YoYo/._x.avi")
        with pytest.raises(InputError, match="same video"):
            config.listing(tmp_path)


class TestHMDB51:
    def test_the_whole(self, shared: Path, tmp_path: Path):
        listing, folds = official(HMDB51(split="all"), shared / "hmdb51" / "splits", tmp_path)
        assert (len(listing.videos), len(listing.classes)) == (6766, 51)
        assert list(listing.classes) == sorted(listing.classes)
        source = {video.id: video.subject for video in listing.videos}
        for fold in folds:
            assert Counter(id.split("/")[0] for id in fold.train) == dict.fromkeys(listing.classes, 70)
            assert Counter(id.split("/")[0] for id in fold.test) == dict.fromkeys(listing.classes, 30)
            assert not {source[id] for id in fold.train} & {source[id] for id in fold.test}
        assert len({fold.test for fold in folds}) == 3
        assert Counter(name for names in HMDB51().groups.values() for name in names) == Counter(listing.classes)
        assert [len(names) for names in HMDB51().groups.values()] == [4, 3, 19, 18, 7]

    def test_unused_videos_are_listed_but_in_neither_half(self, tmp_path: Path):
        config = hmdb51(tmp_path)
        listing = config.listing(tmp_path)
        assert len(listing.videos) == 9
        for fold in config.folds(tmp_path, listing):
            assert len(fold.train) == 5
            assert fold.test == ("draw_sword/Film1_draw_sword_u_nm_np2_le_goo_0", f"wave/{HMDB_TOY['wave'][2]}")

    @pytest.mark.parametrize(
        "line",
        [
            "a_wave_b.avi 3",
            "a_wave_b.avi",
            "../a_wave_b.avi 1",
            "/etc/a_wave_b.avi 1",
            "..\\a_wave_b.avi 1",
            "a.avi 1 2",
        ],
    )
    def test_malformed_lists(self, tmp_path: Path, line: str):
        config = hmdb51(tmp_path)
        with open(tmp_path / "splits/wave_test_split1.txt", "a") as file:
            file.write(line + "\n")
        with pytest.raises(InputError, match=r"wave_test_split1\.txt, line 5"):
            config.listing(tmp_path)

    def test_links_out_of_the_videos(self, tmp_path: Path):
        config = hmdb51(tmp_path / "root")
        victim = config.listing(tmp_path / "root").videos[0].files["video"]
        victim.rename(tmp_path / "aside.avi")
        victim.symlink_to(tmp_path / "aside.avi")
        with pytest.raises(InputError, match="leaves the data root"):
            config.listing(tmp_path / "root")


# Anybody's own data.


def by_manifest(root: Path, *rows: str, header: str = "path,label", **fields: Any) -> tuple[Folder, Listing]:
    touch(root, "a.mp4", "b.mp4", "c.avi", "d.mkv", "e.txt")
    write(root / "manifest.csv", header, *rows)
    config = Folder(root=str(root), **fields)
    return config, config.listing(root)


class TestFolder:
    def test_paths_of_a_manifest_are_taken_as_meant(self, tmp_path: Path):
        """Absolute, above the root, or a link out of it: it is their own file."""
        touch(tmp_path, "elsewhere/x.mp4", "beside/y.mp4")
        (tmp_path / "root").mkdir()
        (tmp_path / "root/link.mp4").symlink_to(tmp_path / "elsewhere/x.mp4")
        rows = (f"{tmp_path}/elsewhere/x.mp4,one", "../beside/y.mp4,two", "link.mp4,two", "a.mp4,one")
        _, listing = by_manifest(tmp_path / "root", *rows)
        files = {video.files["video"].resolve() for video in listing.videos}
        wanted = ("elsewhere/x.mp4", "beside/y.mp4", "root/a.mp4")
        assert files == {(tmp_path / name).resolve() for name in wanted}
        assert len(listing.videos) == len(rows)

    def test_one_folder_a_class(self, tmp_path: Path):
        touch(tmp_path, *(f"{name}/{n}.MOV" for name in ("run", "a jump") for n in range(10)), "README.md", ".git/x")
        touch(tmp_path, "run/.DS_Store", "run/notes.pdf")
        config = Folder(root=str(tmp_path), test_fraction=0.2)
        listing = config.listing(tmp_path)
        assert listing.classes == ("a jump", "run")
        assert [video.id for video in listing.videos] == [f"{c}/{n}" for c in listing.classes for n in range(10)]
        (fold,) = config.folds(tmp_path, listing)
        assert Counter(id.split("/")[0] for id in fold.test) == {"a jump": 2, "run": 2}

    def test_video_and_skeleton_belong_together(self, tmp_path: Path):
        touch(tmp_path, *(f"{name}/{n}{end}" for name in ("run", "jump") for n in (1, 2) for end in (".mp4", ".txt")))
        listing = Folder(root=str(tmp_path)).listing(tmp_path)
        assert len(listing.videos) == 4
        assert listing.videos[0].files == {
            "video": tmp_path.resolve() / "jump/1.mp4",
            "skeleton": tmp_path.resolve() / "jump/1.txt",
        }
        (tmp_path / "run/2.txt").unlink()
        with pytest.raises(InputError, match=r"run/2\.mp4: video of 'run/2', where the first example has video and"):
            Folder(root=str(tmp_path)).listing(tmp_path)
        touch(tmp_path, "run/2.txt", "run/2.avi")
        with pytest.raises(InputError, match=r"run/2\.mp4: 'run/2' is there twice, first at .*run/2\.avi"):
            Folder(root=str(tmp_path)).listing(tmp_path)

    def test_manifest_in_all_its_columns(self, tmp_path: Path):
        touch(tmp_path, "elsewhere/far.mp4", "root/clips/near.mp4")
        root = (tmp_path / "root").resolve()
        write(
            root / "lists/day.csv",
            "\ufeffpath, label ,subject,split,start_frame,end_frame",
            '../clips/near.mp4,"run, fast",ann,train,0,40',
            '"../clips/near.mp4", jump,ann,train,40,80',
            "",
            f"{tmp_path / 'elsewhere/far.mp4'},jump,bob,test,,",
            newline="\r\n",
        )
        config = Folder(root=str(root), manifest="lists/day.csv")
        listing = config.listing(root)
        assert listing.classes == ("jump", "run, fast")
        far = str(tmp_path / "elsewhere/far").lstrip("/")
        near = {"video": root / "clips/near.mp4"}
        expected = [
            Video("clips/near@0-40", near, (1,), "ann", (0, 40)),
            Video("clips/near@40-80", near, (0,), "ann", (40, 80)),
            Video(far, {"video": tmp_path / "elsewhere/far.mp4"}, (0,), "bob"),
        ]
        assert list(listing.videos) == sorted(expected, key=lambda video: video.id)
        assert config.folds(root, listing) == (Fold("split", ("clips/near@0-40", "clips/near@40-80"), (far,)),)

    def test_the_natural_protocol(self, tmp_path: Path):
        rows = ["a.mp4,x,p,train", "b.mp4,y,q,test", "c.avi,x,q,train", "d.mkv,y,p,test"]
        config, listing = by_manifest(tmp_path, *rows, header="path,label,subject,split")
        assert config.folds(tmp_path, listing) == (Fold("split", ("a", "c"), ("b", "d")),)
        named = Folder(root=str(tmp_path), protocol="by_subject")
        assert {frozenset(named.folds(tmp_path, listing)[0].test)} <= {frozenset("ad"), frozenset("bc")}
        config, listing = by_manifest(tmp_path, *(row.rsplit(",", 1)[0] for row in rows), header="path,label,subject")
        assert config.folds(tmp_path, listing) == named.folds(tmp_path, listing)
        assert config.folds(tmp_path, listing)[0].name == "trial-1"
        config, listing = by_manifest(tmp_path, "a.mp4,x", "b.mp4,y", "c.avi,x", "d.mkv,y")
        (fold,) = config.folds(tmp_path, listing)
        assert sum(id in "ac" for id in fold.test) == sum(id in "bd" for id in fold.test) == 1

    def test_segments_of_a_file_stay_together(self, tmp_path: Path):
        rows = [
            f"{file},{'xy'[n % 2]},{n * 10},{n * 10 + 10}" for file in ("a.mp4", "b.mp4", "c.avi") for n in range(4)
        ]
        config, listing = by_manifest(tmp_path, *rows, header="path,label,start_frame,end_frame", trials=4)
        assert {video.subject for video in listing.videos} == {"a", "b", "c"}
        for fold in config.folds(tmp_path, listing):
            assert not {id[0] for id in fold.train} & {id[0] for id in fold.test}

    def test_protocol_that_the_data_cannot_follow(self, tmp_path: Path):
        rows = ["a.mp4,x", "b.mp4,y", "c.avi,x"]
        config, listing = by_manifest(tmp_path, *rows)
        with pytest.raises(InputError, match="class 'y' has a single video, b"):
            config.folds(tmp_path, listing)
        with pytest.raises(InputError, match="no split is given for a; a manifest with a column split"):
            Folder(root=str(tmp_path), protocol="split_column").folds(tmp_path, listing)
        with pytest.raises(InputError, match="a has no subject"):
            Folder(root=str(tmp_path), protocol="by_subject").folds(tmp_path, listing)
        config, listing = by_manifest(tmp_path, *(row + ",train" for row in rows), header="path,label,split")
        with pytest.raises(InputError, match="no video is left to test with"):
            config.folds(tmp_path, listing)
        with pytest.raises(InputError, match="leave trials out"):
            Folder(root=str(tmp_path), trials=2).folds(tmp_path, listing)
        with pytest.raises(InputError, match="leave trials out"):
            parse(Folder, {"root": "x", "trials": 2, "protocol": "split_column"})

    @pytest.mark.parametrize(
        ("header", "row", "match"),
        [
            ("path,label", "b.mp4,", "line 3: the label is empty"),
            ("path,label", ",x", "line 3: the path is empty"),
            ("path,label", "b.mp4", "line 3: not 2 cells"),
            ("path,label", "b.mp4,x,y", "line 3: not 2 cells"),
            ("path,label", "a.mp4,y", "line 3: 'a' is there twice, first at .*line 2"),
            ("path,label", "./x/../a.mp4,y", "line 3: 'a' is there twice"),
            ("path,label", "z.mp4,y", "1 of 2 files .*line 3: .*z.mp4"),
            ("path,label", f"{'z' * 300}.mp4,y", "1 of 2 files"),
            ("path,label", "manifest.csv,y", "line 3: manifest.csv is neither a video"),
            ("path,label", '"b.mp4,y', "no CSV in UTF-8"),
            ("path,label", "e.txt,y", "line 3: skeleton of 'e', where the first example has video"),
            ("path,label,split", "b.mp4,y,val", "line 3: split 'val'; it must be train or test"),
            ("path,label,split", "b.mp4,y,", "line 3: split ''; it must be train or test"),
            ("path,label,subject", "b.mp4,y,", "line 3: the subject is empty"),
            ("path,label,start_frame,end_frame", "b.mp4,y,5,5", "line 3: .*start_frame must be below end_frame"),
            ("path,label,start_frame,end_frame", "b.mp4,y,1,x", "line 3: .*whole numbers"),
            ("path,label,start_frame,end_frame", "b.mp4,y,-1,5", "line 3: .*whole numbers"),
            ("path,label,start_frame,end_frame", "b.mp4,y,1.0,5", "line 3: .*whole numbers"),
            ("path,label,start_frame,end_frame", "b.mp4,y,,5", "line 3: .*two empty cells"),
            ("path,label,start_frame", "b.mp4,y,1", "line 1: no column end_frame; a manifest starts with"),
            ("path,lable", "b.mp4,y", "line 1: unknown column 'lable': did you mean 'label'"),
            ("path;label", "b.mp4;y", "line 1: unknown column 'path;label'"),
            ("path,subject", "b.mp4,y", "line 1: no column label"),
            ("path,label,label", "b.mp4,y,y", "line 1: a column twice"),
        ],
    )
    def test_wrong_manifests(self, tmp_path: Path, header: str, row: str, match: str):
        good = {"label": "x", "subject": "p", "split": "train", "start_frame": "0", "end_frame": "9"}
        first = ",".join(["a.mp4", *(good.get(name, "") for name in header.split(",")[1:])])
        with pytest.raises(InputError, match=match):
            by_manifest(tmp_path, first, row, header=header)

    @pytest.mark.parametrize(
        ("content", "match"),
        [
            (b"", "line 1: no column path"),
            (b"path,label\n", "there are no videos at all"),
            (b"path,label\na.mp4,x\nb.mp4,x\n", "there are only 'x'"),
            (b"\x89PNG\r\n\x1a\n\x00\xff", "no CSV in UTF-8"),
        ],
    )
    def test_no_manifest_at_all(self, tmp_path: Path, content: bytes, match: str):
        touch(tmp_path, "a.mp4", "b.mp4")
        (tmp_path / "manifest.csv").write_bytes(content)
        with pytest.raises(InputError, match=match):
            Folder(root=str(tmp_path)).listing(tmp_path)

    def test_wrong_folders(self, tmp_path: Path):
        touch(tmp_path, "run/1.mp4")
        config = Folder(root=str(tmp_path))
        with pytest.raises(InputError, match="there are only 'run'"):
            config.listing(tmp_path)
        (tmp_path / "jump").mkdir()
        with pytest.raises(InputError, match=r"jump: no video or \.txt skeleton file"):
            config.listing(tmp_path)
        touch(tmp_path, "jump/more/1.mp4")
        with pytest.raises(InputError, match=r"jump/more: a folder in a class's folder"):
            config.listing(tmp_path)
        with pytest.raises(InputError, match=r"other\.csv: No such file"):
            Folder(root=str(tmp_path), manifest="other.csv").listing(tmp_path)
        with pytest.raises(InputError, match=r"nowhere: No such file"):
            config.listing(tmp_path / "nowhere")

    def test_stores_are_told_apart_by_where_the_root_lies(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        (tmp_path / "My Clips!").mkdir()
        (tmp_path / "other").mkdir()
        monkeypatch.chdir(tmp_path)
        config = Folder(root="My Clips!")
        assert config.location == (tmp_path / "My Clips!").resolve()
        assert config.store_name.startswith("folder-my-clips-")
        assert config.store_name == Folder(root=str(tmp_path / "other/../My Clips!")).store_name
        assert config.store_name == Folder(root="My Clips!", protocol="stratified", protocol_seed=3).store_name
        (tmp_path / "other/My Clips!").mkdir()
        assert config.store_name != Folder(root="other/My Clips!").store_name
        assert config.store_name != Folder(root="My Clips!", manifest="second.csv").store_name
