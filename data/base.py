"""Base class of the data sets, which list videos with labels and subjects, and divide them into folds."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.files.user_input import resolve
from pipeline.rows import is_reserved


@dataclass(frozen=True, slots=True)
class Video:
    """One labelled example: a video or a segment of one.

    Attributes
    ----------
    id : str
        Its path below the root without the extension, unique in the listing, "/" between parts.
    files : Mapping[str, Path]
        Absolute path by modality: "video", "skeleton".
    labels : tuple of int
        Indices into the listing's classes; a single one, except in multi-label data sets.
    subject : str
        The person or group that protocols by subject keep together; "" where there is none.
    frames : tuple of int, or None
        Half-open range of the files' frames, counted from 0; None for all of them.
    """

    id: str
    files: Mapping[str, Path]
    labels: tuple[int, ...]
    subject: str = ""
    frames: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """All videos of a data set, in the order of their ids, and the names of the classes."""

    classes: tuple[str, ...]
    videos: tuple[Video, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """One division into training and test video ids: an official split, a trial, a held-out subject."""

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]


class Dataset(Config):
    """Definition of a data set: which videos it has, their labels, and the protocol that divides them.

    The folder of its files is a setting, not a field: ``data_roots`` in section [kinescope] of luigi.cfg.
    """

    name: str = Field(description="the data set's name, by which a recipe chooses it")
    protocol_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields that only divide the videos, and do not change which videos there are."""
    generated: ClassVar[bool] = False
    """True where ``generate`` makes the files."""

    @property
    def location(self) -> Path | None:
        """Folder of the files, for data sets whose configuration names it; None where a setting does."""
        return None

    @property
    def plain(self) -> "Dataset":
        """Data set whose files these are: itself, unless it divides the videos of another."""
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
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Coarse groups of classes by name, for data sets that publish some."""
        return {}

    def without_protocol(self) -> "Dataset":
        """Return the same videos with the default protocol, on which stages that know no split depend."""
        return type(self).model_validate(self.model_dump(exclude=set(self.protocol_fields)))

    def notes(self, listing: Listing) -> tuple[str, ...]:
        """Return sentences for readers of results: how the videos and folds at hand differ from those published."""
        return ()

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


def contained(root: Path, relative: str) -> Path:
    """Return ``root / relative`` as an absolute path that lies below the root.

    Raises
    ------
    InputError
        Where the path leaves the root, or no file can have it.

    Examples
    --------
    >>> contained(Path("/data/kth"), "walking/person01_walking_d1.avi").name
    'person01_walking_d1.avi'
    >>> contained(Path("/data/kth"), "../ucf101")
    Traceback (most recent call last):
    pipeline.errors.InputError: '../ucf101' leaves the data root /data/kth; paths in lists must stay below it
    """
    path = resolve(root / relative)
    if Path(relative).is_absolute() or not path.is_relative_to(resolve(root)):
        raise InputError(f"{relative!r} leaves the data root {root}; paths in lists must stay below it")
    return path


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
        if any(part in ("", ".", "..") or is_reserved(part) for part in video.id.split("/")):
            raise InputError(f"video id {video.id!r}: no part may be empty, '.', '..', 'reason' or 'variant-<n>'")
        if not _is_unicode(video.id):
            raise InputError(f"video id {video.id!r}: the file's name is not in UTF-8, as is needed; rename the file")
    for first, second in pairwise(ordered):
        if first.id == second.id:
            raise InputError(f"video id {first.id!r} occurs twice: {first.files} and {second.files}")
    return tuple(ordered)


def _is_unicode(name: str) -> bool:
    """Return whether a file's name is text; bytes that are none become half characters."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
