"""Formats results as tables for the terminal, Markdown, ``metrics.json`` and CSV files. Figures are in percent."""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pipeline.results import per_class
from pipeline.results.result import FUSION, Result, Run, groups
from pipeline.scoring.detection import Detection
from pipeline.scoring.metrics import Summary
from pipeline.scoring.scores import Scores
from pipeline.scoring.weight_search import Choice

_FORMULA = re.compile(r"\s*[=+\-@\t\r＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
TITLES = {
    "accuracy": "accuracy",
    "mean_class_accuracy": "mean class accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "top5": "top 5",
    "mAP": "mAP",
    "auc": "AUC",
    "AP": "average precision",
    "f1": "F1 at the threshold",
}


def text_table(result: Result) -> str:
    """Format the table for the terminal: stream, measured, reported, difference."""
    cells = _cells(result)
    table = ruled(cells, numbers=len(cells[0]) - 1)
    failed = [f"videos that could not be used, and count as wrong: {len(result.failures)}"] if result.failures else []
    return "\n".join([result.title, *table, *failed])


def aligned(rows: Sequence[Sequence[str]], *, numbers: int = 0, indent: str = "") -> Iterator[str]:
    """Yield rows of cells as lines with aligned columns; the last ``numbers`` columns are aligned right.

    Examples
    --------
    >>> print(*aligned([("stream", "%"), ("rgb", "78.79")], numbers=1), sep="\\n")
    stream      %
    rgb     78.79
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    first_number = len(widths) - numbers
    for row in rows:
        cells = enumerate(zip(row, widths, strict=True))
        padded = [cell.ljust(width) if place < first_number else cell.rjust(width) for place, (cell, width) in cells]
        line = indent + "  ".join(padded)
        yield line if numbers else line.rstrip()


def ruled(rows: Sequence[Sequence[str]], *, numbers: int = 0) -> list[str]:
    """Format rows of cells, the first the header, which a rule follows, as lines with aligned columns."""
    rule = ["─" * max(map(len, column)) for column in zip(*rows, strict=True)]
    return list(aligned([rows[0], rule, *rows[1:]], numbers=numbers))


def markdown_table(cells: Iterable[Sequence[str]], numbers: int) -> str:
    """Format rows of cells, the first the header, as Markdown; the last ``numbers`` columns are aligned right."""
    header, *lines = ([re.sub(r"([\\|`*_<\[])", r"\\\1", cell) for cell in row] for row in cells)
    marks = ["---"] * (len(header) - numbers) + ["---:"] * numbers
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, marks, *lines))


def _cells(result: Result) -> list[list[str]]:
    source = f"reported ({result.table})" if result.table else "reported"
    lines = [["stream", f"{TITLES[result.metric]} [%]", source, "difference"]]
    for row in result.rows:
        measured = row.summary(result.metric)
        difference = "" if row.reported is None else f"{measured.mean - row.reported:+.2f}"
        lines.append([row.name, plus_minus(measured), "" if row.reported is None else f"{row.reported:g}", difference])
    return lines


def plus_minus(summary: Summary) -> str:
    """Format a mean, with its standard deviation where there are several runs; a dash where no run has a value."""
    if math.isnan(summary.mean):
        return "–"
    return f"{summary.mean:.2f}" + ("" if summary.deviation is None else f" ± {summary.deviation:.2f}")


def shown(fraction: float) -> str:
    """Format a fraction in percent, a dash where it is NaN."""
    return "–" if math.isnan(fraction) else f"{100 * fraction:.1f}"


def signed(value: float) -> str:
    """Format a difference with its sign, a true minus."""
    return f"{value:+.2f}".replace("-", "−")


def _percent(fraction: float) -> float | None:
    return None if math.isnan(fraction) else round(100 * float(fraction), 6)


def numbers(result: Result) -> dict[str, Any]:
    """Return the content of ``metrics.json``: figures in percent, null where there is none.

    intervals: 95 % confidence intervals over a run's test videos (``pipeline.scoring.confidence``); confusion: counts
    summed over runs; confusion_percent: percentages of each row, averaged over runs; weights: those
    of the fusion if they were chosen, and the videos that they were chosen on; positive: the class that is detected, of
    two; detection: of each run its curves over all thresholds, and precision and recall at the one that was chosen on
    the training videos, as fractions.
    """
    return {
        "title": result.title,
        "table": result.table,
        "metric": result.metric,
        "unit": "percent",
        "notes": list(result.notes),
        "classes": list(result.classes),
        "positive": None if result.positive is None else result.classes[result.positive],
        "rows": [
            {
                "name": row.name,
                "reported": row.reported,
                "summary": {name: row.summary(name)._asdict() for name in row.figures[0] if row.summary(name).runs},
                "runs": [
                    {
                        "fold": run.fold,
                        "seed": run.seed,
                        **{name: _percent(value) for name, value in figures.items()},
                        "intervals": {name: [_percent(end) for end in ends] for name, ends in intervals.items()},
                    }
                    for run, figures, intervals in zip(result.runs, row.figures, row.intervals, strict=True)
                ],
                "detection": [_detection(each) for each in row.detections],
                "class_accuracy": None if row.recall is None else [_percent(value) for value in row.recall],
                "average_precision": None if row.precision is None else [_percent(value) for value in row.precision],
                "groups": {name: _percent(share) for name, share, _ in groups(result, row)},
                "confusion": None if row.counts is None else row.counts.tolist(),
                "confusion_percent": None
                if row.confusion is None
                else [[_percent(share) for share in shares] for shares in row.confusion],
            }
            for row in result.rows
        ],
        "weights": [_choice(run, run.choice) for run in result.runs if run.choice],
        "explained": [
            {
                "reducer": each.reducer,
                "fold": each.fold,
                "components": each.components,
                "energy": _percent(each.energy),
            }
            for each in result.explained
        ],
        "failures": {
            id: {"reason": failure.reason, "frames_decoded": failure.frames_decoded}
            for id, failure in result.failures.items()
        },
        "provenance": result.provenance,
    }


def _detection(found: Detection) -> dict[str, Any]:
    """The curves of one run, and what the threshold leads to, as fractions."""
    curves = {name: getattr(found, name).tolist() for name in ("false_positive_rate", "recall", "precision")}
    there = {"threshold": found.threshold, "precision_there": found.precision_there, "recall_there": found.recall_there}
    return {
        **{name: None if math.isnan(value) else value for name, value in there.items()},
        **{name: [None if math.isnan(value) else value for value in values] for name, values in curves.items()},
    }


def _choice(run: Run, choice: Choice) -> dict[str, Any]:
    """The weights of one run's fusion, and the videos that they were chosen on."""
    told = {"fold": run.fold, "seed": run.seed, **choice._asdict()}
    return told | {"accuracy": _percent(choice.accuracy), "alone": [_percent(share) for share in choice.alone]}


def predictions(result: Result) -> str:
    """Write ``predictions.csv``: one line a run, stream and test video.

    Labels are joined by "|"; nothing is predicted of a failed video.
    """
    lines: list[Sequence[object]] = []
    for run in result.runs:
        names = [stream.name for stream in result.streams]
        for name, scores in zip([*names, FUSION], [*run.scores, run.fused], strict=True):
            if scores is not None:
                lines += ([run.fold, run.seed, name, *line] for line in _verdicts(result, scores))
    return csv_text(["fold", "seed", "stream", "video", "labels", "predicted", "probability", "correct"], lines)


def class_figures(result: Result) -> str:
    """Write ``classes.csv``: one line a class, group by group: test videos, each row's figure, gain of the fusion.

    Figures and gains are in percent; empty where there is none.
    """
    best = per_class.best_stream(result)
    gain = [] if best is None else [f"gain over {best.name}"]
    lines: list[Sequence[object]] = []
    known = per_class.figures(result)
    for group in per_class.in_groups(result):
        for figure in (known[place] for place in group.places if known):
            shares = [*figure.streams, figure.share, *([figure.gain] if gain else [])]
            cells = ["" if math.isnan(share) else f"{100 * share:.4f}" for share in shares]
            lines.append([group.name, figure.name, figure.videos, *cells])
    return csv_text(["group", "class", "test videos", *(row.name for row in result.rows), *gain], lines)


def csv_text(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Format lines as CSV of which a spreadsheet runs nothing.

    A text that a spreadsheet would take for a formula gets an apostrophe before it, which marks a text there; a number,
    such as -1.5, stays as it is.

    Examples
    --------
    >>> print(csv_text(["class", "gain"], [["=1+1", "-1.5"], ["walk", ""]]), end="")
    class,gain
    '=1+1,-1.5
    walk,
    """
    text = io.StringIO()
    for line in (header, *lines):
        breaks = any("\r" in str(cell) for cell in line)  # which the writer quotes only from Python 3.13 on
        table = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if breaks else csv.QUOTE_MINIMAL)
        table.writerow([_inert(cell) for cell in line])
    return text.getvalue()


def _inert(cell: object) -> object:
    runs = isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if runs else cell


def _verdicts(result: Result, scores: Scores) -> Iterator[list[str]]:
    probabilities = scores.probabilities()
    for id, row in zip(scores.ids, probabilities, strict=True):
        labels, best = result.labels[id], int(row.argmax())
        names = "|".join(result.classes[label] for label in labels)
        yield [id, names, result.classes[best], f"{row[best]:.6f}", str(int(best in labels))]
    for id in scores.failed:
        yield [id, "|".join(result.classes[label] for label in result.labels[id]), "", "", "0"]
