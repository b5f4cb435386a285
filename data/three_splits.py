"""Base class of data sets with three official splits, of which a recipe may use a part."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from data.base import Dataset, Fold, Listing, Video, by_id
from data.official import first_with, one_each, required, unlike_published, videos_in
from data.protocols import Side, divided
from pipeline.config import unknown
from pipeline.errors import InputError
from pipeline.fingerprint import short_digest


class Entry(NamedTuple):
    """One line of a list.

    Attributes
    ----------
    place : str
        "<file>, line <n>", for messages.
    id : str
        "<class>/<stem>".
    side : Side
        Half of the split to which it belongs.
    """

    place: str
    id: str
    side: Side


class ThreeSplits(Dataset):
    """Data sets of videos in one folder for each class, with three official splits that each list every video.

    The videos lie in the first of ``video_folders`` that has a class's folder, the lists in the first of
    ``list_folders`` that has any. Lists say .avi; a video is found by its stem, with any video extension. Folders and
    videos may be symbolic links to anywhere; what the lists name must not leave the folder of videos.

    Where a recipe names classes, the data set is that part of the lists, and all else on the disk is left alone.
    """

    protocol_fields: ClassVar[frozenset[str]] = frozenset({"split"})
    added: ClassVar[frozenset[str]] = frozenset({"classes"})
    selecting: ClassVar[tuple[str, ...]] = ("classes",)
    """Fields that choose some of the videos in the lists."""
    video_folders: ClassVar[tuple[str, ...]]
    list_folders: ClassVar[tuple[str, ...]]
    list_pattern: ClassVar[str]

    split: Literal[1, 2, 3, "all"] = Field(1, description="number of the official split, or all three, a fold each")
    present_only: bool = Field(False, description="use the videos that are there, instead of requiring all of them")
    classes: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        None, description="names of the classes that are used; None: all of them"
    )

    @model_validator(mode="after")
    def _chosen_once(self) -> Self:
        for field, values in self.selection.items():
            if len(set(values)) < len(values):
                raise ValueError(f"{field} must differ from each other")
        return self

    @property
    def selection(self) -> dict[str, list[Any]]:
        """Values of the fields that choose some of the videos, sorted; empty where all are used."""
        return {name: sorted(chosen) for name in self.selecting if (chosen := getattr(self, name)) is not None}

    @property
    def store_name(self) -> str:
        return f"{self.name}-part-{short_digest(self.selection)}" if self.selection else self.name

    @property
    def as_present(self) -> Dataset:
        if not self.selection:
            return self
        return self.model_copy(update={**dict.fromkeys(self.selecting), "present_only": True})

    def takes(self, id: str) -> bool:
        """Return whether a video of the lists is one of those that are used."""
        return self.classes is None or id.split("/")[0] in self.classes

    def notes(self, listing: Listing) -> tuple[str, ...]:
        """Note the numbers of videos and classes, where they are not those published."""
        return unlike_published("classes", listing, self.publication)

    @abstractmethod
    def class_names(self, lists: Path) -> tuple[str, ...]:
        """Read the names of all classes, in the official order. Raises InputError where their list is malformed."""

    @abstractmethod
    def entries(self, lists: Path, classes: Sequence[str], split: int) -> Iterator[Entry]:
        """Read the lists of one split. Raises InputError that names file and line where one is malformed."""

    @abstractmethod
    def source(self, video_id: str) -> str:
        """Return the source that a video was cut from; the official splits never part videos of one source."""

    def listing(self, root: Path) -> Listing:
        """List all videos, or those that are there and their classes.

        Raises
        ------
        InputError
            Where videos are missing, which it counts, a list is malformed, or a chosen class is in none.
        """
        root = root.resolve()
        lists = self._lists(root)
        classes = self.class_names(lists)
        used = self._used(classes)
        folder = self._videos(root, used)
        files, remarks = one_each(videos_in(folder, used))
        ids, links = required(self._division(lists, classes, 1), files, folder, self.present_only)
        there = {video_id.split("/")[0] for video_id in ids}
        kept = tuple(name for name in classes if name in there)
        labels = {name: (label,) for label, name in enumerate(kept)}
        return Listing(
            kept,
            by_id(Video(id, {"video": files[id]}, labels[id.split("/")[0]], self.source(id)) for id in ids),
            (*remarks, *links),
        )

    def split_files(self, root: Path) -> list[Path]:
        return sorted(self._lists(root.resolve()).glob("*.txt"))

    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        """Return the official split, or all three.

        Raises
        ------
        InputError
            Where a half is empty, or the lists disagree.
        """
        lists = self._lists(root.resolve())
        classes = self.class_names(lists)
        return tuple(
            self._fold(self._division(lists, classes, split), listing, f"split-{split}")
            for split in ((1, 2, 3) if self.split == "all" else (self.split,))
        )

    def _fold(self, division: dict[str, Side], listing: Listing, name: str) -> Fold:
        ids = {video.id for video in listing.videos}
        disputed = ids - division.keys() if self.present_only else ids ^ division.keys()
        if disputed:
            raise InputError(f"{min(disputed)} is not in the lists of every split; each split must list every video")
        return divided(name, listing.videos, lambda video: division[video.id])

    def _division(self, lists: Path, classes: Sequence[str], split: int) -> dict[str, Side]:
        known, division = frozenset(classes), dict[str, Side]()
        for place, id, side in self.entries(lists, classes, split):
            if id.split("/")[0] not in known:
                raise InputError(f"{place}: {id.split('/')[0]!r} is not one of the {len(known)} classes")
            if id in division:
                raise InputError(f"{place}: {id} is listed a second time; a split lists a video once")
            division[id] = side
        taken = {id: side for id, side in division.items() if self.takes(id)}
        if division and not taken:
            raise InputError(f"no video of the official lists in {lists} is one of {self.selection}")
        return taken

    def _used(self, classes: Sequence[str]) -> list[str]:
        for name in self.classes or ():
            if name not in classes:
                raise InputError(f"classes: {unknown('class', name, classes)}")
        return [name for name in classes if self.classes is None or name in self.classes]

    def _lists(self, root: Path) -> Path:
        return first_with(root, self.list_folders, (self.list_pattern,), "official lists")

    def _videos(self, root: Path, classes: Sequence[str]) -> Path:
        return first_with(root, self.video_folders, [f"{name}/" for name in classes], "folders of videos").resolve()
