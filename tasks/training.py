"""Stage two: trains sequence models on stored rows, and scores the test videos."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from data.base import Dataset
from pipeline.fingerprint import fingerprint, short_digest
from tasks import settings
from tasks.base import ConfigParameter, Stage, clear_checkpoints, origin
from tasks.experiment import AnyStream
from tasks.features import Extract
from tasks.index import AnyDataset, fold, library
from tasks.memory import remembered
from tasks.parts import Part, given_part
from tasks.pretrained_weights import weights_digest
from tasks.rows import labels
from tasks.stream_inputs import FitReducer, Reading

if TYPE_CHECKING:
    import numpy as np

PREDICTION_BATCH = 64


class StreamStage(Stage):
    """Step of one stream on one split.

    Parameters
    ----------
    dataset : Dataset
        The data set, in JSON.
    stream : Stream or JoinedStream
        The stream, in JSON.
    fold : int
        Number of the fold.
    """

    dataset = ConfigParameter[Dataset](AnyDataset)
    stream = ConfigParameter[AnyStream](AnyStream)
    fold = luigi.IntParameter()

    @property
    def title(self) -> str:
        return f"{self.stream.title} · {fold(self.dataset, self.fold).name}"

    @property
    def readings(self) -> list[Reading]:
        """Inputs of the model: one, or several that are joined."""
        inputs, reads = self.stream.inputs, self.stream.model.reads
        names = [each.extractor.name for each in inputs]
        if len(names) > 1:
            names = [f"input {number} ({name})" for number, name in enumerate(names, 1)]
        return [
            Reading(self.dataset.training, each, reads, self.fold, name)
            for each, name in zip(inputs, names, strict=True)
        ]

    @property
    def features(self) -> list[Extract]:
        """Extractions whose rows the stream reads, one for each input."""
        return [reading.features for reading in self.readings]

    @property
    @remembered
    def fingerprint(self) -> str:
        significant, upstream = self.components()
        return fingerprint(self.task_family, list(significant.values()), upstream.values())

    def components(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Return what enters the fingerprint: significant configuration, and what it is computed from, by name."""
        raise NotImplementedError

    def origin(self, **more: Any) -> dict[str, Any]:
        return origin(self, *self.components(), **more)

    def model(self) -> dict[str, Any]:
        """Return the model's significant configuration, and the operation that joins its inputs, if several."""
        joined = {"join": self.stream.join} if self.stream.join else {}
        return {"model": self.stream.model.significant(weights_digest), **joined}

    def rows_digest(self, half: str) -> dict[str, str]:
        """Return each input's fingerprint, and the digest of its rows of a half of the fold, "train" or "test"."""
        return self._named([reading.rows_digest(half) for reading in self.readings])

    def reducers(self) -> dict[str, str]:
        """Return the fingerprint of each input's fitted reducer."""
        return self._named([fingerprints(reading.reduction()) for reading in self.readings])

    def _named(self, parts: Sequence[dict[str, str]]) -> dict[str, str]:
        """Merge the parts of all inputs; where there are several, the input's number distinguishes equal names."""
        if len(parts) == 1:
            return parts[0]
        return {
            f"input {number} {name}": digest for number, part in enumerate(parts, 1) for name, digest in part.items()
        }

    def folder(self, stage: str) -> Path:
        """Return the folder of this step."""
        return settings.dataset_folder(self.dataset) / f"{stage}-{self.fingerprint}"

    def reduction(self) -> list[FitReducer | Part]:
        """Return the tasks that fit the inputs' reducers."""
        return [stage for reading in self.readings for stage in reading.reduction()]

    def usable(self, videos: Sequence[str]) -> list[str]:
        """Return the videos that have rows in every input."""
        from pipeline.training.sequences import usable

        return usable({reading.name: reading.store() for reading in self.readings}, videos)

    def sequences(self, videos: Sequence[str], *, variants: int | None = None) -> Any:
        """Return the sequences of the videos that have rows, reduced, sampled and joined as the model reads them."""
        from pipeline.training.sequences import sequences

        left = self.usable(videos)
        sources = [reading.source(left, variants) for reading in self.readings]
        indexed, model = library(self.dataset), self.stream.model
        classes = len(indexed.listing.classes)
        return sequences(sources, labels(indexed), classes, steps=model.steps, join_by=self.stream.join)


class Train(StreamStage):
    """Train the model of a stream on the training videos of one fold, from one seed."""

    seed = luigi.IntParameter()

    @property
    def title(self) -> str:
        return f"{super().title}, seed {self.seed}"

    @property
    def uses_gpu(self) -> bool:
        return self.stream.model.uses_gpu

    def requires(self) -> list[Stage]:
        return [*self.features, *self.reduction()]

    def components(self) -> tuple[dict[str, Any], dict[str, str]]:
        return self.model() | {"seed": self.seed}, self.rows_digest("train") | self.reducers()

    def path(self) -> Path:
        return self.folder(self.stream.model.name) / "network.safetensors"

    def compute(self) -> None:
        from pipeline.training.random_state import seeded
        from pipeline.training.weights_file import save_network

        device, model = self.device(), self.stream.model
        examples = self.sequences(fold(self.dataset, self.fold).train)
        with seeded(self.seed):
            network = model.build(examples.inputs[0].shape[1], len(library(self.dataset).listing.classes))
        checkpoint = self.path().with_name("checkpoint.pt")
        curves = model.train(network, examples, seed=self.seed, device=device, checkpoint=checkpoint)
        save_network(self.path(), network.state_dict(), curves, self.provenance(device=device))
        clear_checkpoints(self.path())


class Predict(StreamStage):
    """Score the test videos of one fold by the model of a stream, as they are (variant 0)."""

    seed = luigi.IntParameter()

    @property
    def uses_gpu(self) -> bool:
        return self.stream.model.uses_gpu

    def training(self) -> list[Train] | list[Part]:
        """Return the task that trains the model, if it has anything to train."""
        if not self.stream.model.trained:
            return []
        if given := given_part(self.dataset, "network", self.fold, self.stream, self.seed):
            return given
        return [Train(dataset=self.dataset.training, stream=self.stream, fold=self.fold, seed=self.seed)]

    def requires(self) -> list[Stage]:
        return [*self.features, *self.reduction(), *self.training()]

    def components(self) -> tuple[dict[str, Any], dict[str, str]]:
        # Scores are kept by id, so that a renamed video is another; for what is trained names are nothing.
        tested = {"names of test videos": short_digest(fold(self.dataset, self.fold).test)}
        fitted = self.reducers() | fingerprints(self.training())
        return self.model(), self.rows_digest("test") | tested | fitted

    def path(self) -> Path:
        return self.folder("scores") / "scores.npz"

    def compute(self) -> None:
        import numpy as np

        from pipeline.scoring.scores import Scores

        classes, tested = library(self.dataset).listing.classes, fold(self.dataset, self.fold).test
        usable = self.usable(tested)
        # a split may hold one file out, and this one be corrupt: that is the split's result, and no reason to stop
        values = self._values(usable) if usable else np.empty((0, len(classes)))
        failed = tuple(sorted(set(tested) - set(usable)))
        scores = Scores(tuple(usable), values, "logits", classes, failed)
        scores.save(self.path(), self.provenance(device=self.device()))

    def _values(self, videos: Sequence[str]) -> "np.ndarray":
        """Compute logits (video, class)."""
        from pipeline.training.loop import predict

        examples = self.sequences(videos, variants=1)
        network = self.network(examples.inputs[0].shape[1])
        return predict(network, examples, batch=PREDICTION_BATCH, device=self.device())

    def network(self, features: int) -> Any:
        """Return the trained network, for sequences with the given number of features."""
        from pipeline.training.weights_file import load_state

        network = self.stream.model.build(features, len(library(self.dataset).listing.classes))
        for stage in self.training():
            network.load_state_dict(load_state(stage.path()))
        return network


def fingerprints(stages: Sequence[Stage]) -> dict[str, str]:
    """Return the stages' fingerprints, by the names of their folders."""
    parts = [stage.path().parent.name.rpartition("-") for stage in stages]  # asking for the fingerprint costs as much
    return {name: fingerprint for name, _, fingerprint in parts}
