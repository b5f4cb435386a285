"""Writes the report of one experiment: a self-contained HTML page, a text table, and every number as JSON and CSV.

All figures are in percent. The last row of every table is the experiment's own: the fusion, or the only stream.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.files.atomic import write_text
from pipeline.report import html, plots, timelines
from pipeline.report.illustrations import Illustrations
from pipeline.results import per_class, tables
from pipeline.results.per_class import ClassFigure
from pipeline.results.report_files import write_figures
from pipeline.results.result import Result, StreamFigures, groups
from pipeline.scoring import metrics
from pipeline.scoring.detection import Detection

LONGEST_BRANCH = 100
"""More entries of one node of the provenance are left to metrics.json."""


class Confused(NamedTuple):
    """Confusion of one class with another: how many videos, and their share of the class's videos."""

    true: str
    predicted: str
    videos: int
    share: float


def write(result: Result, illustrations: Illustrations, folder: Path) -> None:
    """Write the files of a report, last the figures, which hold the others' digests.

    Parameters
    ----------
    result
        Figures of all runs.
    illustrations
        Pictures of the first run.
    folder
        Gets ``table.txt``, ``predictions.csv``, ``classes.csv``, ``folds.json``, ``report.html`` and ``metrics.json``,
        each written atomically.
    """
    write_text(folder / "table.txt", tables.text_table(result) + "\n")
    write_text(folder / "predictions.csv", tables.predictions(result))
    write_text(folder / "classes.csv", tables.class_figures(result))
    write_text(folder / "folds.json", json.dumps(result.folds, indent=1) + "\n")
    write_text(folder / "report.html", _page(result, illustrations))
    write_figures(folder, tables.numbers(result))


def _page(result: Result, illustrations: Illustrations) -> str:
    last = result.rows[-1]
    networks = [stream.name for stream in result.streams]
    known = per_class.figures(result)
    return html.render(
        "report.html.j2",
        result=result,
        rows=result.rows,
        illustrations=illustrations,
        last=last,
        titles=tables.TITLES,
        tested=len({id for ids in result.tested for id in ids}),
        scale=_scale(result),
        by_fold=_by_fold(result),
        groups=list(groups(result, last)),
        class_figures=_best_first(known, lambda figure: figure.share),
        best=per_class.best_stream(result),
        gains=_best_first((each for each in known if not math.isnan(each.gain)), lambda figure: figure.gain),
        order=per_class.in_groups(result),
        mistakes=_mistakes(last, result.classes),
        curves=_curves(result),
        together=_together(result),
        detections=_detections(result),
        timelines=timelines.drawn(illustrations.clips, networks),
        networks=networks,
        failed_column=int(last.counts is not None and last.counts[:, -1].any()),
        failed_runs={id: sum(id in run.final.failed for run in result.runs) for id in result.failures},
        branches=_branches,
        longest_branch=LONGEST_BRANCH,
    )


def _curves(result: Result) -> dict[str, list[str]]:
    """Drawings by the name of the stream, for those that were trained."""
    names = [run.name for run in result.runs]
    return {
        stream.name: plots.training_curves(f"curves-{place}", names, [run.curves[place] for run in result.runs])
        for place, stream in enumerate(result.streams)
        if any(run.curves[place] for run in result.runs)
    }


def _together(result: Result) -> str:
    """The losses of several trained streams in one drawing; "" where there are not several."""
    curves = {
        stream.name: [curve for run in result.runs if (curve := run.curves[place])]
        for place, stream in enumerate(result.streams)
    }
    trained = {name: runs for name, runs in curves.items() if runs}
    return plots.losses("losses", trained, list(curves)) if len(trained) > 1 else ""


def _detections(result: Result) -> dict[str, Detection]:
    """Of a single run those of each row, of several those of the last row in each run."""
    if len(result.runs) == 1:
        return {row.name: row.detections[0] for row in result.rows if row.detections}
    return {run.name: found for run, found in zip(result.runs, result.rows[-1].detections, strict=False)}


def _scale(result: Result) -> tuple[int, int]:
    """The ends, in percent, of the axis on which all runs and reported figures are drawn."""
    figures = [value for row in result.rows for value in row.percent(result.metric)]
    figures += [row.reported for row in result.rows if row.reported is not None]
    low, high = 5 * math.floor(min(figures) / 5), 5 * math.ceil(max(figures) / 5)
    return (low, high) if low < high else (max(0, low - 5), min(100, low + 5))


def _by_fold(result: Result) -> list[tuple[str, int, list[metrics.Summary]]]:
    """Of several folds with several seeds each: name, number of runs, and each row's figure over the seeds."""
    folds = dict.fromkeys(run.fold for run in result.runs)
    if not 1 < len(folds) < len(result.runs):
        return []
    made = []
    for fold in folds:
        places = [place for place, run in enumerate(result.runs) if run.fold == fold]
        figures = [metrics.summary([row.percent(result.metric)[place] for place in places]) for row in result.rows]
        made.append((fold, len(places), figures))
    return made


def _best_first(known: Iterable[ClassFigure], by: Callable[[ClassFigure], float]) -> list[ClassFigure]:
    """Classes without test videos come last."""
    return sorted(known, key=lambda figure: math.inf if math.isnan(by(figure)) else -by(figure))


def _mistakes(row: StreamFigures, classes: Sequence[str]) -> list[Confused]:
    """The ten most frequent confusions."""
    if row.counts is None or row.confusion is None:
        return []
    wrong = row.counts[:, :-1] * ~np.eye(len(classes), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[:10]
    pairs = [divmod(int(place), len(classes)) for place in order]
    return [
        Confused(classes[true], classes[found], int(wrong[true, found]), float(row.confusion[true, found]))
        for true, found in pairs
        if wrong[true, found]
    ]


def _branches(value: Mapping[str, Any] | Sequence[Any]) -> list[tuple[str, Any]]:
    """What hangs below a node of the provenance, with the key of each, "" in a sequence; the first hundred."""
    pairs = value.items() if isinstance(value, Mapping) else (("", part) for part in value)
    return list(islice(pairs, LONGEST_BRANCH))
