"""Toy copies of the data sets: a few files in the form of the whole."""

from collections.abc import Callable
from pathlib import Path

from data.act import ACT
from data.base import Dataset, Fold, Listing
from data.fcvid import FCVID, LABELS, SPLIT_LIST
from data.folder import Folder
from data.hmdb51 import HMDB51
from data.kth import KTH, SEGMENTS_LIST
from data.kth import RECORDED as KTH_RECORDED
from data.msr_action3d import CVPR12_LIST, MsrAction3D
from data.stick_figures.dataset import StickFigures
from data.ucf101 import UCF101


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def write_lines(path: Path, *lines: str, newline: str = "\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + newline for line in lines).encode())


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
    write_lines(root / CVPR12_LIST, *MSR_TOY)
    return MsrAction3D(protocol="leave_one_out")


UCF_CLASSES = ("Archery", "YoYo", "Basketball")  # the official order is not the alphabet's for all


UCF_TOY = {name: [f"{name}/v_{name}_g{g:02d}_c{c:02d}" for g in (1, 2, 3) for c in (1, 2)] for name in UCF_CLASSES}


def ucf101(root: Path, videos: str = "UCF-101", lists: str = "ucfTrainTestlist", extension: str = ".avi") -> UCF101:
    everything = [stem for stems in UCF_TOY.values() for stem in stems]
    touch(root / videos, *(stem + extension for stem in everything))
    write_lines(
        root / lists / "classInd.txt", *(f"{n} {name}" for n, name in enumerate(UCF_CLASSES, 1)), newline="\r\n"
    )
    for split in (1, 2, 3):
        held_out = f"_g{split:02d}_"
        train = [f"{s}.avi {UCF_CLASSES.index(s.split('/')[0]) + 1}" for s in everything if held_out not in s]
        write_lines(root / lists / f"trainlist{split:02d}.txt", *train, newline="\r\n")
        write_lines(root / lists / f"testlist{split:02d}.txt", *(f"{s}.avi" for s in everything if held_out in s))
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
            write_lines(
                root / "splits" / f"{name}_test_split{split}.txt",
                *(f"{stem}.avi {side} " for stem, side in zip(stems, sides, strict=True)),
            )
    return HMDB51(split="all")


def act(root: Path) -> ACT:
    stems = [f"clips/{name}_{n}" for name in ("kick bag", "kick people") for n in range(3)]
    touch(root, *(f"{stem}.avi" for stem in stems))
    rows = [f"{stem}.avi,{stem[6:-2]},{'test' if stem.endswith('2') else 'train'}" for stem in stems]
    write_lines(root / "act.csv", "path,label,split", *rows)
    return ACT()


FCVID_TOY = {"party/-a_1": "1 0 0", "party/b": "1 0 1", "panda/c": "0 1 0", "panda/d": "0 1 1", "beach/e": "0 0 1"}


def fcvid(root: Path) -> FCVID:
    touch(root / "videos", *(f"{stem}.mp4" for stem in FCVID_TOY))
    sides = ["train", "test", "train", "test", "train"]
    write_lines(
        root / "materials" / SPLIT_LIST,
        *(f"{stem}.flv {side}" for stem, side in zip(FCVID_TOY, sides, strict=True)),
    )
    write_lines(root / "materials" / LABELS, *FCVID_TOY.values())
    return FCVID()


def folder(root: Path) -> Dataset:
    touch(root, *(f"clips/{subject}{n}.mp4" for subject in "xyz" for n in range(4)))
    rows = [f"clips/{subject}{n}.mp4,{('jump', 'run')[n % 2]},{subject}" for subject in "xyz" for n in range(4)]
    write_lines(root / "manifest.csv", "path,label,subject", *rows)
    return Folder(root=str(root), trials=3)


def write_segments(root: Path, *lines: str, newline: str = "\n") -> Path:
    """KTH's list of segments."""
    write_lines(root / SEGMENTS_LIST, *lines, newline=newline)
    return root / SEGMENTS_LIST


def kth(root: Path) -> Dataset:
    touch(root, *(f"{stem}_uncomp.avi" for stem in KTH_RECORDED))
    return KTH()


TOYS: dict[str, Callable[[Path], Dataset]] = {
    toy.__name__: toy for toy in (stick_figures, kth, msr_action3d, ucf101, hmdb51, act, fcvid, folder)
}


def emptied_copy(config: UCF101 | HMDB51, lists: Path, root: Path) -> tuple[Listing, tuple[Fold, ...]]:
    """The whole data set, its videos made empty."""
    (root / "splits").symlink_to(lists)
    for entry in config.entries(lists, config.class_names(lists), 1):
        touch(root / "videos", f"{entry.id}.avi")
    listing = config.listing(root)
    return listing, config.folds(root, listing)
