"""What several experiments came to, as their common page wants it."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.report.comparison_page import Compared
from pipeline.results.experiment_figure import MeasuredFigure
from pipeline.results.sweeps import flat
from pipeline.scoring.metrics import Summary
from pipeline.training.curves import Curves
from tasks.reporting.results import curves
from tasks.reporting.traces import clips

if TYPE_CHECKING:
    from tasks.evaluation import Evaluate

_TOLD: Any = {
    "title": True,
    "table": True,
    "notes": True,
    "reported": True,
    "streams": {"__all__": {"label", "reported"}},
}
"""What a recipe says to its reader alone."""


def gathered(evaluations: Sequence["Evaluate"], page: Path) -> list[Compared]:
    """Each experiment, read from its report and its finished stages; page: where they are put side by side."""
    titles = Counter(task.recipe.title for task in evaluations)
    return [
        _compared(task, task.recipe.title if titles[task.recipe.title] == 1 else _told_apart(task), page)
        for task in evaluations
    ]


def _told_apart(task: "Evaluate") -> str:
    return f"{task.recipe.title} ({task.experiment})"


def _compared(task: "Evaluate", title: str, page: Path) -> Compared:
    streams = [stream.title for stream in task.recipe.streams]
    names = {name: title if len(streams) == 1 else f"{title}: {name}" for name in streams}
    trained: dict[str, list[Curves]] = {names[name]: [] for name in streams}
    for run in task.runs:
        for prediction in task.predictions(*run):
            trained[names[prediction.stream.title]] += filter(None, [curves(prediction)])
    told = json.loads((task.folder() / "metrics.json").read_text(encoding="utf-8"))
    own = told["rows"][-1]
    shares = own["average_precision"] or own["class_accuracy"] or [None] * len(told["classes"])
    return Compared(
        title=title,
        table=task.recipe.table,
        dataset=task.recipe.dataset.store_name,
        parameters=flat(task.recipe.model_dump(mode="json", exclude=_TOLD)),
        page=Path(os.path.relpath(task.folder() / "report.html", page.parent)).as_posix(),
        figures=tuple(
            MeasuredFigure(row["name"], told["metric"], Summary(**row["summary"][told["metric"]]), row["reported"])
            for row in told["rows"]
        ),
        classes={name: share / 100 for name, share in zip(told["classes"], shares, strict=True) if share is not None},
        curves={name: runs for name, runs in trained.items() if runs},
        clips=tuple(
            replace(clip, traces={names[name]: trace for name, trace in clip.traces.items()}) for clip in clips(task)
        ),
    )
