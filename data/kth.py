"""KTH: 599 videos of six actions, and the 2,391 segments of their list."""

import os
import re
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from data.archives import fetch_archive, fetching, is_interrupted
from data.base import Listing, Video, by_id
from data.official import one_each, read_lines, required, videos_in
from data.protocols import BySubject
from data.publication import Publication
from pipeline.errors import InputError
from pipeline.files.download import download

ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
SEGMENTS_LIST = "00sequences.txt"
MISSING = "person13_handclapping_d3"
"""Video named in the list without frames: it is missing from the published data set."""
RECORDED = tuple(
    stem
    for subject, action, scenario in product(range(1, 26), ACTIONS, range(1, 5))
    if (stem := f"person{subject:02d}_{action}_d{scenario}") != MISSING
)
"""Ids of the 599 videos."""
WHOLE_FRAMES = {"person01_boxing_d4": 304}
"""Whole frames of the video that was published cut off: its header announces 370, and its last segment ends at 370."""

_ENTRY = re.compile(r"person\w+_")
_RANGE = r"\d{1,9}\s*-\s*\d{1,9}"
_LINE = re.compile(
    rf"(?P<id>person\w{{1,40}})\s+(?:frames\s*(?P<ranges>{_RANGE}(?:\s*,\s*{_RANGE})*)?|\*missing\*)", re.IGNORECASE
)

Range = tuple[int, int]


class KTH(BySubject):
    """KTH data set: 599 videos of 25 subjects who perform six actions in four scenarios.

    The scenarios are d1 outdoors, d2 outdoors with changing scale, d3 outdoors in other clothes, d4 indoors. The
    segments of form "kth2" are taken as the list 00sequences.txt gives them, some overlapping or out of order; it must
    lie in the root.

    The files ``person01_boxing_d1_uncomp.avi`` and so on lie in the root itself, or in one folder for each action;
    "_uncomp" may be missing, and the extension may be that of another video format. An id, whatever the folder, is
    ``person01_boxing_d1``, with "/1" and so on for a segment: both layouts have the same folds, and rows in the same
    places.

    person01_boxing_d4 is cut off in the published files: only its 304 whole frames are used, so its last segment is
    shorter than listed. A video with any other range that ends beyond its file is a failure.

    References
    ----------
    Schüldt, Laptev and Caputo, "Recognizing Human Actions: A Local SVM Approach", ICPR 2004.
    """

    name: Literal["kth"] = "kth"
    publication: ClassVar[Publication] = Publication(
        title="KTH",
        homepage="https://www.csc.kth.se/cvap/actions/",
        access="kinescope datasets kth --root FOLDER --fetch downloads it; or download a zip archive for each action "
        "and 00sequences.txt from the publisher's page, and unpack all of them into one folder.",
        licence="non-commercial use, citing the paper",
        size="1.1 GB",
        videos=len(RECORDED),
        classes=len(ACTIONS),
    )
    fetchable: ClassVar[bool] = True
    all_subjects: ClassVar[int] = 25

    form: Literal["kth1", "kth2"] = Field("kth1", description='"kth1": the 599 files; "kth2": their 2,391 segments')
    present_only: bool = Field(False, description="use the videos that are there, instead of requiring all of them")

    @property
    def store_name(self) -> str:
        return f"{self.name}-{self.form.removeprefix('kth')}"

    def listing(self, root: Path) -> Listing:
        """List all videos or segments, or those that are there and their classes.

        Raises
        ------
        InputError
            Where videos are missing, which it counts, or 00sequences.txt is malformed.
        """
        root = root.resolve()
        files, remarks = one_each(_recorded(root))
        stems, links = required(RECORDED, files, root, self.present_only)
        ranges = _segments(root / SEGMENTS_LIST, stems) if self.form == "kth2" else {}
        classes = tuple(sorted({stem.split("_")[1] for stem in stems}))
        videos = []
        for stem in stems:
            subject, action, _ = stem.split("_")
            of_file = {"video": files[stem]}, (classes.index(action),), subject
            if self.form == "kth1":
                videos.append(Video(stem, *of_file, (0, WHOLE_FRAMES[stem]) if stem in WHOLE_FRAMES else None))
            else:
                videos += [Video(f"{stem}/{n}", *of_file, there) for n, there in enumerate(ranges[stem], start=1)]
        return Listing(classes, by_id(videos), (*remarks, *links))

    @classmethod
    def fetch(cls, root: Path) -> None:
        """Download the archives of the actions of which videos are missing, and the list of segments.

        They lie beside the publisher's page. Files that are there stay as they are, a fetch that was killed goes on
        where it was, and of several at once into one folder each waits for the one before.

        Raises
        ------
        InputError
            Where an address does not answer, or an archive is damaged.
        """
        page, segments_list = cls.publication.homepage, root / SEGMENTS_LIST
        if (
            segments_list.exists()
            and not any(_missing(root, action) for action in ACTIONS)
            and not is_interrupted(root)
        ):
            return
        with fetching(root):
            for action in ACTIONS:
                if missing := _missing(root, action):
                    fetch_archive(f"{page}{action}.zip", root, partial(_is_one_of, missing))
            if not segments_list.exists():
                download(f"{page}{SEGMENTS_LIST}", segments_list)

    def notes(self, listing: Listing) -> tuple[str, ...]:
        stems = {video.id.split("/")[0] for video in listing.videos}
        if len(stems) == len(RECORDED):
            return super().notes(listing)
        there = f"Only {len(stems)} of KTH's {len(RECORDED)} videos are present"
        return f"{there}, covering {len(listing.classes)} of its {len(ACTIONS)} actions.", *super().notes(listing)


def _recorded(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield id and path of each file of the data set's videos."""
    known = frozenset(RECORDED)
    for name, path in videos_in(root, (".", *_action_folders(root))):
        if (stem := _stem(name)) in known:
            yield stem, path


def _stem(name: str) -> str:
    """Return the id of a file by its path without the extension."""
    return name.rpartition("/")[2].removesuffix("_uncomp")


def _missing(root: Path, action: str) -> frozenset[str]:
    """Return the ids of an action's videos that are not there."""
    return frozenset(stem for stem in RECORDED if f"_{action}_" in stem) - {stem for stem, _ in _recorded(root)}


def _is_one_of(stems: frozenset[str], name: str) -> bool:
    """Return whether a file of an archive is one of some videos."""
    return _stem(os.path.splitext(name)[0]) in stems


def _action_folders(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("*/") if path.name.lower() in ACTIONS)


def _segments(path: Path, stems: list[str]) -> dict[str, list[Range]]:
    """Return half-open ranges of whole frames, counted from 0. Raises InputError where the list lacks a video."""
    listed = read_segments(path)
    unlisted = [stem for stem in stems if stem not in listed]
    if unlisted:
        raise InputError(
            f"{path}: {len(unlisted)} of {len(stems)} videos have no line, such as {unlisted[0]}; each needs one"
        )
    return {stem: [_clipped(there, WHOLE_FRAMES.get(stem, there[1])) for there in listed[stem]] for stem in stems}


def _clipped(there: Range, whole_frames: int) -> Range:
    start, end = there
    return (start, min(end, whole_frames)) if start < whole_frames else there


def read_segments(path: Path) -> dict[str, list[Range]]:
    """Read the segments of each video from 00sequences.txt.

    In the file, ranges count from 1 and include the last frame. Text before the first video is skipped.

    Returns
    -------
    dict
        Half-open frame ranges counted from 0, in the file's order, by video id; none for ``MISSING``.

    Raises
    ------
    InputError
        Where a line is malformed; it names file and line.
    """
    listed: dict[str, list[Range]] = {}
    for place, line in read_lines(path):
        if not listed and not _ENTRY.match(line):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise InputError(f"{place}: {line[:80]!r}; a line is <video> frames <first>-<last>, <first>-<last> …")
        stem = match["id"]
        if stem not in (*RECORDED, MISSING) or stem in listed:
            fault = "is listed a second time" if stem in listed else f"is none of the videos, such as {RECORDED[0]}"
            raise InputError(f"{place}: {stem!r} {fault}")
        listed[stem] = _ranges(place, match["ranges"] or "")
        if bool(listed[stem]) == (stem == MISSING):
            raise InputError(f"{place}: {line!r}; only {MISSING}, which is missing from KTH, has no frames")
    return listed


def _ranges(place: str, text: str) -> list[Range]:
    bounds = [tuple(map(int, span.split("-"))) for span in text.split(",") if span]
    for first, last in bounds:
        if not 1 <= first <= last:
            raise InputError(
                f"{place}: {first}-{last}; frames are counted from 1, and a range must not end before it begins"
            )
    return [(first - 1, last) for first, last in bounds]
