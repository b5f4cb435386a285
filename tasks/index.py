"""Indexes data sets: their videos and the digests of their files, on which everything else depends."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import luigi

from data import DATASETS
from data.base import Dataset, Fold, Listing, Video
from data.validation import Validation
from pipeline.config import one_of
from pipeline.errors import InputError
from pipeline.files.atomic import quarantine, write_text
from pipeline.files.digests import Digests
from tasks import settings
from tasks.base import ConfigParameter, Root

if TYPE_CHECKING:
    AnyDataset = Dataset
else:
    AnyDataset = one_of(DATASETS | {"validation": Validation}, "data set")
MAX_OVERFULL = 4
"""Mean number of videos in a shard, in shard sizes, beyond which videos are distributed over more shards."""
_FORESEEN: "dict[Path, Library]" = {}


@dataclass(frozen=True, eq=False)
class Library:
    """Indexed data set: its videos, the digests of their files, and their distribution over shards.

    Attributes
    ----------
    listing : Listing
        Videos and classes.
    digests : Digests
        Digest, size and time of each file.
    shards : int
        Number of shards.
    """

    listing: Listing
    digests: Digests
    shards: int

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote. A damaged file is set aside, and DamagedStore raised."""
        try:
            table = json.loads(path.read_text())
        except ValueError as error:
            quarantine(path, error)
        videos = tuple(_video(entry) for entry in table["videos"])
        return cls(Listing(tuple(table["classes"]), videos), Digests.of(table["files"]), table["shards"])

    def save(self, path: Path) -> None:
        """Write the manifest atomically."""
        videos = [{**asdict(video), "files": _names(video)} for video in self.listing.videos]
        known = {"classes": self.listing.classes, "videos": videos, "files": self.digests.entries}
        write_text(path, json.dumps({**known, "shards": self.shards}))

    def shard(self, video_id: str) -> int:
        """Return the number of a video's shard, by a hash of its id, so that an insertion moves no other video."""
        return int.from_bytes(hashlib.blake2b(video_id.encode(), digest_size=8).digest()) % self.shards


def _names(video: Video) -> dict[str, str]:
    return {modality: str(path) for modality, path in video.files.items()}


def _video(entry: dict[str, Any]) -> Video:
    files = {modality: Path(path) for modality, path in entry["files"].items()}
    frames = tuple(entry["frames"]) if entry["frames"] else None
    return Video(entry["id"], files, tuple(entry["labels"]), entry["subject"], frames)


class Generate(Root):
    """Generate the files of a generated data set.

    Parameters
    ----------
    dataset : Dataset
        The data set, in JSON.
    """

    dataset = ConfigParameter[Dataset](AnyDataset)

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(str(settings.data_root(self.dataset) / "complete"))

    def up_to_date(self) -> bool:
        return bool(self.output().exists())

    def run(self) -> None:
        root = settings.data_root(self.dataset)
        with settings.exclusive(root):
            self.dataset.generate(root)
        write_text(root / "complete", self.dataset.canonical())


class Index(Root):
    """Index a data set: write a manifest, which holds while the same files have the same sizes and times.

    Parameters
    ----------
    dataset : Dataset
        The data set, in JSON.
    verify : bool
        Hash every file again.
    """

    dataset = ConfigParameter[Dataset](AnyDataset, description="the data set, in JSON")
    verify = luigi.BoolParameter(default=False, description="hash every file again")
    _verified = False

    def requires(self) -> list[luigi.Task]:
        return [Generate(dataset=self.dataset)] if self.dataset.generated else []

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(str(manifest(self.dataset)))

    def up_to_date(self) -> bool:
        if not all(task.complete() for task in self.requires()) or not manifest(self.dataset).exists():
            return False
        known = library(self.dataset)
        listed = self.dataset.listing(settings.data_root(self.dataset))
        current = known.listing == listed and known.digests.current(_files(listed))
        return current and (self._verified or not self.verify)

    def run(self) -> None:
        with settings.exclusive(manifest(self.dataset)):
            self.survey().save(manifest(self.dataset))
        self._verified = True

    def survey(self) -> Library:
        """Return the data set as it is now, as ``run`` saves it; files that changed are hashed."""
        listing = self.dataset.listing(settings.data_root(self.dataset))
        known = Library.load(manifest(self.dataset)) if manifest(self.dataset).exists() else None
        digests = (known.digests if known else Digests({})).refreshed(_files(listing), rehash=self.verify)
        return Library(listing, digests, _shards(len(listing.videos), known))


def library(dataset: Dataset) -> Library:
    """Return the indexed data set; it is read once in a process, and again when its manifest is replaced."""
    path = manifest(dataset)
    if path in _FORESEEN:
        return _FORESEEN[path]
    try:
        return _loaded(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        raise InputError(f"{dataset.name} is not indexed yet; run Index, or Evaluate, which indexes first") from None


@contextmanager
def as_if_indexed(dataset: Dataset, survey: Library) -> Iterator[None]:
    """Let the data set count as indexed like ``survey`` within the block, to predict a run; nothing is written."""
    _FORESEEN[manifest(dataset)] = survey
    try:
        yield
    finally:
        del _FORESEEN[manifest(dataset)]


def fold(dataset: Dataset, number: int) -> Fold:
    """Return one fold of the indexed videos, by the data set's protocol."""
    return _folds(dataset, library(dataset))[number]


def folds(dataset: Dataset) -> tuple[Fold, ...]:
    """Return all folds of the indexed videos, by the data set's protocol."""
    return _folds(dataset, library(dataset))


@lru_cache
def _folds(dataset: Dataset, indexed: Library) -> tuple[Fold, ...]:
    return dataset.folds(settings.data_root(dataset), indexed.listing)


def manifest(dataset: Dataset) -> Path:
    """Return the file that ``Index`` makes."""
    return settings.store() / dataset.store_name / "index.json"


@lru_cache
def _loaded(path: Path, mtime_ns: int) -> Library:
    return Library.load(path)


def _files(listing: Listing) -> list[Path]:
    return [
        Path(path) for path in dict.fromkeys(str(path) for video in listing.videos for path in video.files.values())
    ]


def _shards(videos: int, known: Library | None) -> int:
    size = settings.current().shard_size
    if known is not None and videos <= MAX_OVERFULL * size * known.shards:
        return known.shards
    return -(-videos // size)
