"""Results -> a self-contained HTML page, metrics.json, predictions.csv, and tables for terminal and Markdown.

All figures are in percent. The last row of every table is the experiment's own: the fusion, or the only stream.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pipeline import drawings, metrics
from pipeline.atomic import write_text
from pipeline.errors import InputError
from pipeline.metrics import Summary
from pipeline.row import Failure
from pipeline.scores import Scores

if TYPE_CHECKING:
    from pipeline.fit import Curves

Metric = Literal["accuracy", "mean_class_accuracy", "mAP"]
FUSION = "fusion"
TITLES = {"accuracy": "accuracy", "mean_class_accuracy": "mean class accuracy", "top5": "top 5", "mAP": "mAP"}


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of an experiment; reported: what the paper reports for it alone, in percent."""

    name: str
    reported: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One fold with one seed: scores and training curves of each stream in order, and the scores of the fusion.

    A stream that was not trained has None for curves; an experiment of a single stream has no fusion.
    """

    fold: str
    seed: int
    scores: tuple[Scores, ...]
    fused: Scores | None
    curves: "tuple[Curves | None, ...]"


@dataclass(frozen=True, slots=True)
class Result:
    """All that a report tells.

    table: where the paper reports; metric: the figure it reports; reported: that figure in percent;
    labels: class indices of every test video by id; failures: of test and training videos by id;
    groups: coarse groups of classes by name; notes: what a reader must know; provenance: nested mappings and
    sequences of JSON values.
    Raises InputError where runs do not fit the streams, or a scored video has no label.
    """

    title: str
    streams: tuple[Stream, ...]
    runs: tuple[Run, ...]
    labels: Mapping[str, tuple[int, ...]]
    metric: Metric = "accuracy"
    table: str = ""
    reported: float | None = None
    failures: Mapping[str, Failure] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

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
        return self.runs[0].scores[0].classes


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of a stream or the fusion, as fractions.

    figures: one mapping a run; counts: confusion (class, class + 1) summed over runs, None with several labels a
    video; recall and precision: (class,), NaN where a class has no test video, precision None but for mAP.
    """

    name: str
    reported: float | None
    figures: tuple[dict[str, float], ...]
    counts: np.ndarray | None
    recall: np.ndarray | None
    precision: np.ndarray | None

    def summary(self, figure: str) -> Summary:
        """In percent."""
        return metrics.summary([100 * run[figure] for run in self.figures])


def rows(result: Result) -> list[Row]:
    """One row a stream, and one for the fusion where there are several."""
    made = []
    for place, stream in enumerate(result.streams):
        alone = result.reported if len(result.streams) == 1 and stream.reported is None else stream.reported
        made.append(_row(result, stream.name, alone, [run.scores[place] for run in result.runs]))
    fused = [run.fused for run in result.runs if run.fused is not None]
    return [*made, _row(result, FUSION, result.reported, fused)] if fused else made


def write(result: Result, folder: Path) -> None:
    """``predictions.csv``, ``metrics.json``, ``table.txt`` and ``report.html`` below ``folder``, the page last."""
    table = rows(result)
    write_text(folder / "table.txt", text_table(result) + "\n")
    write_text(folder / "predictions.csv", _predictions(result))
    write_text(folder / "metrics.json", json.dumps(_numbers(result, table), indent=1, allow_nan=False) + "\n")
    write_text(folder / "report.html", _page(result, table))


def text_table(result: Result) -> str:
    """For the terminal: aligned columns stream, measured, reported, difference."""
    lines = _cells(result)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    ]
    failed = [f"videos that could not be used, and count as wrong: {len(result.failures)}"] if result.failures else []
    return "\n".join([result.title, padded[0], "  ".join("─" * width for width in widths), *padded[1:], *failed])


def markdown_table(result: Result) -> str:
    """The same as Markdown."""
    header, *lines = ([re.sub(r"([\\|`*_<\[])", r"\\\1", cell) for cell in line] for line in _cells(result))
    marks = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, marks, *lines))


def _row(result: Result, name: str, reported: float | None, scores: Sequence[Scores]) -> Row:
    single = all(len(labels) == 1 for labels in result.labels.values())
    figures, counts, precisions = [], [], []
    for run in scores:
        # Softmax ranks videos of one label; with several, each class has a logistic score of its own.
        values = run.probabilities() if single else run.values
        given = values, [result.labels[id] for id in run.ids], [result.labels[id] for id in run.failed]
        figure = {"accuracy": metrics.accuracy(*given)}
        if single:
            figure["mean_class_accuracy"] = metrics.mean_class_accuracy(*given)
            counts.append(metrics.confusion(*given))
        if len(result.classes) > 5:
            figure["top5"] = metrics.top_k(*given[:2], 5, given[2])
        if result.metric == "mAP":
            figure["mAP"] = metrics.mean_average_precision(*given)
            precisions.append(metrics.average_precision(*given))
        figures.append(figure)
    total = np.sum(counts, axis=0) if counts else None
    recall = None if total is None else _mean(np.diag(total), total.sum(axis=1))
    stacked = np.array(precisions)
    precision = _mean(np.nansum(stacked, axis=0), np.isfinite(stacked).sum(axis=0)) if precisions else None
    return Row(name, reported, tuple(figures), total, recall, precision)


def _mean(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.array([part / number if number else math.nan for part, number in zip(total, count, strict=True)])


def _cells(result: Result) -> list[list[str]]:
    source = f"reported ({result.table})" if result.table else "reported"
    lines = [["stream", f"{TITLES[result.metric]} [%]", source, "difference"]]
    for row in rows(result):
        measured = row.summary(result.metric)
        difference = "" if row.reported is None else f"{measured.mean - row.reported:+.2f}"
        lines.append([row.name, _plus_minus(measured), "" if row.reported is None else f"{row.reported:g}", difference])
    return lines


def _plus_minus(summary: Summary) -> str:
    return f"{summary.mean:.2f}" + ("" if summary.deviation is None else f" ± {summary.deviation:.2f}")


def _percent(fraction: float) -> float | None:
    return None if math.isnan(fraction) else round(100 * float(fraction), 6)


def _numbers(result: Result, table: Sequence[Row]) -> dict[str, Any]:
    """metrics.json: every figure in percent, null where there is none; confusion as counts summed over runs."""
    return {
        "title": result.title,
        "table": result.table,
        "metric": result.metric,
        "unit": "percent",
        "notes": list(result.notes),
        "classes": list(result.classes),
        "rows": [
            {
                "name": row.name,
                "reported": row.reported,
                "summary": {name: row.summary(name)._asdict() for name in row.figures[0]},
                "runs": [
                    {"fold": run.fold, "seed": run.seed, **{name: _percent(value) for name, value in figures.items()}}
                    for run, figures in zip(result.runs, row.figures, strict=True)
                ],
                "class_accuracy": None if row.recall is None else [_percent(value) for value in row.recall],
                "average_precision": None if row.precision is None else [_percent(value) for value in row.precision],
                "groups": {name: _percent(share) for name, share, _ in _groups(result, row)},
                "confusion": None if row.counts is None else row.counts.tolist(),
            }
            for row in table
        ],
        "failures": {
            id: {"reason": failure.reason, "frames_decoded": failure.frames_decoded}
            for id, failure in result.failures.items()
        },
        "provenance": result.provenance,
    }


def _predictions(result: Result) -> str:
    """predictions.csv: one line a run, stream and test video; labels are joined by "|", failed ones predict nothing."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["fold", "seed", "stream", "video", "labels", "predicted", "probability", "correct"])
    for run in result.runs:
        names = [stream.name for stream in result.streams]
        for name, scores in zip([*names, FUSION], [*run.scores, run.fused], strict=True):
            if scores is not None:
                table.writerows([run.fold, run.seed, name, *line] for line in _verdicts(result, scores))
    return text.getvalue()


def _verdicts(result: Result, scores: Scores) -> Iterator[list[str]]:
    probabilities = scores.probabilities()
    for id, row in zip(scores.ids, probabilities, strict=True):
        labels, best = result.labels[id], int(row.argmax())
        names = "|".join(result.classes[label] for label in labels)
        yield [id, names, result.classes[best], f"{row[best]:.6f}", str(int(best in labels))]
    for id in scores.failed:
        yield [id, "|".join(result.classes[label] for label in result.labels[id]), "", "", "0"]


def _groups(result: Result, row: Row) -> Iterator[tuple[str, float, int]]:
    """Name of each coarse group with test videos, the share of them that is recognised, their number."""
    if row.counts is None:
        return
    for name, members in result.groups.items():
        places = [result.classes.index(member) for member in members if member in result.classes]
        number = int(row.counts[places].sum())
        if number:
            yield name, float(row.counts[places, places].sum() / number), number


def _page(result: Result, table: Sequence[Row]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    last = table[-1]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plus_minus": _plus_minus, "percent": _shown}
    environment.tests["nested"] = lambda value: isinstance(value, Mapping | list | tuple)
    names = [f"{run.fold}, seed {run.seed}" for run in result.runs]
    curves = {
        stream.name: Markup(
            drawings.training_curves(f"curves-{place}", names, [run.curves[place] for run in result.runs])
        )
        for place, stream in enumerate(result.streams)
        if any(run.curves[place] for run in result.runs)
    }
    return environment.get_template("report.html.j2").render(
        result=result,
        rows=table,
        last=last,
        titles=TITLES,
        groups=list(_groups(result, last)),
        curves=curves,
        videos=_videos(result),
        branches=_branches,
        confusion=None if last.counts is None else Markup(drawings.confusion_matrix(last.counts, result.classes)),
        mistakes=[] if last.counts is None else _mistakes(last.counts, result.classes),
    )


def _branches(value: Mapping[str, Any] | Sequence[Any]) -> list[tuple[str, Any]]:
    """What hangs below a node of the provenance, with the key of each, "" in a sequence."""
    return list(value.items()) if isinstance(value, Mapping) else [("", part) for part in value]


def _videos(result: Result) -> list[int]:
    """The number of test videos of each class, summed over runs."""
    counts = np.zeros(len(result.classes), int)
    for run in result.runs:
        for id in (*run.scores[-1].ids, *run.scores[-1].failed):
            counts[list(result.labels[id])] += 1
    return counts.tolist()


def _shown(fraction: float) -> str:
    return "–" if math.isnan(fraction) else f"{100 * fraction:.1f}"


def _mistakes(counts: np.ndarray, classes: Sequence[str]) -> list[tuple[str, str, int, float]]:
    """The ten most frequent confusions: true class, predicted class, count, share of the true class."""
    wrong = counts[:, :-1] * ~np.eye(len(classes), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[:10]
    pairs = [divmod(int(place), len(classes)) for place in order]
    return [
        (classes[true], classes[predicted], int(wrong[true, predicted]), wrong[true, predicted] / counts[true].sum())
        for true, predicted in pairs
        if wrong[true, predicted]
    ]
