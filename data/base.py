"""Base class of the data sets, which list videos with labels and subjects, and divide them into folds."""

import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from data.publication import Publication
from pipeline.config import WithoutAdded
from pipeline.errors import InputError
from pipeline.files.names import printable
from pipeline.rows import is_reserved

_LOOKS_ESCAPED = re.compile(r"\\(?=x[0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class Video:
    """One labelled example: a video or a segment of one.

    Attributes
    ----------
    id : str
        Its path below the root without the extension, as ``video_id`` writes it, unique in the listing.
    files : Mapping[str, Path]
        Absolute path by modality: "video", "skeleton". A video is a file or a folder of numbered pictures.
    labels : tuple of int
        Indices into the listing's classes; a single one, except in multi-label data sets.
    subject : str
        The person or group that protocols by subject keep together; "" where there is none.
    frames : tuple of int, or None
        Half-open range of the files' frames, counted from 0; None for all of them.
    span_s : tuple of float, or None
        Instead of that, half-open range of times in seconds from the video's first frame on; None for all of it.
    fps : float, or None
        Of a folder of pictures, how many are shown in a second; None for a file, which says it itself.
    """

    id: str
    files: Mapping[str, Path]
    labels: tuple[int, ...]
    subject: str = ""
    frames: tuple[int, int] | None = None
    span_s: tuple[float, float] | None = None
    fps: float | None = None

    @property
    def part(self) -> tuple[int, int] | tuple[float, float] | None:
        """Part of the file that it is: frames, or seconds, which are floats."""
        return self.span_s or self.frames

    @property
    def whole(self) -> str:
        """Id of the film of which it is a window, which stands before the window in its id; else its own."""
        return self.id if self.span_s is None else self.id.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Listing:
    """All videos of a data set, in the order of their ids, and the names of the classes.

    Attributes
    ----------
    classes : tuple of str
        Names of the classes.
    videos : tuple of Video
        The videos.
    remarks : tuple of str
        Sentences on what was left out, or taken otherwise than it is written; names of files in them are made
        printable.
    """

    classes: tuple[str, ...]
    videos: tuple[Video, ...]
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "remarks", tuple(map(printable, self.remarks)))


@dataclass(frozen=True, slots=True)
class Fold:
    """One division into training and test video ids: an official split, a trial, a held-out subject."""

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]


class Dataset(WithoutAdded):
    """Definition of a data set: which videos it has, their labels, and the protocol that divides them.

    The folder of its files is a setting, not a field: ``data_roots`` in section [kinescope] of luigi.cfg.
    """

    name: str = Field(description="the data set's name, by which a recipe chooses it")
    publication: ClassVar[Publication]
    """Where it is had."""
    protocol_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields that only divide the videos, and do not change which videos there are."""
    generated: ClassVar[bool] = False
    """True where ``generate`` makes the files."""
    fetchable: ClassVar[bool] = False
    """True where ``fetch`` downloads the files, as the publisher allows."""

    @property
    def location(self) -> Path | None:
        """Folder of the files, for data sets whose configuration names it; None where a setting does."""
        return None

    @property
    def plain(self) -> "Dataset":
        """Data set whose files these are: itself, unless it divides the videos of another."""
        return self

    @property
    def training(self) -> "Dataset":
        """Data set of what is fitted to its training videos: itself, unless it only tests others of them."""
        return self

    @property
    def divided_by_user(self) -> bool:
        """True where the user decides which videos train, so that a class without any is a mistake to mend."""
        return False

    @property
    def store_name(self) -> str:
        """Beginning of the name of its folder in the store; data sets that list different videos have different ones.

        The digest of the root follows, except where the files are generated.
        """
        return self.name

    @property
    def former_store_name(self) -> str:
        """Whole name of the folder in stores of before, which named no root."""
        return self.store_name

    @property
    def as_present(self) -> "Dataset":
        """Data set that lists the same videos where no others are there, whatever else may choose them.

        So the fingerprint of a report knows it, in which the videos stand by what was computed of them.
        """
        return self

    @property
    def pictures_fps(self) -> float | None:
        """Frames a second of its videos that are folders of pictures; None where it has none of these."""
        return None

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Coarse groups of classes by name, for data sets that publish some."""
        return {}

    def without_protocol(self) -> "Dataset":
        """Return the same videos with the default protocol, on which stages that know no split depend."""
        return type(self).model_validate(self.model_dump(exclude=set(self.protocol_fields)))

    def notes(self, listing: Listing) -> tuple[str, ...]:
        """Return sentences for readers of results: how the videos and folds at hand differ from those published."""
        return ()

    @classmethod
    def fetch(cls, root: Path) -> None:
        """Download what is missing below ``root``; only fetchable data sets have anything to download."""

    def generate(self, root: Path) -> None:
        """Make the files below ``root``; only generated data sets have any to make."""

    def generated_files(self, root: Path) -> list[Path]:
        """List the files that ``generate`` makes below ``root``; only generated data sets have any."""
        return []

    @abstractmethod
    def listing(self, root: Path) -> Listing:
        """List the videos below ``root``.

        Raises
        ------
        InputError
            Where files are missing, which it counts, or a list is malformed, whose line it names.
        """

    def split_files(self, root: Path) -> list[Path]:
        """Return the files that ``folds`` reads: all that the division depends on besides the listing."""
        return []

    @abstractmethod
    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        """Divide the videos by the protocol.

        Parameters
        ----------
        root : Path
            Folder of the data set's files, with its official lists.
        listing : Listing
            The videos below ``root``.

        Returns
        -------
        tuple of Fold
            Ids in a fold are ids of the listing, and none is in both halves.

        Raises
        ------
        InputError
            Where a half would be empty.
        """


@lru_cache(maxsize=2**17)  # a listing is made several times in a run
def video_id(name: str) -> str:
    r"""Return the id of a video by its path below the root without the extension: text that every store can hold.

    No two paths have the same id. It is the path itself, but that a byte that is not UTF-8 is written ``\xff``, and so
    is the first letter of a part that a store uses for itself, and a backslash before what looks like such an escape.

    Examples
    --------
    >>> video_id("run/first"), video_id("run/caf\udce9"), video_id("run/reason")
    ('run/first', 'run/caf\\xe9', 'run/\\x72eason')
    """
    parts = printable(_LOOKS_ESCAPED.sub(r"\\x5c", name)).split("/")
    return "/".join(rf"\x{ord(part[0]):x}{part[1:]}" if _is_taken(part) else part for part in parts)


def _is_taken(part: str) -> bool:
    return part in (".", "..") or is_reserved(part)


def by_id(videos: Iterable[Video]) -> tuple[Video, ...]:
    """Sort videos by id.

    Raises
    ------
    InputError
        Where an id occurs twice, or a store could not hold it; the message names the id.

    Examples
    --------
    >>> [video.id for video in by_id([Video("walk/b", {}, (0,)), Video("walk/a", {}, (0,))])]
    ['walk/a', 'walk/b']
    """
    ordered = sorted(videos, key=lambda video: video.id)
    for video in ordered:
        if any(not part or _is_taken(part) for part in video.id.split("/")):
            raise InputError(f"video id {video.id!r}: no part may be empty, '.', '..', 'reason' or 'variant-<n>'")
    for first, second in pairwise(ordered):
        if first.id == second.id:
            raise InputError(f"video id {first.id!r} occurs twice: {first.files} and {second.files}")
    return tuple(ordered)
