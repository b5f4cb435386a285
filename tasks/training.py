"""Stage two: sequence models trained on stored rows, and their scores of the test videos."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from data.base import Dataset
from pipeline.fingerprint import fingerprint, short_digest
from pipeline.reducer import PCA
from tasks import settings
from tasks.base import ConfigParameter, Stage, origin
from tasks.experiment import Stream
from tasks.features import Extract, extract
from tasks.index import AnyDataset, fold, library
from tasks.rows import labels, rows_digest
from tasks.weights import weights_digest

if TYPE_CHECKING:
    import numpy as np

PREDICTION_BATCH = 64


class StreamStage(Stage):
    """A step of one stream on one split."""

    dataset = ConfigParameter[Dataset](AnyDataset)
    stream = ConfigParameter[Stream](Stream)
    fold = luigi.IntParameter()

    @property
    def features(self) -> Extract:
        """The rows that the stream reads."""
        return extract(self.dataset, self.stream.extractor, self.fold)

    @property
    def fingerprint(self) -> str:
        significant, upstream = self.components()
        return fingerprint(self.task_family, list(significant.values()), upstream.values())

    def components(self) -> tuple[dict[str, Any], dict[str, str]]:
        """What enters the fingerprint, by name: significant configuration, and what it is computed from."""
        raise NotImplementedError

    def origin(self, **more: Any) -> dict[str, Any]:
        return origin(self, *self.components(), **more)

    def rows_digest(self, half: str) -> dict[str, str]:
        """The features' fingerprint, and the digest of the split's "train" or "test" rows and labels."""
        rows, ids = self.features.keyed, getattr(fold(self.dataset, self.fold), half)
        digest = rows_digest(rows, library(self.dataset), ids)
        return {self.stream.extractor.name: rows.fingerprint, f"{half} videos": digest}

    def folder(self, stage: str) -> Path:
        """The folder of this step."""
        return settings.store() / self.dataset.store_name / f"{stage}-{self.fingerprint}"

    @property
    def array(self) -> str:
        """The array of a row that the model reads."""
        return self.stream.extractor.array(self.stream.model.reads, fold(self.dataset, self.fold).name)

    def reduction(self) -> "list[FitReducer]":
        """What fits the stream's reducer, where it has one."""
        if self.stream.reducer is None:
            return []
        return [FitReducer(dataset=self.dataset, stream=self.stream, fold=self.fold)]

    def usable(self, videos: Sequence[str]) -> list[str]:
        """Those that have rows."""
        from pipeline.store import Store

        store = Store(self.features.path())
        return [video for video in videos if store.variants(video)]

    def sequences(self, videos: Sequence[str], *, variants: int | None = None) -> Any:
        """The sequences of the videos that have rows, reduced and sampled as the model reads them."""
        from pipeline.reducer import load_reducer, project
        from pipeline.store import Store
        from pipeline.stored import StoredRows, sequences

        model = self.stream.model
        rows = StoredRows(Store(self.features.path()), videos, variants=variants)
        fitted = [load_reducer(stage.path()) for stage in self.reduction()]
        reduce = partial(project, fitted[0]) if fitted else lambda features: features
        known = labels(library(self.dataset))
        return sequences(rows, known, self.array, steps=model.steps, reduce=reduce)


class FitReducer(StreamStage):
    """PCA of the training rows."""

    @property
    def reducer(self) -> PCA:
        """What is fitted."""
        assert self.stream.reducer is not None
        return self.stream.reducer

    def requires(self) -> Extract:
        return self.features

    def components(self) -> tuple[dict[str, Any], dict[str, str]]:
        reducer = self.reducer.significant(weights_digest)
        return {"reducer": reducer, "reads": self.stream.model.reads}, self.rows_digest("train")

    def path(self) -> Path:
        return self.folder("pca") / "reducer.safetensors"

    def compute(self) -> None:
        from tqdm import tqdm

        from pipeline.reducer import fit_pca, save_reducer
        from pipeline.store import Store
        from pipeline.stored import StoredRows

        rows = StoredRows(Store(self.features.path()), fold(self.dataset, self.fold).train)
        array = self.array
        state = fit_pca((row.arrays[array] for row in tqdm(rows, desc="pca", unit="row", disable=None)), self.reducer)
        save_reducer(self.path(), state, self.origin())


class Train(StreamStage):
    """One model, on the training videos of one split, from one seed."""

    seed = luigi.IntParameter()

    @property
    def uses_gpu(self) -> bool:
        return True

    def requires(self) -> list[Stage]:
        return [self.features, *self.reduction()]

    def components(self) -> tuple[dict[str, Any], dict[str, str]]:
        model = self.stream.model.significant(weights_digest)
        return {"model": model, "seed": self.seed}, self.rows_digest("train") | fingerprints(self.reduction())

    def path(self) -> Path:
        return self.folder(self.stream.model.name) / "network.safetensors"

    def compute(self) -> None:
        from pipeline.fit import seeded
        from pipeline.network_file import save_network

        device, model = settings.device(), self.stream.model
        examples = self.sequences(fold(self.dataset, self.fold).train)
        with seeded(self.seed):
            network = model.build(examples.inputs[0].shape[1], len(library(self.dataset).listing.classes))
        checkpoint = self.path().with_name("checkpoint.pt")
        curves = model.train(network, examples, seed=self.seed, device=device, checkpoint=checkpoint)
        save_network(self.path(), network.state_dict(), curves, self.origin(device=device))
        checkpoint.unlink(missing_ok=True)


class Predict(StreamStage):
    """The model's scores of the split's test videos, as they are (variant 0)."""

    seed = luigi.IntParameter()

    @property
    def uses_gpu(self) -> bool:
        return True

    def training(self) -> list[Train]:
        """What trains the model, where it has anything to train."""
        if not self.stream.model.trained:
            return []
        return [Train(dataset=self.dataset, stream=self.stream, fold=self.fold, seed=self.seed)]

    def requires(self) -> list[Stage]:
        return [self.features, *self.reduction(), *self.training()]

    def components(self) -> tuple[dict[str, Any], dict[str, str]]:
        # Scores are kept by id, so that a renamed video is another; for what is trained names are nothing.
        tested = {"names of test videos": short_digest(fold(self.dataset, self.fold).test)}
        fitted = fingerprints([*self.reduction(), *self.training()])
        return {"model": self.stream.model.significant(weights_digest)}, self.rows_digest("test") | tested | fitted

    def path(self) -> Path:
        return self.folder("scores") / "scores.npz"

    def compute(self) -> None:
        import numpy as np

        from pipeline.scores import Scores

        classes, tested = library(self.dataset).listing.classes, fold(self.dataset, self.fold).test
        usable = self.usable(tested)
        # a split may hold one file out, and this one be corrupt: that is the split's result, and no reason to stop
        values = self._values(usable) if usable else np.empty((0, len(classes)))
        failed = tuple(sorted(set(tested) - set(usable)))
        scores = Scores(tuple(usable), values, "logits", classes, failed)
        scores.save(self.path(), self.origin(device=settings.device()))

    def _values(self, videos: Sequence[str]) -> "np.ndarray":
        """(video, class) logits."""
        from pipeline.fit import predict

        examples = self.sequences(videos, variants=1)
        network = self.network(examples.inputs[0].shape[1])
        return predict(network, examples, batch=PREDICTION_BATCH, device=settings.device())

    def network(self, features: int) -> Any:
        """The trained network, for sequences of so many features."""
        from pipeline.network_file import load_state

        network = self.stream.model.build(features, len(library(self.dataset).listing.classes))
        for stage in self.training():
            network.load_state_dict(load_state(stage.path()))
        return network


def fingerprints(stages: Sequence[Stage]) -> dict[str, str]:
    """By what the stages' folders are called."""
    return {stage.path().parent.name.rpartition("-")[0]: stage.fingerprint for stage in stages}
