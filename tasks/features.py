"""Stage one: extracts rows from videos into sealed shards, and fits what that needs."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from data.base import Dataset
from extractors import EXTRACTORS
from extractors.base import Clip, Extractor, FittedNetwork, Labelled
from pipeline.config import one_of
from pipeline.files.atomic import link
from pipeline.files.crash_notes import notes
from pipeline.fingerprint import fingerprint, short_digest
from pipeline.rows import Keys
from tasks import settings
from tasks.base import ConfigParameter, Stage, clear_checkpoints, elsewhere, origin
from tasks.index import AnyDataset, fold, folds, library
from tasks.memory import remembered
from tasks.parts import Part, given_part
from tasks.pretrained_weights import locate_weights, weights_digest
from tasks.rows import ExtractionKeys, extraction_keys, labels, rows_digest, shard_digest, videos_by_id, videos_by_shard

if TYPE_CHECKING:
    AnyExtractor = Extractor
else:
    AnyExtractor = one_of(EXTRACTORS, "extractor")

KEYS = ".keys"
"""Folder in the store of the caches in which the keys of stages' rows are kept."""
MAX_ATTEMPTS = 2
"""Number of times that a shard is tried which fails for a reason of the machine's."""


class ExtractionStage(Stage):
    """Extraction of one data set by one extractor.

    Parameters
    ----------
    dataset : Dataset
        The data set, in JSON.
    extractor : Extractor
        The extractor, in JSON.
    fold : int, optional
        Number of the fold on whose training videos something is fitted; None where nothing is, or for all folds at
        once.
    """

    dataset = ConfigParameter[Dataset](AnyDataset)
    extractor = ConfigParameter[Extractor](AnyExtractor)
    fold = luigi.OptionalIntParameter(default=None)

    @property
    @remembered
    def row_keys(self) -> ExtractionKeys:
        """Fingerprint of the extraction, and keys of its rows."""
        source, extractor, fitting = self.source(), self.extractor, self.fitting()
        inputs = [source.fingerprint] if source else []
        inputs += [stage.fingerprint for stage in fitting.values()]
        inputs += fitting if extractor.serves_all_folds else ()  # the folds' names, which such rows bear
        name = fingerprint("extract", extractor.significant(weights_digest), inputs)
        return extraction_keys(
            library(self.dataset),
            extractor.reads,
            extractor.variants,
            name,
            source and source.row_keys,
            extractor.flow_pictures,
        )

    @property
    def fingerprint(self) -> str:
        return self.row_keys.fingerprint

    @property
    def folder(self) -> Path:
        """Folder of the shards."""
        return settings.dataset_folder(self.dataset) / f"{self.extractor.name}-{self.fingerprint}"

    def source(self) -> "Extract | None":
        """Return the extraction whose rows it reads; None where it reads files."""
        upstream = self.extractor.upstream
        return None if upstream is None else extract(self.dataset, upstream, self.fold)

    def fitting(self) -> "dict[str, FitExtractor | Part]":
        """Return the tasks that fit what it needs, by the name of the fold."""
        if self.extractor.fitted is None:
            return {}
        numbers = range(len(folds(self.dataset))) if self.fold is None else [self.fold]
        return {fold(self.dataset, number).name: self._fit(number) for number in numbers}

    def _fit(self, number: int) -> "FitExtractor | Part":
        given = given_part(self.dataset, "fit", number, self.extractor)
        return given[0] if given else FitExtractor(dataset=self.dataset, extractor=self.extractor, fold=number)

    def origin(self, **more: Any) -> dict[str, Any]:
        source, name = self.source(), self.extractor.name
        inputs = {f"{name}-fit {fold}": stage.fingerprint for fold, stage in self.fitting().items()}
        if source is not None:
            inputs[source.extractor.name] = source.fingerprint
        return origin(self, self.extractor.significant(weights_digest), inputs, **more)


class ExtractShard(ExtractionStage):
    """Extract the rows of the videos in one shard."""

    shard = luigi.IntParameter()
    crashes = 0
    """Number of its processes that crashed in this run while they computed a video."""
    _noted = frozenset[tuple[str, int]]()

    @property
    def title(self) -> str:
        return f"{self.extractor.title} · shard {self.shard + 1} of {library(self.dataset).shards}"

    @property
    def uses_gpu(self) -> bool:
        return self.extractor.uses_gpu

    def requires(self) -> list[Stage]:
        source = self._source_shard()
        return [*self.fitting().values(), *([source] if source else [])]

    @remembered
    def path(self) -> Path:
        return self.folder / f"{self._number()}-{shard_digest(self.row_keys, library(self.dataset), self.shard)}.h5"

    @property
    def extraction(self) -> "Extract":
        """The extraction that this is a shard of."""
        return Extract(dataset=self.dataset, extractor=self.extractor, fold=self.fold)

    @property
    def journal(self) -> Path:
        """Folder of the rows that are computed and not sealed yet."""
        return self.folder / f"journal-{self._number()}"

    @property
    def retry_count(self) -> int:  # type: ignore[override]
        """Number of failures that end it; processes that a video crashed do not count, so that the others go on."""
        return MAX_ATTEMPTS + self.crashes

    def record_death(self) -> list[str]:
        """Return the videos that its process was computing when it died; each crash is counted once."""
        noted = notes(self.journal)
        gained = [video for video, deaths in noted.items() if deaths and (video, deaths) not in self._noted]
        self.crashes, self._noted = self.crashes + len(gained), frozenset(noted.items())
        return gained or [video for video, deaths in noted.items() if not deaths]

    def compute(self) -> None:
        from pipeline.store.fill import fill
        from pipeline.store.journal import Journal
        from pipeline.store.key_cache import shards_by_key

        cache = settings.store() / KEYS / f"{self.folder.name}.json"
        fill(
            self.path(),
            self.videos(),
            self._sources(),
            self._build,
            journal=Journal(self.journal),
            earlier=shards_by_key([*self.elsewhere(), *self.earlier()], cache),
            provenance=lambda: self.provenance(device=self.device()),
            processes=settings.preparers() if self.uses_gpu else 0,
        )

    def videos(self) -> list[Keys]:
        """Return the keys of each of its videos."""
        keys = self.row_keys.keys
        return [keys[video] for video in videos_by_shard(library(self.dataset))[self.shard]]

    def _build(self) -> Any:
        states = {fold: stage.path() for fold, stage in self.fitting().items()}
        extractor = self.extractor.located(locate_weights).build(self.device(), states)
        self.confirm()  # the weights that it has read are those that its rows' keys tell
        return extractor

    def _source_shard(self) -> "ExtractShard | None":
        source = self.source()
        return None if source is None else source.shard(self.shard)

    def _sources(self) -> Callable[[str], AbstractContextManager[Any]]:
        """Given a video id, what the extractor reads: a clip of its file, or the rows it is computed from."""
        shard = self._source_shard()
        if shard is not None:
            from pipeline.training.sequences import RowSources

            return RowSources(shard.path())
        from extractors.clip_sources import ClipSources

        indexed, reads, pattern = library(self.dataset), self.extractor.reads, self.extractor.flow_pictures
        videos = [videos_by_id(indexed)[name] for name in videos_by_shard(indexed)[self.shard]]
        clips = {video.id: Clip(video.files[reads], video.frames, video.span_s, fps=video.fps) for video in videos}
        files = {clip.path for clip in clips.values()}
        flow = None if pattern is None else indexed.flow[pattern].of_files(files)
        return ClipSources(clips, indexed.digests.of_files(files), flow)

    def _number(self) -> str:
        return f"{self.shard:03d}-of-{library(self.dataset).shards:03d}"

    def elsewhere(self) -> list[Path]:
        """Return the same stage's sealed shards in other data sets' folders, which may hold the same rows."""
        return elsewhere(self.folder / "[0-9]*-of-*.h5")

    def earlier(self) -> list[Path]:
        """Return sealed shards that may hold the same rows: those of this number, or of another number of shards."""
        number, dealing = self._number(), f"-of-{library(self.dataset).shards:03d}-"
        names = sorted(glob("[0-9]*-of-*.h5", root_dir=self.folder))  # each shard asks, among hundreds: no paths of all
        return [self.folder / name for name in names if name.startswith(number) or dealing not in name]


class Extract(ExtractionStage):
    """Extract all shards of a stage, and write the index that links them."""

    def requires(self) -> list[ExtractShard]:
        return [self.shard(number) for number in videos_by_shard(library(self.dataset))]

    def shard(self, number: int) -> ExtractShard:
        """Return the task of one shard."""
        return ExtractShard(dataset=self.dataset, extractor=self.extractor, fold=self.fold, shard=number)

    @remembered
    def path(self) -> Path:
        names = [stage.path().name for stage in self.requires()]
        return self.folder / f"index-{short_digest(names)}.h5"

    def complete(self) -> bool:
        linked = (self.folder / "index.h5").resolve() == self.path().resolve()
        return linked and self.path().exists() and all(stage.path().exists() for stage in self.requires())

    def compute(self) -> None:
        from pipeline.store.seal import write_index

        write_index(self.path(), [stage.path() for stage in self.requires()], self.provenance())
        link(self.folder / "index.h5", self.path().name)


class FitExtractor(Stage):
    """Fit what an extractor needs, a network or a projection, to the training videos of a fold.

    Parameters
    ----------
    dataset : Dataset
        The data set, in JSON.
    extractor : Extractor
        The extractor, in JSON.
    fold : int
        Number of the fold.
    """

    dataset = ConfigParameter[Dataset](AnyDataset)
    extractor = ConfigParameter[Extractor](AnyExtractor)
    fold = luigi.IntParameter()

    @property
    def title(self) -> str:
        return f"{self.extractor.title} · fit to {fold(self.dataset, self.fold).name}"

    @property
    def uses_gpu(self) -> bool:
        return self.network.uses_gpu

    @property
    def network(self) -> FittedNetwork:
        """Configuration of the network, or other part of the extractor, that is trained."""
        assert self.extractor.fitted is not None
        return self.extractor.fitted

    def requires(self) -> "list[Extract | FitExtractor]":
        return [self.material, *self.start]

    @property
    def material(self) -> Extract:
        """The extraction whose rows it is fitted to."""
        assert self.extractor.fitted_on is not None
        return extract(self.dataset, self.extractor.fitted_on, self.fold)

    @property
    def start(self) -> "list[FitExtractor]":
        """The task that trains the network from which this training starts, if any."""
        earlier = self.extractor.started_from
        return [FitExtractor(dataset=self.dataset, extractor=earlier, fold=self.fold)] if earlier else []

    @property
    @remembered
    def fingerprint(self) -> str:
        significant, upstream = self._components()
        return fingerprint("fit", significant, upstream.values())

    def origin(self, **more: Any) -> dict[str, Any]:
        return origin(self, *self._components(), **more)

    def path(self) -> Path:
        stage = f"{self.extractor.name}-fit-{self.fingerprint}"
        return settings.dataset_folder(self.dataset) / stage / "network.safetensors"

    def compute(self) -> None:
        from pipeline.store import Store
        from pipeline.training.sequences import StoredRows
        from pipeline.training.weights_file import save_network

        indexed, device = library(self.dataset), self.device()
        rows = StoredRows(Store(self.material.path()), fold(self.dataset, self.fold).train)
        videos = [video for video, _ in rows.places]
        classes = len(indexed.listing.classes)
        start = next((stage.path() for stage in self.start), None)
        targets = rows.targets(labels(indexed), classes)
        material = Labelled(rows, targets, classes, videos, start, settings.preparers())
        checkpoint = self.path().with_name("checkpoint.pt")
        network = self.network.located(locate_weights)
        state, curves = network.train(material, device=device, checkpoint=checkpoint)
        save_network(self.path(), state, curves, self.provenance(device=device))
        clear_checkpoints(self.path())

    def _components(self) -> tuple[dict[str, Any], dict[str, str]]:
        source = self.material
        rows, upstream = source.row_keys, source.extractor.name
        trained_on = rows_digest(rows, library(self.dataset), fold(self.dataset, self.fold).train)
        inputs = {upstream: rows.fingerprint, "train videos": trained_on}
        inputs |= {f"{stage.extractor.name}-fit": stage.fingerprint for stage in self.start}
        return self.network.significant(weights_digest), inputs


def extract(dataset: Dataset, extractor: Extractor, number: int | None) -> Extract:
    """Return the extraction of a data set; where nothing is fitted it is the same for every protocol and split."""
    if extractor.serves_all_folds:
        return Extract(dataset=dataset, extractor=extractor, fold=None)
    if depends_on_split(extractor):
        return Extract(dataset=dataset, extractor=extractor, fold=number)
    return Extract(dataset=dataset.without_protocol(), extractor=extractor, fold=None)


def depends_on_split(extractor: Extractor | None) -> bool:
    """Return whether the rows depend on anything that is fitted on training videos."""
    return extractor is not None and (extractor.fitted is not None or depends_on_split(extractor.upstream))
