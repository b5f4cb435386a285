"""Fuses the scores of the streams of one run."""

from pathlib import Path
from typing import Any

from luigi import IntParameter

from data.base import Dataset
from data.validation import Validation
from pipeline.fingerprint import fingerprint
from pipeline.scoring.fusion_config import Fusion
from tasks import settings
from tasks.base import ConfigParameter, Stage, origin
from tasks.experiment import AnyStream
from tasks.index import AnyDataset, library
from tasks.memory import remembered
from tasks.rows import labels
from tasks.training import Predict

Streams = tuple[AnyStream, ...]


class Fuse(Stage):
    """Join the scores of all streams of one split and seed by video id."""

    dataset = ConfigParameter[Dataset](AnyDataset)
    streams = ConfigParameter[Streams](Streams)
    fusion = ConfigParameter[Fusion](Fusion)
    fold = IntParameter()
    seed = IntParameter()

    def predictions(self) -> list[Predict]:
        """List what makes the scores that are fused."""
        return [predict(self.dataset, stream, self.fold, self.seed) for stream in self.streams]

    def validations(self) -> list[Predict]:
        """List what makes the scores by which the weighted streams' weights are chosen; none where these are given."""
        choose = self.fusion.choose
        if choose is None:
            return []
        part = Validation(of=self.dataset.plain, share=choose.validation, seed=choose.seed)
        weighted = self.streams[:-1] if self.fusion.times_last else self.streams
        return [predict(part, stream, self.fold, self.seed) for stream in weighted]

    def requires(self) -> list[Predict]:
        return [*self.predictions(), *self.validations()]

    @property
    @remembered
    def fingerprint(self) -> str:
        return fingerprint("Fuse", self.fusion.significant(str), self.upstream.values())

    @property
    def upstream(self) -> dict[str, str]:
        """Fingerprint of each stream's scores."""
        fused = {stage.stream.title: stage.fingerprint for stage in self.predictions()}
        return fused | {f"validation of {stage.stream.title}": stage.fingerprint for stage in self.validations()}

    def origin(self, **more: Any) -> dict[str, Any]:
        return origin(self, self.fusion.significant(str), self.upstream, **more)

    def path(self) -> Path:
        return settings.dataset_folder(self.dataset) / f"fused-{self.fingerprint}" / "scores.npz"

    def compute(self) -> None:
        from pipeline.scoring.late_fusion import fuse
        from pipeline.scoring.scores import Scores
        from pipeline.scoring.weight_search import choose

        scores, validated = (
            [Scores.load(stage.path()) for stage in stages] for stages in (self.predictions(), self.validations())
        )
        if not validated:
            fuse(scores, self.fusion).save(self.path(), self.provenance())
            return
        choice = choose(validated, labels(library(self.dataset)), self.fusion)
        fuse(scores, self.fusion.with_weights(choice.weights)).save(
            self.path(), self.provenance(choice=choice._asdict())
        )


def predict(dataset: Dataset, stream: AnyStream, fold: int, seed: int) -> Predict:
    """Return what makes the scores of one stream; a model that is not trained knows no seed."""
    return Predict(dataset=dataset, stream=stream, fold=fold, seed=seed if stream.model.trained else 0)
