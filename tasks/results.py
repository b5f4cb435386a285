"""What all runs of an experiment came to, as the report wants it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from extractors.base import Extractor
from pipeline import examples
from pipeline.network_file import load_curves
from pipeline.results import Result, Run
from pipeline.results import Stream as ReportedStream
from pipeline.row import Failure
from pipeline.scores import Scores
from pipeline.store import Store, provenance
from tasks.features import Extract, labels
from tasks.index import folds, library
from tasks.thumbnails import pictures
from tasks.training import Predict

if TYPE_CHECKING:
    from tasks.evaluation import Evaluate


def gather(evaluation: "Evaluate") -> Result:
    """Everything that the report tells, read from the finished stages."""
    recipe = evaluation.recipe
    indexed = library(recipe.dataset)
    stages = list(_extractions(evaluation))
    result = Result(
        title=recipe.title,
        table=recipe.table,
        metric=recipe.metric,
        reported=recipe.reported,
        notes=recipe.notes,
        streams=tuple(ReportedStream(stream.title, stream.reported) for stream in recipe.streams),
        runs=tuple(_run(evaluation, *run) for run in evaluation.runs),
        labels=labels(indexed),
        failures=_failures(stages),
        groups=recipe.dataset.groups,
        provenance={
            "experiment": json.loads(recipe.canonical()),
            "stages": {str(stage.folder.name): provenance(stage.path()) for stage in stages},
            "files": {str(path): entry.digest for path, entry in indexed.digests.entries.items()},
        },
    )
    # A file that could not be used, or that nothing used, may harm whoever opens it.
    shown = [example.video for example in examples.choose(result) if not example.failed]
    modality = "video" if any(_source(stream.extractor).reads == "video" for stream in recipe.streams) else "skeleton"
    return replace(result, pictures=pictures(recipe.dataset, shown, modality))


def _source(extractor: Extractor) -> Extractor:
    """The extractor at the beginning, which reads files."""
    return extractor if extractor.upstream is None else _source(extractor.upstream)


def _run(evaluation: "Evaluate", fold: int, seed: int) -> Run:
    predictions = evaluation.predictions(fold, seed)
    fused = evaluation.results(fold, seed) if evaluation.recipe.fusion else []
    return Run(
        fold=folds(evaluation.recipe.dataset)[fold].name,
        seed=seed,
        scores=tuple(Scores.load(stage.path()) for stage in predictions),
        fused=next((Scores.load(stage.path()) for stage in fused), None),
        curves=tuple(_curves(stage) for stage in predictions),
    )


def _curves(prediction: Predict) -> Any:
    return next((load_curves(stage.path()) for stage in prediction.training()), None)


def _extractions(evaluation: "Evaluate") -> Iterator[Extract]:
    """Each extraction that any run reads, once."""
    seen: set[str] = set()
    for run in evaluation.runs:
        for prediction in evaluation.predictions(*run):
            stage = prediction.features
            if stage.fingerprint not in seen:
                seen.add(stage.fingerprint)
                yield stage


def _failures(stages: list[Extract]) -> dict[str, Failure]:
    """By video id; of several stages' reasons the first."""
    found: dict[str, Failure] = {}
    for stage in stages:
        found = Store(stage.path()).failures() | found
    return dict(sorted(found.items()))
