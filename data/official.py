"""Reading of official lists, and search for the files that they name; base class of sets with three splits."""

import os
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field

from data.base import Dataset, Fold, Listing, Video, by_id, video_id
from data.files import Finder, is_dangling, is_file, visible
from data.modality import VIDEO_ENDINGS
from data.protocols import Side, divided
from data.remarks import remark
from pipeline.errors import InputError
from pipeline.files.names import by_spelling

LISTED_ENDING = ".avi"
"""Ending of most videos in official lists: of two files of one video, the one that has it is taken."""


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
    """

    protocol_fields: ClassVar[frozenset[str]] = frozenset({"split"})
    video_folders: ClassVar[tuple[str, ...]]
    list_folders: ClassVar[tuple[str, ...]]
    list_pattern: ClassVar[str]

    split: Literal[1, 2, 3, "all"] = Field(1, description="number of the official split, or all three, a fold each")
    present_only: bool = Field(False, description="use the videos that are there, instead of requiring all of them")

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
            Where videos are missing, which it counts, or a list is malformed.
        """
        root = root.resolve()
        lists = self._lists(root)
        classes = self.class_names(lists)
        folder = self._videos(root, classes)
        files, remarks = one_each(videos_in(folder, classes))
        ids, links = required(self._division(lists, classes, 1), files, folder, self.present_only)
        there = {video_id.split("/")[0] for video_id in ids}
        kept = tuple(name for name in classes if name in there)
        labels = {name: (label,) for label, name in enumerate(kept)}
        return Listing(
            kept,
            by_id(Video(id, {"video": files[id]}, labels[id.split("/")[0]], self.source(id)) for id in ids),
            (*remarks, *links),
        )

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
        return division

    def _lists(self, root: Path) -> Path:
        return first_with(root, self.list_folders, (self.list_pattern,), "official lists")

    def _videos(self, root: Path, classes: Sequence[str]) -> Path:
        return first_with(root, self.video_folders, [f"{name}/" for name in classes], "folders of videos").resolve()


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines of a list that are not blank, stripped, each after its place "<file>, line <n>".

    Raises InputError where the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; this official list is needed") from None
    except UnicodeDecodeError as error:
        if b"\0" not in error.object:
            raise InputError(f"{path}: not UTF-8 ({error}); save it anew, as UTF-8") from None
        text = "\0"
    if "\0" in text:
        raise InputError(f"{path}: not a text file; the official list is needed")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}, line {number}", line.strip()


def files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of each file in a folder that is not hidden, and of each link that leads nowhere, by name.

    There are none without such a folder. Raises InputError where it cannot be read.
    """
    if os.path.isdir(folder):
        yield from ((entry.name, folder / entry.name) for entry in visible(folder) if is_file(entry))


def videos_in(root: Path, folders: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Yield name ("<folder>/<stem>", as it is on the disk) and path of each video in some folders below a root."""
    finder = Finder()
    for folder in folders:
        for name, path in files_in(finder.find(root / folder)):
            stem, ending = os.path.splitext(name)
            if ending.lower() in VIDEO_ENDINGS:
                yield Path(folder, stem).as_posix(), path


def one_each(found: Iterable[tuple[str, Path]]) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Choose one file of each video by name, found by id however its name is spelt, and remark on the others.

    The file with the ending of the lists is taken, or else the first by name; a link that leads nowhere comes last.
    """
    every: dict[str, list[Path]] = {}
    for name, path in found:
        every.setdefault(name, []).append(path)
    ranked = {name: sorted(paths, key=_preference) if len(paths) > 1 else paths for name, paths in every.items()}
    others = [f"{path} beside {first.name}" for first, *rest in ranked.values() for path in rest]
    one, several = "file is left out, as another is the same video", "files are left out, as others are the same videos"
    spelt = by_spelling({name: paths[0] for name, paths in ranked.items()})
    return {video_id(name): path for name, path in spelt.items()}, remark(others, one, several)


def _preference(path: Path) -> tuple[bool, bool, Path]:
    return is_dangling(path), path.suffix.lower() != LISTED_ENDING, path


def required(
    wanted: Collection[str], files: Mapping[str, Path], root: Path, present_only: bool
) -> tuple[list[str], tuple[str, ...]]:
    """Return the wanted ids that have files, and remark on links that lead nowhere where these are left out.

    Parameters
    ----------
    wanted : Collection of str
        Ids of the official lists.
    files : Mapping of str
        Files by id.
    root : Path
        Folder of the files, for messages.
    present_only : bool
        Accept that some are missing, among them links that lead nowhere: else such a link is a file that fails.

    Raises
    ------
    InputError
        Where ids are missing, which it counts, and ``present_only`` does not accept that, or where all are.

    Examples
    --------
    >>> required(["a", "b"], {"b": Path("videos/b.avi")}, Path("videos"), present_only=True)
    (['b'], ())
    """
    found = [id for id in wanted if id in files]
    dangling = frozenset(id for id in found if is_dangling(files[id])) if present_only else frozenset()
    there = [id for id in found if id not in dangling]
    if not wanted:
        raise InputError(f"the official lists for {root} are empty; they must name its videos")
    if not there or (len(there) < len(wanted) and not present_only):
        taken = frozenset(there)
        missing = [id for id in wanted if id not in taken]
        hint = "; present_only = true uses those that are there" if there else ""
        raise InputError(f"{len(missing)} of {len(wanted)} files are missing in {root}, such as {missing[0]}{hint}")
    links = [id for id in found if id in dangling]
    return there, remark(links, "link leads nowhere, and is left out", "links lead nowhere, and are left out")


def unlike_published(kind: str, listing: Listing, videos: int, classes: int) -> tuple[str, ...]:
    """Note the numbers of videos and classes, where they are not those published.

    Parameters
    ----------
    kind : str
        The data set's word for its classes.
    listing : Listing
        The videos at hand.
    videos, classes : int
        The published numbers.
    """
    if (len(listing.videos), len(listing.classes)) == (videos, classes):
        return ()
    found = f"{len(listing.videos):,} videos of {len(listing.classes)} {kind}"
    return (f"{found} are present; {videos:,} of {classes} were published.",)


def first_with(root: Path, folders: Sequence[str], patterns: Sequence[str], what: str) -> Path:
    """Return the first folder below the root in which a pattern matches. Raises InputError where none does."""
    for folder in folders:
        if any(any((root / folder).glob(pattern)) for pattern in patterns):
            return root / folder
    places = ", ".join(str(root / folder) for folder in folders)
    raise InputError(f"no {what} ({patterns[0]} …) in any of {places}")
