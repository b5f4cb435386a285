"""Indexes data sets: their videos and the digests of their files, on which everything else depends."""

import logging
from collections.abc import Hashable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from data import DATASETS
from data.base import Dataset, Fold, Listing
from data.everything import Everything
from data.given import Given
from data.trained import Trained
from data.validation import Validation
from extractors.base import Extractor
from pipeline.config import one_of
from pipeline.errors import DamagedStore, InputError
from pipeline.files.atomic import write_text
from pipeline.files.digests import Digests
from pipeline.files.user_input import brief, read_json
from tasks import settings
from tasks.base import ConfigParameter, Root
from tasks.library import Library, changes, flow_digests
from tasks.snapshot import held, snapshot

_IN_RECIPES = DATASETS | {"validation": Validation}
if TYPE_CHECKING:
    RecipeDataset = Dataset
    AnyDataset = Dataset
else:
    RecipeDataset = one_of(_IN_RECIPES, "data set")
    AnyDataset = one_of(_IN_RECIPES | {"everything": Everything, "given": Given, "trained": Trained}, "data set")
MAX_OVERFULL = 4
"""Mean number of videos in a shard, in shard sizes, beyond which videos are distributed over more shards."""


class Patterns(luigi.ListParameter):  # type: ignore[type-arg]
    """Patterns of pictures of flow; on the command line they are JSON."""

    def parse(self, text: str) -> Any:
        patterns = read_json(text, "a list of patterns")
        if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
            raise InputError(f"patterns in JSON are needed, such as '[\"flow_{{x,y}}_*.jpg\"]', not {brief(text)}")
        return tuple(patterns)


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
    flow : tuple of str
        Patterns of pictures of flow that lie ready, which are indexed, too; what is known of others is kept as it is.
    """

    dataset = ConfigParameter[Dataset](AnyDataset, description="the data set, in JSON")
    verify = luigi.BoolParameter(default=False, description="hash every file again")
    flow = Patterns(default=(), description="patterns of pictures of flow that lie ready, in JSON")
    _verified = False

    def requires(self) -> list[luigi.Task]:
        return [Generate(dataset=self.dataset)] if self.dataset.generated else []

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(str(manifest(self.dataset)))

    def up_to_date(self) -> bool:
        if not all(task.complete() for task in self.requires()) or not manifest(self.dataset).exists():
            return False
        try:
            known = library(self.dataset)
        except DamagedStore as error:
            logging.getLogger("luigi-interface").warning(str(error))
            return False
        listed = self.dataset.listing(settings.data_root(self.dataset))
        current = known.listing == listed and known.digests.current(_files(listed))
        flow = [known.flow.get(pattern) for pattern in self.flow]
        current = current and all(digests is not None and digests.current(_videos(listed)) for digests in flow)
        return current and (self._verified or not self.verify)

    def run(self) -> None:
        with settings.exclusive(manifest(self.dataset)):
            _take_over(self.dataset)
            surveyed = self.survey()
            surveyed.save(manifest(self.dataset))
        for remark in surveyed.listing.remarks:
            logging.getLogger("luigi-interface").warning(f"{self.dataset.name}: {remark}")
        self._verified = True

    def survey(self) -> Library:
        """Return the data set as it is now, as ``run`` saves it; files that changed are hashed."""
        listing = self.dataset.listing(settings.data_root(self.dataset))
        known = _known(manifest(self.dataset))
        digests = (known.digests if known else Digests({})).refreshed(_files(listing), rehash=self.verify)
        return Library(listing, digests, _shards(len(listing.videos), known), self._flow(listing, known))

    def _flow(self, listing: Listing, known: Library | None) -> dict[str, Digests]:
        """Return the digests of pictures of flow: of its own patterns as they are now, of others as they were known.

        What reads the others checks them. Where all is hashed again, they are, too; one that names none any more is
        left out then.
        """
        found = dict(known.flow) if known else {}
        for pattern in sorted({*found, *self.flow} if self.verify else self.flow):
            earlier = found.pop(pattern, None) or flow_digests(pattern, {})
            try:
                found[pattern] = earlier.refreshed(_videos(listing), rehash=self.verify)
            except InputError:
                if pattern in self.flow:
                    raise
        return dict(sorted(found.items()))


def index(dataset: Dataset, extractors: Iterable[Extractor]) -> Index:
    """Return the task that indexes a data set, with the pictures of flow that lie ready for some extractors."""
    patterns = {extractor.flow_pictures for each in extractors for extractor in _with_sources(each)}
    return Index(dataset=dataset.without_protocol(), flow=tuple(sorted(filter(None, patterns))))


def _with_sources(extractor: Extractor | None) -> Iterator[Extractor]:
    """Yield an extractor, and those that it, or what is fitted for it, is computed from."""
    if extractor is not None:
        yield extractor
        for source in (extractor.upstream, extractor.fitted_on, extractor.started_from):
            yield from _with_sources(source)


def library(dataset: Dataset) -> Library:
    """Return the indexed data set, as the snapshot around the call holds it.

    It is read once in a process, and again when its manifest is replaced.
    """
    path = manifest(dataset)
    return held(path, partial(_read, path, dataset.name), changes)


def as_if_indexed(dataset: Dataset, survey: Library) -> AbstractContextManager[None]:
    """Let the data set count as indexed like ``survey`` within the block, to predict a run; nothing is written."""
    return snapshot({manifest(dataset): survey})


def fold(dataset: Dataset, number: int) -> Fold:
    """Return one fold of the indexed videos, by the data set's protocol."""
    return folds(dataset)[number]


def folds(dataset: Dataset) -> tuple[Fold, ...]:
    """Return all folds of the indexed videos, by the data set's protocol, as the snapshot around the call holds them.

    They are divided once in a process, and again when the manifest, or a file that says how, is replaced.
    """
    indexed, root = library(dataset), settings.data_root(dataset)

    def divide() -> tuple[Fold, ...]:
        return _folds(dataset, root, indexed, tuple(map(_stamp, dataset.split_files(root))))

    return held((dataset, root, indexed), divide, partial(_other_folds, dataset.name))


@lru_cache
def _folds(dataset: Dataset, root: Path, indexed: Library, _: Hashable) -> tuple[Fold, ...]:
    return dataset.folds(root, indexed.listing)


def _stamp(path: Path) -> Hashable:
    """Return what changes with a file's content; a missing one is left to who reads it."""
    try:
        found = path.stat()
    except OSError:
        return path, None
    return path, found.st_size, found.st_mtime_ns, found.st_ino


def _other_folds(name: str, old: tuple[Fold, ...], new: tuple[Fold, ...]) -> Iterator[str]:
    for before, now in zip_longest(old, new):
        if before != now:
            yield f"{name}: {(now or before).name} has other videos"


def manifest(dataset: Dataset) -> Path:
    """Return the file that ``Index`` makes."""
    return settings.dataset_folder(dataset) / "index.json"


def _read(path: Path, name: str) -> Library:
    try:
        return _loaded(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        raise InputError(f"{name} is not indexed yet; run Index, or Evaluate, which indexes first") from None


@lru_cache
def _loaded(path: Path, mtime_ns: int) -> Library:
    return Library.load(path)


def _known(path: Path) -> Library | None:
    """Return what a manifest holds; None, with a warning where it is damaged, where there is none to use."""
    try:
        return Library.load(path)
    except FileNotFoundError:
        return None
    except DamagedStore as error:
        logging.getLogger("luigi-interface").warning(str(error))
        return None


def _take_over(dataset: Dataset) -> None:
    """Give the folder that earlier versions made for the same root its name of now: once, as it then is there."""
    folder, former = settings.dataset_folder(dataset), settings.store() / dataset.former_store_name
    if folder.exists() or former.is_symlink() or (known := _known(former / "index.json")) is None:
        return
    root = settings.data_root(dataset)
    if any(Path(file).is_relative_to(each) for file in known.digests.entries for each in (root, root.resolve())):
        former.rename(folder)


def _files(listing: Listing) -> list[Path]:
    return [
        Path(path) for path in dict.fromkeys(str(path) for video in listing.videos for path in video.files.values())
    ]


def _videos(listing: Listing) -> list[Path]:
    return list(dict.fromkeys(video.files["video"] for video in listing.videos if "video" in video.files))


def _shards(videos: int, known: Library | None) -> int:
    size = settings.current().shard_size
    if known is not None and videos <= MAX_OVERFULL * size * known.shards:
        return known.shards
    return -(-videos // size)
