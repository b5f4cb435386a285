"""Reading of official lists, and search for the files that they name."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from data.base import Listing, video_id
from data.files import Finder, is_dangling, is_file, visible
from data.modality import VIDEO_ENDINGS
from data.publication import Publication
from data.remarks import remark
from pipeline.errors import InputError
from pipeline.files.names import by_spelling

LISTED_ENDING = ".avi"
"""Ending of most videos in official lists: of two files of one video, the one that has it is taken."""


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


def unlike_published(kind: str, listing: Listing, published: Publication) -> tuple[str, ...]:
    """Note the numbers of videos and classes, where they are not those published.

    Parameters
    ----------
    kind : str
        The data set's word for its classes.
    listing : Listing
        The videos that are used.
    published : Publication
        The published numbers.
    """
    if (len(listing.videos), len(listing.classes)) == (published.videos, published.classes):
        return ()
    found = f"{len(listing.videos):,} videos of {len(listing.classes)} {kind}"
    return (f"{found} are used; {published.videos:,} of {published.classes} were published.",)


def first_with(root: Path, folders: Sequence[str], patterns: Sequence[str], what: str) -> Path:
    """Return the first folder below the root in which a pattern matches. Raises InputError where none does."""
    for folder in folders:
        if any(any((root / folder).glob(pattern)) for pattern in patterns):
            return root / folder
    places = ", ".join(str(root / folder) for folder in folders)
    raise InputError(f"no {what} ({patterns[0]} …) in any of {places}")
