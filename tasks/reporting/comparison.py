"""Gathers several experiments for their common page."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.report.comparison_page import Compared
from pipeline.results.experiment_figure import MeasuredFigure
from pipeline.results.report_files import read_figures
from pipeline.results.sweeps import flat
from pipeline.training.curves import Curves
from tasks import settings
from tasks.reporting.results import curves
from tasks.reporting.traces import clips
from tasks.runs import Runs

_TOLD: Any = {
    "title": True,
    "table": True,
    "notes": True,
    "reported": True,
    "streams": {"__all__": {"label", "reported"}},
}
"""What a recipe says to its reader alone."""


class Evaluated(NamedTuple):
    """A finished experiment: its name or path as it was given, its runs, and the folder of its report."""

    experiment: str
    runs: Runs
    folder: Path

    @property
    def title(self) -> str:
        """Title of the recipe."""
        return self.runs.recipe.title


def compared(experiments: Sequence[Evaluated], page: Path) -> list[Compared]:
    """Read each experiment from its report and its finished stages; ``page`` is where they are set side by side."""
    titles = Counter(each.title for each in experiments)
    return [
        _compared(each, each.title if titles[each.title] == 1 else f"{each.title} ({each.experiment})", page)
        for each in experiments
    ]


def _compared(evaluated: Evaluated, title: str, page: Path) -> Compared:
    runs, recipe = evaluated.runs, evaluated.runs.recipe
    streams = [stream.title for stream in recipe.streams]
    names = {name: title if len(streams) == 1 else f"{title}: {name}" for name in streams}
    trained: dict[str, list[Curves]] = {names[name]: [] for name in streams}
    for prediction in runs.all_predictions():
        trained[names[prediction.stream.title]] += filter(None, [curves(prediction)])
    told = read_figures(evaluated.folder)
    own = told.rows[-1]
    shares = own.average_precision or own.class_accuracy or [None] * len(told.classes)
    return Compared(
        title=title,
        table=recipe.table,
        dataset=settings.dataset_folder(recipe.dataset).name,
        parameters=flat(recipe.model_dump(mode="json", exclude=_TOLD)),
        page=Path(os.path.relpath(evaluated.folder / "report.html", page.parent)).as_posix(),
        figures=tuple(
            MeasuredFigure(row.name, told.metric, row.summary[told.metric], row.reported) for row in told.rows
        ),
        classes={name: share / 100 for name, share in zip(told.classes, shares, strict=True) if share is not None},
        failed=len(told.failures),
        curves={name: runs for name, runs in trained.items() if runs},
        clips=tuple(
            replace(clip, traces={names[name]: trace for name, trace in clip.traces.items()}) for clip in clips(runs)
        ),
    )
