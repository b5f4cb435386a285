"""Holds the scores of all runs of an experiment, and computes the figures of each stream and of the fusion."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pipeline.errors import InputError
from pipeline.rows import Failure
from pipeline.scoring import metrics
from pipeline.scoring.confidence import Interval, bootstrap, wilson
from pipeline.scoring.detection import Detection, best_threshold, detection
from pipeline.scoring.metrics import Summary
from pipeline.scoring.scores import Scores
from pipeline.scoring.weight_search import Choice

if TYPE_CHECKING:
    from pipeline.training.curves import Curves

Metric = Literal["accuracy", "mean_class_accuracy", "mAP"]
FUSION = "fusion"
OF_CONFUSION: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean_class_accuracy": metrics.mean_recall,
    "macro_f1": metrics.macro_f1,
    "weighted_f1": metrics.weighted_f1,
}
"""Figures of videos with one label each that follow from their confusion."""
OF_DETECTION = {"auc": "auc", "AP": "average_precision", "f1": "f1"}
"""Figures of the detection of one of two classes, and their names in ``Detection``."""


@dataclass(frozen=True, slots=True)
class ReportedStream:
    """Name of a stream, and the figure that the paper reports for it alone, in percent."""

    name: str
    reported: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Run of one fold with one seed: scores and training curves of each stream in order, and scores of the fusion.

    A stream that was not trained has None for curves; an experiment of a single stream has no fusion. choice: of the
    fusion's weights, where they are not given. trained: where one of two classes is to be detected, scores of the
    training videos, of the streams and then of the fusion, by which thresholds are chosen.
    """

    fold: str
    seed: int
    scores: tuple[Scores, ...]
    fused: Scores | None
    curves: "tuple[Curves | None, ...]"
    choice: Choice | None = None
    trained: tuple[Scores, ...] = ()

    @property
    def name(self) -> str:
        """Name of the run in tables and legends."""
        return f"{self.fold}, seed {self.seed}"

    @property
    def final(self) -> Scores:
        """Scores of the experiment as a whole: the fusion's, or the only stream's."""
        return self.scores[-1] if self.fused is None else self.fused


@dataclass(frozen=True, slots=True)
class Explained:
    """Variance that a PCA explains of its training rows on one fold: number of components, and ratio in [0, 1]."""

    reducer: str
    fold: str
    components: int
    energy: float


@dataclass(frozen=True, slots=True)
class ExtractionTime:
    """Time that the extraction of a stage took, in seconds: the sum over its shards, of which several may run at once.

    Attributes
    ----------
    extractor
        Title of the extractor.
    videos
        Number of videos that were computed; the rows of others were there.
    wall
        All of it.
    waiting
        Part of it in which the process that computes waited for videos to be read and prepared beside it.
    computing
        Part in which it computed; an extractor without a network reads the video meanwhile.
    writing
        Part in which it wrote rows.
    """

    extractor: str
    videos: int
    wall: float
    waiting: float
    computing: float
    writing: float

    @property
    def limit(self) -> str:
        """What took the longest."""
        parts = {"reading videos": self.waiting, "computing": self.computing, "writing rows": self.writing}
        return max(parts, key=parts.__getitem__)


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """Figures of a stream or of the fusion, as fractions.

    figures: one mapping a run; counts: confusion (class, class + 1) summed over runs, None with several labels a
    video; confusion: the same as shares of each row, their mean over the runs that test the class, NaN where none
    does; recall and precision: (class,), NaN where a class has no test video, precision None but for mAP; intervals: of
    each run's figures the confidence intervals over its test videos, none of mAP; detections: of each run, where one of
    two classes is to be detected.
    """

    name: str
    reported: float | None
    figures: tuple[dict[str, float], ...]
    counts: np.ndarray | None
    confusion: np.ndarray | None
    recall: np.ndarray | None
    precision: np.ndarray | None
    intervals: tuple[dict[str, Interval], ...] = ()
    detections: tuple[Detection, ...] = ()

    def percent(self, figure: str) -> list[float]:
        """List one figure of every run, in percent."""
        return [100 * run[figure] for run in self.figures]

    def summary(self, figure: str) -> Summary:
        """Return mean, standard deviation and number of runs of one figure, in percent."""
        return metrics.summary(self.percent(figure))


@dataclass(frozen=True)
class Result:
    """Scores and circumstances of all runs of an experiment, from which every figure of its report follows.

    Parameters
    ----------
    title
        Title of the experiment.
    streams
        Streams, in the order of each run's scores.
    runs
        Runs, one a fold and seed.
    labels
        Class indices by video id, of every test video at the least.
    metric
        The figure that the paper reports.
    table
        Where the paper reports it.
    reported
        That figure, in percent.
    failures
        Why a video could not be used, by id, of test and training videos.
    groups
        Coarse groups of classes by name.
    notes
        What a reader must know.
    provenance
        Nested mappings and sequences of JSON values.
    folds
        JSON values: the protocol, and the videos of both halves of each fold.
    explained
        Variance that each PCA of each fold explains.
    times
        What the time of each extraction was spent on.
    positive
        Index of the class that is to be detected, of two; None where there are others.

    Raises
    ------
    InputError
        Where runs do not fit the streams, or a scored video has no label.
    """

    title: str
    streams: tuple[ReportedStream, ...]
    runs: tuple[Run, ...]
    labels: Mapping[str, tuple[int, ...]]
    metric: Metric = "accuracy"
    table: str = ""
    reported: float | None = None
    failures: Mapping[str, Failure] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    folds: Mapping[str, Any] = field(default_factory=dict)
    explained: tuple[Explained, ...] = ()
    times: tuple[ExtractionTime, ...] = ()
    positive: int | None = None

    def __post_init__(self) -> None:
        if not self.runs or not self.streams:
            raise InputError("there is nothing to report; at least one run of one stream is needed")
        for run in self.runs:
            if not len(run.scores) == len(run.curves) == len(self.streams):
                raise InputError(f"fold {run.fold!r}: scores and curves of all {len(self.streams)} streams are needed")
            if (run.fused is None) != (len(self.streams) == 1):
                raise InputError(f"fold {run.fold!r}: several streams need a fusion, and a single one takes none")
            for scores in (*run.scores, *((run.fused,) if run.fused else ())):
                if scores.classes != self.classes:
                    raise InputError(f"fold {run.fold!r}: classes differ; they must be the same in all runs")
                if unlabelled := sorted({*scores.ids, *scores.failed} - self.labels.keys()):
                    raise InputError(f"video {unlabelled[0]!r} has scores but no label; every test video needs one")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their indices."""
        return self.runs[0].scores[0].classes

    @property
    def tested(self) -> list[tuple[str, ...]]:
        """Ids of each run's test videos, failed ones included."""
        return [(*run.final.ids, *run.final.failed) for run in self.runs]

    @cached_property
    def rows(self) -> list[StreamFigures]:
        """Figures of each stream and, where there are several, of the fusion: the last are the experiment's own."""
        made = []
        for place, stream in enumerate(self.streams):
            only = self.reported if len(self.streams) == 1 and stream.reported is None else stream.reported
            made.append(_row(self, stream.name, only, [run.scores[place] for run in self.runs], place))
        fused = [run.fused for run in self.runs if run.fused is not None]
        return [*made, _row(self, FUSION, self.reported, fused, len(made))] if fused else made


def _detection(result: Result, scores: Scores, trained: Scores | None) -> Detection:
    """At the threshold of the training videos, where their scores are known."""
    assert result.positive is not None
    labels, failed = ([result.labels[id] for id in ids] for ids in (scores.ids, scores.failed))
    threshold = None
    if trained is not None:
        of_training = [result.labels[id] for id in trained.ids]
        threshold = best_threshold(trained.probabilities(), of_training, result.positive)
    return detection(scores.probabilities(), labels, failed, result.positive, threshold)


def _row(result: Result, name: str, reported: float | None, scores: Sequence[Scores], place: int) -> StreamFigures:
    single = all(len(labels) == 1 for labels in result.labels.values())
    figures, counts, precisions, intervals = [], [], [], []
    detections: list[Detection] = []
    for number, run in enumerate(scores):
        # Softmax ranks videos of one label; with several, a class's share would fall where another label rises.
        values = run.probabilities() if single else run.values
        given = values, [result.labels[id] for id in run.ids], [result.labels[id] for id in run.failed]
        figure = {"accuracy": metrics.accuracy(*given)}
        if single:
            counts.append(metrics.confusion(*given))
            figure |= {name: float(of(counts[-1])) for name, of in OF_CONFUSION.items()}
        if len(result.classes) > 5:
            figure["top5"] = metrics.top_k(*given[:2], 5, given[2])
        tested, counted = len(run.ids) + len(run.failed), {"accuracy", "top5"} & figure.keys()
        shares = {name: wilson(round(figure[name] * tested), tested) for name in sorted(counted)}
        intervals.append(shares | (bootstrap(OF_CONFUSION, counts[-1]) if single else {}))
        if result.metric == "mAP":
            figure["mAP"] = metrics.mean_average_precision(*given)
            precisions.append(metrics.average_precision(*given))
        if result.positive is not None:
            trained = result.runs[number].trained
            detections.append(_detection(result, run, trained[place] if trained else None))
            figure |= {key: getattr(detections[-1], attribute) for key, attribute in OF_DETECTION.items()}
        figures.append(figure)
    total = np.sum(counts, axis=0) if counts else None
    recall = None if total is None else _mean(np.diag(total), total.sum(axis=1))
    stacked = np.array(precisions)
    precision = _mean(np.nansum(stacked, axis=0), np.isfinite(stacked).sum(axis=0)) if precisions else None
    return StreamFigures(
        name,
        reported,
        tuple(figures),
        total,
        _mean_shares(counts) if counts else None,
        recall,
        precision,
        tuple(intervals),
        tuple(detections),
    )


def _mean_shares(counts: Sequence[np.ndarray]) -> np.ndarray:
    """Confusions (class, class + 1) -> the mean over runs of the shares of each row, of runs that test the class."""
    videos = np.array([run.sum(axis=1, keepdims=True) for run in counts])
    shares = np.sum(np.array(counts) / np.maximum(videos, 1), axis=0)
    runs = np.count_nonzero(videos, axis=0)
    mean: np.ndarray = np.where(runs > 0, shares / np.maximum(runs, 1), math.nan)
    return mean


def _mean(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.array([part / number if number else math.nan for part, number in zip(total, count, strict=True)])


def groups(result: Result, row: StreamFigures) -> Iterator[tuple[str, float, int]]:
    """Yield each coarse group that has test videos: its name, the share that is recognised, their number."""
    if row.counts is None:
        return
    for name, members in result.groups.items():
        places = [result.classes.index(member) for member in members if member in result.classes]
        number = int(row.counts[places].sum())
        if number:
            yield name, float(row.counts[places, places].sum() / number), number
