"""Gathers the figures and the pictures of an experiment for its report."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.base import Dataset
from pipeline.files.names import printable
from pipeline.pca.project import load_reducer
from pipeline.report.example_videos import choose
from pipeline.report.illustrations import Illustrations
from pipeline.results.result import Explained, ExtractionTime, ReportedStream, Result, Run
from pipeline.rows import Failure
from pipeline.scoring.scores import Scores
from pipeline.scoring.scores import provenance as scores_provenance
from pipeline.scoring.weight_search import Choice
from pipeline.store import Store, provenance
from pipeline.training.weights_file import load_curves
from tasks.features import Extract
from tasks.index import folds, library
from tasks.reporting import footage
from tasks.reporting.activation_maps import activations
from tasks.reporting.thumbnails import clearest, pictures
from tasks.reporting.traces import clips, feature_maps
from tasks.rows import labels
from tasks.runs import Runs
from tasks.training import Predict
from tasks.training_classes import untrained


def gather(runs: Runs, fingerprint: str) -> Result:
    """Read the figures that the report tells from the finished stages; ``fingerprint`` is that of the report."""
    recipe = runs.recipe
    indexed = library(recipe.dataset)
    stages = list(_extractions(runs))
    return Result(
        title=recipe.title,
        table=recipe.table,
        metric=recipe.metric,
        reported=recipe.reported,
        notes=(
            *recipe.notes,
            *recipe.dataset.notes(indexed.listing),
            *indexed.listing.remarks,
            *dict.fromkeys(_untrained(runs)),
            *footage.remarks(stages),
        ),
        streams=tuple(ReportedStream(stream.title, stream.reported) for stream in recipe.streams),
        runs=tuple(_run(runs, *pair) for pair in runs.pairs),
        labels=labels(indexed),
        failures=_failures(stages),
        groups=recipe.dataset.groups,
        folds=_divisions(recipe.dataset),
        explained=tuple(_explained(runs)),
        times=tuple(_times(stages)),
        positive=runs.positive,
        provenance={
            "experiment": json.loads(recipe.canonical()),
            "fingerprint": fingerprint,
            "stages": {str(stage.folder.name): provenance(stage.path()) for stage in stages},
            "files": {printable(path): entry.digest for path, entry in indexed.digests.entries.items()},
        },
    )


def illustrate(runs: Runs, result: Result) -> Illustrations:
    """Draw the pictures of the report from the finished stages and, of the examples, from files of the data set."""
    recipe, examples = runs.recipe, choose(result)
    # A file that could not be used, or that nothing used, may harm whoever opens it.
    shown = [example.video for example in examples if not example.failed]
    return Illustrations(
        examples=tuple(examples),
        pictures=pictures(recipe.dataset, shown, clearest(recipe.streams)),
        clips=clips(runs),
        maps=feature_maps(runs),
        activations=activations(runs),
    )


def _untrained(runs: Runs) -> Iterator[str]:
    """Of each fold's streams, which classes have no training video that could be used."""
    dataset, seed = runs.recipe.dataset, runs.recipe.seeds[0]
    for number, division in enumerate(folds(dataset)):
        for prediction in runs.predictions(number, seed):
            if sentence := untrained(dataset, number, prediction.usable(division.train)):
                yield sentence


def _divisions(dataset: Dataset) -> dict[str, Any]:
    """The protocol, and the subjects and videos of both halves of each of its folds."""
    subject = {video.id: video.subject for video in library(dataset).listing.videos}

    def half(videos: tuple[str, ...]) -> dict[str, Any]:
        return {"subjects": sorted({subject[id] for id in videos} - {""}), "videos": videos}

    return {
        "dataset": dataset.name,
        "protocol": dataset.model_dump(mode="json", include=set(dataset.protocol_fields)),
        "folds": [{"name": fold.name, "train": half(fold.train), "test": half(fold.test)} for fold in folds(dataset)],
    }


def _run(runs: Runs, fold: int, seed: int) -> Run:
    predictions = runs.predictions(fold, seed)
    fused = next((stage.path() for stage in runs.results(fold, seed)), None) if runs.recipe.fusion else None
    return Run(
        fold=folds(runs.recipe.dataset)[fold].name,
        seed=seed,
        scores=tuple(Scores.load(stage.path()) for stage in predictions),
        fused=Scores.load(fused) if fused else None,
        curves=tuple(curves(stage) for stage in predictions),
        choice=_choice(fused) if fused else None,
        trained=_trained(runs, fold, seed),
    )


def _trained(runs: Runs, fold: int, seed: int) -> tuple[Scores, ...]:
    """Scores of the training videos, of the streams and then of the fusion, where a threshold is chosen by them."""
    trained = runs.trained()
    if trained is None:
        return ()
    stages = dict.fromkeys([*trained.predictions(fold, seed), *trained.results(fold, seed)])
    return tuple(Scores.load(stage.path()) for stage in stages)


def _choice(fused: Path) -> Choice | None:
    """How the fusion's weights were chosen; None where they were given."""
    told = scores_provenance(fused).get("choice")
    return None if told is None else Choice(**told)


def curves(prediction: Predict) -> Any:
    """Load the training curves of one run of one stream: of its model, or of the network whose scores it takes.

    None where nothing was trained.
    """
    networks = [stage for each in prediction.features for stage in each.fitting().values()]
    trained = [stage.path() for stage in prediction.training() or networks]
    return next(map(load_curves, trained), None)


def _explained(runs: Runs) -> Iterator[Explained]:
    """Of each fold's PCAs, those of extractors and those of streams."""
    seed = runs.recipe.seeds[0]
    for number, fold in enumerate(folds(runs.recipe.dataset)):
        for prediction in runs.predictions(number, seed):
            for reading in prediction.readings:
                fitting = reading.features.fitting().items()
                fitted = [stage for name, stage in fitting if name == fold.name]
                title = prediction.stream.title
                name = title if len(prediction.readings) == 1 else f"{title}, {reading.name}"
                for state in (load_reducer(stage.path()) for stage in [*fitted, *reading.reduction()]):
                    if "energy" in state:
                        yield Explained(name, fold.name, len(state["variances"]), float(state["energy"]))


def _extractions(runs: Runs) -> Iterator[Extract]:
    """Each extraction that any run reads, once."""
    seen: set[str] = set()
    for prediction in runs.all_predictions():
        for stage in prediction.features:
            if stage.fingerprint not in seen:
                seen.add(stage.fingerprint)
                yield stage


def _times(stages: list[Extract]) -> Iterator[ExtractionTime]:
    """What the shards that are there tell of their making; those of earlier versions say nothing of it."""
    for stage in _with_sources(stages):
        paths = [shard.path() for shard in stage.requires()]
        shards = [provenance(path) for path in paths if path.exists()]
        told = [shard for shard in shards if "seconds" in shard]
        videos = sum(shard["computed"] for shard in told)
        if videos:
            wall = sum(shard["wall_s"] for shard in told)
            parts = {name: sum(shard["seconds"][name] for shard in told) for name in told[0]["seconds"]}
            yield ExtractionTime(stage.extractor.title, videos, wall, **parts)


def _with_sources(stages: list[Extract]) -> list[Extract]:
    """Each stage once, after those whose rows it is computed from."""
    found: dict[str, Extract] = {}
    for stage in stages:
        chain = [stage]
        while (source := chain[-1].source()) is not None:
            chain.append(source)
        found |= {each.fingerprint: each for each in reversed(chain)}
    return list(found.values())


def _failures(stages: list[Extract]) -> dict[str, Failure]:
    """By video id; of several stages' reasons the first."""
    found: dict[str, Failure] = {}
    for stage in stages:
        found = Store(stage.path()).failures() | found
    return dict(sorted(found.items()))
