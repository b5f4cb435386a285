"""HMDB-51: 6,766 videos of 51 actions."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from data.base import video_id
from data.official import read_lines
from data.protocols import Side
from data.publication import Publication
from data.three_splits import Entry, ThreeSplits
from pipeline.errors import InputError

_FIRST_LIST = re.compile(r"(?P<name>\w+)_test_split1\.txt")
_VIDEO = re.compile(r"(?P<stem>[^/\\]+)\.\w+\s+(?P<side>[012])")
_SIDES: dict[str, Side] = {"0": "unused", "1": "train", "2": "test"}


class HMDB51(ThreeSplits):
    """HMDB-51 data set: 6,766 videos of 51 actions, with three official splits.

    The folders of the classes lie in hmdb51_org/ or videos/ below the root, or in the root itself; the lists
    <class>_test_split1.txt and so on in testTrainMulti_7030_splits/, splits/ or the root itself. Each split trains on
    70 videos of each class, tests 30 and leaves out the rest. Subjects are the films and clips that a class's videos
    were cut from.

    A recipe may use some ``classes`` alone.

    References
    ----------
    Kuehne, Jhuang, Garrote, Poggio and Serre, "HMDB: A Large Video Database for Human Motion Recognition", ICCV 2011.
    """

    name: Literal["hmdb51"] = "hmdb51"
    publication: ClassVar[Publication] = Publication(
        title="HMDB-51",
        homepage="https://serre.lab.brown.edu/hmdb51.html",
        access="Download HMDB51, a RAR archive of one RAR archive a class, and its three splits from the publisher's "
        "page, and unpack all of them (by unrar or 7-Zip) into one folder.",
        licence="Creative Commons Attribution 4.0",
        size="about 2 GB",
        videos=6_766,
        classes=51,
    )
    video_folders: ClassVar[tuple[str, ...]] = ("hmdb51_org", "videos", ".")
    list_folders: ClassVar[tuple[str, ...]] = ("testTrainMulti_7030_splits", "splits", ".")
    list_pattern: ClassVar[str] = "*_test_split1.txt"

    def class_names(self, lists: Path) -> tuple[str, ...]:
        matches = (_FIRST_LIST.fullmatch(file.name) for file in lists.glob(self.list_pattern))
        return tuple(sorted(match["name"] for match in matches if match))

    def entries(self, lists: Path, classes: Sequence[str], split: int) -> Iterator[Entry]:
        for name in classes:
            for place, line in read_lines(lists / f"{name}_test_split{split}.txt"):
                match = _VIDEO.fullmatch(line)
                if not match:
                    raise InputError(f"{place}: {line!r}; a line is <video>.avi and 1 (train), 2 (test) or 0 (neither)")
                yield Entry(place, video_id(f"{name}/{match['stem']}"), _SIDES[match["side"]])

    def source(self, video_id: str) -> str:
        # <source>_<class>_<visible body>_<camera>_np<people>_<viewpoint>_<quality>_<number>
        name, stem = video_id.split("/")
        return f"{name}/{stem.rsplit(f'_{name}_', 1)[0]}"

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """The five types of actions that the paper distinguishes, with their classes."""
        return {group: tuple(names.split()) for group, names in _GROUPS.items()}


_GROUPS = {
    "facial actions": "chew laugh smile talk",
    "facial actions with object": "drink eat smoke",
    "body movements": (
        "cartwheel clap climb climb_stairs dive fall_floor flic_flac handstand jump pullup pushup run sit situp "
        "somersault stand turn walk wave"
    ),
    "body movements with object": (
        "brush_hair catch draw_sword dribble golf hit kick_ball pick pour push ride_bike ride_horse shoot_ball "
        "shoot_bow shoot_gun swing_baseball sword_exercise throw"
    ),
    "body movements with human": "fencing hug kick kiss punch shake_hands sword",
}
