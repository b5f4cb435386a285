"""Inputs of a stream's model on one split: stored rows, and the reducers fitted to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from data.base import Dataset
from pipeline.fingerprint import fingerprint
from pipeline.pca.config import PCA
from tasks import settings
from tasks.base import ConfigParameter, Stage, origin
from tasks.experiment import Input
from tasks.features import Extract, extract
from tasks.index import AnyDataset, fold, library
from tasks.memory import remembered
from tasks.parts import Part, given_part
from tasks.pretrained_weights import weights_digest
from tasks.rows import rows_digest

if TYPE_CHECKING:
    from pipeline.store import Store
    from pipeline.training.sequences import Source


@dataclass(frozen=True)
class Reading:
    """One input of a model on one split.

    Attributes
    ----------
    dataset : Dataset
        The data set.
    input : Input
        Extractor and reducer.
    reads : str
        Array of the rows that is read: "features" or "scores".
    fold : int
        Number of the fold.
    name : str
        Name of the input in messages and provenance.
    """

    dataset: Dataset
    input: Input
    reads: str
    fold: int
    name: str = ""

    @property
    def features(self) -> Extract:
        """Extraction that makes the rows."""
        return extract(self.dataset, self.input.extractor, self.fold)

    @property
    def array(self) -> str:
        """Name of the array that is read, in the rows."""
        return self.input.extractor.array(self.reads, fold(self.dataset, self.fold).name)

    def reduction(self) -> "list[FitReducer] | list[Part]":
        """Return the task that fits the reducer, if there is one."""
        if self.input.reducer is None:
            return []
        if given := given_part(self.dataset, "reducer", self.fold, self.input, self.reads):
            return given
        return [FitReducer(dataset=self.dataset, of=self.input, reads=self.reads, fold=self.fold)]

    def rows_digest(self, half: str) -> dict[str, str]:
        """Return the rows' fingerprint, and the digest of rows and labels of a half of the fold, "train" or "test"."""
        rows, ids = self.features.row_keys, getattr(fold(self.dataset, self.fold), half)
        digest = rows_digest(rows, library(self.dataset), ids)
        return {self.input.extractor.name: rows.fingerprint, f"{half} videos": digest}

    def store(self) -> "Store":
        """Open the rows for reading."""
        from pipeline.store import Store

        return Store(self.features.path())

    def source(self, videos: Sequence[str], variants: int | None) -> "Source":
        """Return the reduced sequences of some videos."""
        from pipeline.pca.project import load_reducer, project
        from pipeline.training.sequences import Source, StoredRows

        rows = StoredRows(self.store(), videos, variants=variants)
        fitted = [load_reducer(stage.path()) for stage in self.reduction()]
        reduce = partial(project, fitted[0]) if fitted else lambda features: features
        return Source(self.name, rows, self.array, reduce)


class FitReducer(Stage):
    """Fit the reducer of an input, a PCA, to the training rows of a fold.

    Parameters
    ----------
    dataset : Dataset
        The data set, in JSON.
    of : Input
        Extractor and reducer, in JSON.
    reads : str
        Array of the rows that is read: "features" or "scores".
    fold : int
        Number of the fold.
    """

    dataset = ConfigParameter[Dataset](AnyDataset)
    of = ConfigParameter[Input](Input)
    reads = luigi.Parameter()
    fold = luigi.IntParameter()

    @property
    def reading(self) -> Reading:
        """Rows that it is fitted to."""
        return Reading(self.dataset, self.of, self.reads, self.fold)

    @property
    def reducer(self) -> PCA:
        """Reducer that is fitted."""
        assert self.of.reducer is not None
        return self.of.reducer

    def requires(self) -> Extract:
        return self.reading.features

    @property
    @remembered
    def fingerprint(self) -> str:
        significant, upstream = self._components()
        return fingerprint(self.task_family, list(significant.values()), upstream.values())

    def origin(self, **more: Any) -> dict[str, Any]:
        return origin(self, *self._components(), **more)

    def path(self) -> Path:
        return settings.dataset_folder(self.dataset) / f"pca-{self.fingerprint}" / "reducer.safetensors"

    def compute(self) -> None:
        from pipeline.files.progress import Bar
        from pipeline.pca.project import save_reducer
        from pipeline.training.sequences import StoredRows

        rows, array = StoredRows(self.reading.store(), fold(self.dataset, self.fold).train), self.reading.array
        state = self.reducer.fit(row.arrays[array] for row in Bar(rows, desc="fitting PCA", unit="row"))
        save_reducer(self.path(), state, self.provenance())

    def _components(self) -> tuple[dict[str, Any], dict[str, str]]:
        reducer = self.reducer.significant(weights_digest)
        return {"reducer": reducer, "reads": self.reads}, self.reading.rows_digest("train")
