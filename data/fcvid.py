"""FCVID: 91,223 web videos of 239 categories, some of several."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from data.base import Dataset, Fold, Listing, Video, by_id, video_id
from data.official import first_with, one_each, read_lines, required, unlike_published, videos_in
from data.protocols import Side, divided
from data.publication import Publication
from pipeline.errors import InputError

SPLIT_LIST = "FCVID_VideoName_TrainTestSplit.txt"
LABELS = "FCVID_Label.txt"
CATEGORIES = "categories.txt"
_LIST_FOLDERS = ("materials", ".")
_VIDEO_FOLDERS = ("videos", ".")
_SIDES: dict[str, Side] = {"train": "train", "test": "test"}


class FCVID(Dataset):
    """Fudan-Columbia Video Dataset: 91,223 web videos of 239 categories, some of several.

    The official lists lie in materials/ below the root,
    or in the root itself: FCVID_VideoName_TrainTestSplit.txt has one line for each video, with its path and train or
    test, and FCVID_Label.txt one line for each video in the same order, with a 0 or 1 for each category. The videos lie
    in videos/ or in the root itself, by the paths of the list, with any video extension. No published file with the
    names of the categories is known: ``categories.txt`` beside the lists may give them, one a line.

    References
    ----------
    Jiang, Wu, Wang, Xue and Chang, "Exploiting Feature and Class Relationships in Video Categorization with Regularized
    Deep Neural Networks", TPAMI 2018.

    Gkalelis, Goulas, Galanopoulos and Mezaris, "ObjectGraphs", CVPR Workshops 2021, whose public code reads the lists
    in this form.
    """

    name: Literal["fcvid"] = "fcvid"
    publication: ClassVar[Publication] = Publication(
        title="FCVID",
        homepage="https://fvl.fudan.edu.cn/dataset/fcvid/list.htm",
        access="Ask the publisher for videos, labels and the standard split, as the page says.",
        licence="as agreed with the publisher",
        size="not known",
        videos=91_223,
        classes=239,
    )

    present_only: bool = Field(False, description="use the videos that are there, instead of requiring all of them")

    def listing(self, root: Path) -> Listing:
        """List all videos, or those that are there and their categories.

        Raises
        ------
        InputError
            Where a list is malformed, or files are missing; it names the line, or counts the files.
        """
        root = root.resolve()
        lists, folder = _lists(root), _videos(root)
        listed, marked = _listed(lists), list(_labels(lists))
        if len(listed) != len(marked):
            raise InputError(
                f"{lists}: {SPLIT_LIST} has {len(listed)} videos and {LABELS} {len(marked)} lines; both need as many"
            )
        labels = dict(zip(map(video_id, listed), marked, strict=True))
        files, remarks = one_each(videos_in(folder, dict.fromkeys(map(os.path.dirname, listed))))
        there, links = required(labels, files, folder, self.present_only)
        kept = sorted({label for id in there for label in labels[id]})
        names, place = _categories(lists, kept[-1] + 1), {label: number for number, label in enumerate(kept)}
        videos = (Video(id, {"video": files[id]}, tuple(place[label] for label in labels[id])) for id in there)
        return Listing(tuple(names[label] for label in kept), by_id(videos), (*remarks, *links))

    def split_files(self, root: Path) -> list[Path]:
        return [_lists(root.resolve()) / SPLIT_LIST]

    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        """Return the one split. Raises InputError where a half is empty."""
        sides = {video_id(path): side for path, side in _listed(_lists(root.resolve())).items()}
        return (divided("split", listing.videos, lambda video: sides[video.id]),)

    def notes(self, listing: Listing) -> tuple[str, ...]:
        """Note the number of videos, where it is not the published one."""
        return unlike_published("categories", listing, self.publication)


def _listed(lists: Path) -> dict[str, Side]:
    """Return the half of the split of each video, by its path without the extension, in the order of the list."""
    sides: dict[str, Side] = {}
    for place, line in read_lines(lists / SPLIT_LIST):
        path, _, side = line.replace("\t", " ").rpartition(" ")
        if side not in _SIDES or not path.strip():
            raise InputError(f"{place}: {line!r}; a line is a video's path and train or test")
        relative = os.path.normpath(path.strip())
        if os.path.isabs(relative) or relative.split("/")[0] == "..":
            raise InputError(f"{place}: {path!r} leaves the data root; paths in lists must stay below it")
        stem = os.path.splitext(relative)[0]
        if stem in sides:
            raise InputError(f"{place}: {stem} is listed a second time; a split lists a video once")
        sides[stem] = _SIDES[side]
    return sides


def _labels(lists: Path) -> Iterator[tuple[int, ...]]:
    """Yield the columns of each line that hold a 1."""
    columns = None
    for place, line in read_lines(lists / LABELS):
        cells = line.split()
        if len(cells) != (columns := columns or len(cells)):
            raise InputError(
                f"{place}: {len(cells)} columns, where the lines before have {columns}; each category needs one"
            )
        try:
            numbers = {cell: float(cell) for cell in set(cells)}
        except ValueError:
            numbers = {}
        marked = tuple(column for column, cell in enumerate(cells) if numbers.get(cell))
        if not marked or not set(numbers.values()) <= {0, 1}:
            raise InputError(f"{place}: a line needs a 0 or 1 for each category, and a 1 for at least one")
        yield marked


def _categories(lists: Path, count: int) -> list[str]:
    path = lists / CATEGORIES
    if not path.exists():
        return [f"category-{number:03d}" for number in range(1, count + 1)]
    names = [line for _, line in read_lines(path)]
    if len(names) < count or len(set(names)) < len(names):
        raise InputError(
            f"{path}: {len(set(names))} different names; each of the {count} categories needs one of its own"
        )
    return names


def _lists(root: Path) -> Path:
    return first_with(root, _LIST_FOLDERS, (SPLIT_LIST,), "official lists")


def _videos(root: Path) -> Path:
    return next(folder for each in _VIDEO_FOLDERS if (folder := root / each).is_dir()).resolve()
