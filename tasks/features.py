"""Stage one: videos to rows in sealed shards, and whatever has to be fitted for that."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from data.base import Dataset
from extractors import EXTRACTORS
from extractors.base import Clip, Extractor, FittedNetwork, Labelled
from extractors.weights import locate
from pipeline.atomic import link
from pipeline.attempts import notes
from pipeline.config import one_of
from pipeline.content import Digests
from pipeline.errors import InputError
from pipeline.fingerprint import fingerprint, row_key, short_digest
from pipeline.keys import Keys
from tasks import settings
from tasks.base import ConfigParameter, Stage, origin
from tasks.index import AnyDataset, Library, fold, library

if TYPE_CHECKING:
    AnyExtractor = Extractor
else:
    AnyExtractor = one_of(EXTRACTORS, "extractor")

ATTEMPTS = 2
"""A shard that fails for a reason of the machine's is tried so often."""


@dataclass(frozen=True, eq=False)
class Keyed:
    """What an extraction makes: its fingerprint, and by video id the keys of the rows, in the library's order."""

    fingerprint: str
    keys: dict[str, Keys]


class ExtractionStage(Stage):
    """One extractor over one data set; ``fold`` numbers the split where something is fitted on it, else it is None."""

    dataset = ConfigParameter[Dataset](AnyDataset)
    extractor = ConfigParameter[Extractor](AnyExtractor)
    fold = luigi.OptionalIntParameter(default=None)

    @property
    def keyed(self) -> Keyed:
        """Fingerprint and row keys."""
        return keyed(self.dataset, self.extractor, self.fold)

    @property
    def fingerprint(self) -> str:
        return self.keyed.fingerprint

    @property
    def folder(self) -> Path:
        """Where the shards are."""
        return settings.store() / self.dataset.store_name / f"{self.extractor.name}-{self.fingerprint}"

    def fitting(self) -> "list[Stage]":
        """What must be fitted first."""
        if self.extractor.fitted is None:
            return []
        return [FitExtractor(dataset=self.dataset, extractor=self.extractor, fold=self.fold)]

    def origin(self, **more: Any) -> dict[str, Any]:
        inputs = {f"{self.extractor.name}-fit": stage.fingerprint for stage in self.fitting()}
        if self.extractor.upstream is not None:
            upstream = keyed(self.dataset, self.extractor.upstream, self.fold)
            inputs[self.extractor.upstream.name] = upstream.fingerprint
        return origin(self, self.extractor.significant(weights_digest), inputs, **more)


class ExtractShard(ExtractionStage):
    """The rows of the videos dealt to one shard."""

    shard = luigi.IntParameter()
    crashes = 0
    """How many of its processes died, in this run, of a fault with a video in hand."""
    _noted = frozenset[tuple[str, int]]()

    @property
    def uses_gpu(self) -> bool:
        return self.extractor.uses_gpu

    def requires(self) -> list[Stage]:
        source = self._source_shard()
        return [*self.fitting(), *([source] if source else [])]

    def path(self) -> Path:
        return self.folder / f"{self._number()}-{shard_digest(self.keyed, library(self.dataset), self.shard)}.h5"

    @property
    def journal(self) -> Path:
        """The folder of what is computed and not sealed yet."""
        return self.folder / f"journal-{self._number()}"

    @property
    def retry_count(self) -> int:  # type: ignore[override]
        """Failures that end it. Those of processes that a video killed come on top: the others shall go on."""
        return ATTEMPTS + self.crashes

    def blame(self) -> list[str]:
        """The videos that its process, which died, had in hand. Deaths that a fault signed count as crashes, once."""
        noted = notes(self.journal)
        gained = [video for video, deaths in noted.items() if deaths and (video, deaths) not in self._noted]
        self.crashes, self._noted = self.crashes + len(gained), frozenset(noted.items())
        return gained or [video for video, deaths in noted.items() if not deaths]

    def compute(self) -> None:
        from pipeline.shard import fill
        from pipeline.store import Journal

        fill(
            self.path(),
            self.videos(),
            self._sources(),
            self._build,
            journal=Journal(self.journal),
            earlier=self.earlier(),
            provenance=self.origin(device=settings.device()),
        )

    def videos(self) -> list[Keys]:
        """The keys of each of its videos."""
        keys = self.keyed.keys
        return [keys[video] for video in dealt(library(self.dataset))[self.shard]]

    def _build(self) -> Any:
        state = [stage.path() for stage in self.fitting()]
        return self.extractor.located(locate_weights).build(settings.device(), *state)

    def _source_shard(self) -> "ExtractShard | None":
        if self.extractor.upstream is None:
            return None
        return extract(self.dataset, self.extractor.upstream, self.fold).shard(self.shard)

    def _sources(self) -> Callable[[str], Any]:
        """Given a video id, what the extractor reads: a clip of its file, or the rows it is computed from."""
        shard = self._source_shard()
        if shard is not None:
            from pipeline.stored import rows_or_failure

            return rows_or_failure(shard.path())
        indexed = library(self.dataset)
        videos = {video.id: video for video in indexed.listing.videos}

        def clip(video_id: str) -> Clip:
            video = videos[video_id]
            indexed.digests.check(video.files[self.extractor.reads])
            return Clip(video.files[self.extractor.reads], video.frames)

        return clip

    def _number(self) -> str:
        return f"{self.shard:03d}-of-{library(self.dataset).shards:03d}"

    def earlier(self) -> list[Path]:
        """Sealed shards that may hold the same rows: of this number, or from another dealing."""
        number, dealing = self._number(), f"-of-{library(self.dataset).shards:03d}-"
        shards = sorted(self.folder.glob("[0-9]*-of-*.h5"))
        return [path for path in shards if path.name.startswith(number) or dealing not in path.name]


class Extract(ExtractionStage):
    """All shards of a stage, and the index that links them."""

    def requires(self) -> list[ExtractShard]:
        return [self.shard(number) for number in dealt(library(self.dataset))]

    def shard(self, number: int) -> ExtractShard:
        """The task of one shard."""
        return ExtractShard(dataset=self.dataset, extractor=self.extractor, fold=self.fold, shard=number)

    def path(self) -> Path:
        names = [stage.path().name for stage in self.requires()]
        return self.folder / f"index-{short_digest(names)}.h5"

    def complete(self) -> bool:
        linked = (self.folder / "index.h5").resolve() == self.path().resolve()
        return linked and self.path().exists() and all(stage.path().exists() for stage in self.requires())

    def compute(self) -> None:
        from pipeline.store import write_index

        write_index(self.path(), [stage.path() for stage in self.requires()], self.origin())
        link(self.folder / "index.h5", self.path().name)


class FitExtractor(Stage):
    """Train the network of an extractor on the rows of a split's training videos."""

    dataset = ConfigParameter[Dataset](AnyDataset)
    extractor = ConfigParameter[Extractor](AnyExtractor)
    fold = luigi.IntParameter()

    @property
    def uses_gpu(self) -> bool:
        return True

    @property
    def network(self) -> FittedNetwork:
        """What is trained."""
        assert self.extractor.fitted is not None
        return self.extractor.fitted

    def requires(self) -> Extract:
        assert self.extractor.upstream is not None
        return extract(self.dataset, self.extractor.upstream, self.fold)

    @property
    def fingerprint(self) -> str:
        significant, upstream = self._components()
        return fingerprint("fit", significant, upstream.values())

    def origin(self, **more: Any) -> dict[str, Any]:
        return origin(self, *self._components(), **more)

    def path(self) -> Path:
        stage = f"{self.extractor.name}-fit-{self.fingerprint}"
        return settings.store() / self.dataset.store_name / stage / "network.safetensors"

    def compute(self) -> None:
        from pipeline.network_file import save_network
        from pipeline.store import Store
        from pipeline.stored import StoredRows

        indexed, device = library(self.dataset), settings.device()
        rows = StoredRows(Store(self.requires().path()), fold(self.dataset, self.fold).train)
        material = Labelled(rows, rows.labels(labels(indexed)), len(indexed.listing.classes))
        checkpoint = self.path().with_name("checkpoint.pt")
        state, curves = self.network.train(material, device=device, checkpoint=checkpoint)
        save_network(self.path(), state, curves, self.origin(device=device))
        checkpoint.unlink(missing_ok=True)

    def _components(self) -> tuple[dict[str, Any], dict[str, str]]:
        rows, upstream = self.requires().keyed, self.requires().extractor.name
        trained_on = rows_digest(rows, library(self.dataset), fold(self.dataset, self.fold).train)
        return self.network.significant(weights_digest), {upstream: rows.fingerprint, "train videos": trained_on}


def extract(dataset: Dataset, extractor: Extractor, number: int | None) -> Extract:
    """The extraction of a data set; where nothing is fitted it is the same for every protocol and split."""
    if depends_on_split(extractor):
        return Extract(dataset=dataset, extractor=extractor, fold=number)
    return Extract(dataset=dataset.without_protocol(), extractor=extractor, fold=None)


def depends_on_split(extractor: Extractor | None) -> bool:
    """Whether anything that the rows come from is fitted on training videos."""
    return extractor is not None and (extractor.fitted is not None or depends_on_split(extractor.upstream))


def keyed(dataset: Dataset, extractor: Extractor, number: int | None) -> Keyed:
    """Fingerprint and row keys of an extraction."""
    upstream = extractor.upstream and extract(dataset, extractor.upstream, number).keyed
    inputs = [upstream.fingerprint] if upstream else []
    if extractor.fitted is not None:
        inputs.append(FitExtractor(dataset=dataset, extractor=extractor, fold=number).fingerprint)
    name = fingerprint("extract", extractor.significant(weights_digest), inputs)
    return _keyed(library(dataset), extractor.reads, extractor.variants, name, upstream)


@cache
def _keyed(indexed: Library, reads: str, variants: int, name: str, upstream: Keyed | None) -> Keyed:
    keys = {}
    for video in indexed.listing.videos:
        if reads not in video.files:
            raise InputError(f"{video.id} has no {reads} file, but {', '.join(video.files)}; choose another extractor")
        digest = indexed.digests[video.files[reads]]
        sources = upstream.keys[video.id].variants if upstream else ()
        rows = tuple(row_key(name, sources, digest, video.frames, variant) for variant in range(variants))
        keys[video.id] = Keys(video.id, digest, rows)
    return Keyed(name, keys)


@cache
def dealt(indexed: Library) -> dict[int, tuple[str, ...]]:
    """Video ids by shard, for the shards that hold any."""
    shards: dict[int, list[str]] = {}
    for video in indexed.listing.videos:
        shards.setdefault(indexed.shard(video.id), []).append(video.id)
    return {number: tuple(ids) for number, ids in sorted(shards.items())}


@cache
def labels(indexed: Library) -> dict[str, tuple[int, ...]]:
    """Class indices by video id."""
    return {video.id: video.labels for video in indexed.listing.videos}


@cache
def rows_digest(rows: Keyed, indexed: Library, ids: tuple[str, ...]) -> str:
    """12 digits for the rows and labels of some videos: what something that is trained on them depends on."""
    known = labels(indexed)
    return short_digest([indexed.listing.classes, [[rows.keys[video].variants, known[video]] for video in ids]])


@cache
def shard_digest(rows: Keyed, indexed: Library, number: int) -> str:
    """12 digits for the rows that a shard holds."""
    return short_digest([[video, rows.keys[video].variants] for video in dealt(indexed)[number]])


def locate_weights(name: str) -> str:
    """The file of pretrained weights that a configuration names."""
    return str(locate(name, Path(settings.current().weights)))


def weights_digest(name: str) -> str:
    """SHA-256 of such a file, from the store's record of what was hashed before."""
    return _weights_digest(locate_weights(name), settings.store() / "weights.json")


def _weights_digest(path: str, record: Path) -> str:
    file = Path(path).absolute()
    known = Digests.load(record)
    if not known.current([file]):
        known = Digests(known.entries | known.refreshed([file]).entries)
        known.save(record)
    return known[file]
