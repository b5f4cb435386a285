"""Evaluates one experiment and reports on it, or several and sets them side by side."""

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import luigi

from pipeline.errors import InputError
from pipeline.files.atomic import write_text
from pipeline.files.user_input import brief, read_json
from pipeline.fingerprint import fingerprint, short_digest
from pipeline.results import report_files
from pipeline.rows import Failure
from tasks import settings
from tasks.announced import Announced
from tasks.experiment import DEFAULT, Experiment, load_experiment
from tasks.index import Index, index
from tasks.pretrained_weights import known_name
from tasks.recipes import matching
from tasks.runs import Runs
from tasks.training_classes import check_training_classes

if TYPE_CHECKING:
    from pipeline.results.result import Result


class Report(Announced):
    """Report on one experiment, every fold and seed of it, however many of its videos could not be used."""

    experiment = luigi.Parameter(default=DEFAULT, description="a bundled experiment's name, or a TOML file's path")

    @cached_property
    def recipe(self) -> Experiment:
        """The experiment as its file says, validated."""
        return load_experiment(self.experiment)

    @cached_property
    def runs(self) -> Runs:
        """Runs of the experiment, one a fold and seed."""
        return Runs(self.recipe)

    @property
    def index(self) -> Index:
        """Manifest of the data set, without which no other path is known."""
        return index(self.recipe.dataset, self.recipe.extractors)

    @property
    def fingerprint(self) -> str:
        inputs = [stage.fingerprint for stage in self.runs.all_scores()]
        recipe = self.recipe.located(known_name).model_copy(update={"dataset": self.recipe.dataset.as_present})
        return fingerprint("Evaluate", json.loads(recipe.canonical()), inputs)

    def folder(self) -> Path:
        """Folder of the report."""
        return settings.dataset_folder(self.recipe.dataset) / f"evaluate-{self.fingerprint}"

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(str(self.folder() / "report.html"))

    def up_to_date(self) -> bool:
        """Return whether the report is there for the files as they are."""
        return self.index.complete() and self.shortcoming() is None

    def shortcoming(self) -> str | None:
        """Say why the report that is there does not do; None where it does."""
        return report_files.shortcoming(self.folder())

    def run(self) -> "Generator[Any, Any, Result]":
        return (yield from self.read_when_complete(self.needed, self.report))

    def needed(self) -> Iterator[Any]:
        """Yield the index, without which no other path is known, and then what the report reads.

        Raises InputError where the user's own division leaves a class that is tested without training videos, or a file
        that an extractor reads is not what it needs.
        """
        yield self.index
        check_training_classes(self.recipe.dataset)
        self.runs.check_files()
        yield self.runs.stages()

    def report(self) -> "Result":
        """Write the files of the report, and return the figures in them."""
        from pipeline.report.experiment_page import write
        from tasks.reporting.results import gather, illustrate

        with settings.exclusive(self.folder()):
            result = gather(self.runs, self.fingerprint)
            write(result, illustrate(self.runs, result), self.folder())
        return result

    def summary(self) -> str:
        """Return the table for the terminal, the command that asks about new videos, and the path of the report."""
        table, ask = (self.folder() / "table.txt").read_text(), f"kinescope predict {quote(self.experiment)} PATH…"
        return f"{table}\nnew videos: {ask}\nreport: {self.folder() / 'report.html'}"


class Evaluate(Report):
    """Evaluate one experiment, every fold and seed of it, and report its figures beside the paper's.

    It fails where more videos could not be used than the settings allow, when the report is written.
    """

    def shortcoming(self) -> str | None:
        if (found := super().shortcoming()) is not None:
            return found
        allowed = settings.current().max_failed_videos
        if len(self.failures()) > allowed:
            return f"more videos could not be used than max_failed_videos in [kinescope] allows ({allowed})"
        return None

    def failures(self) -> Mapping[str, Failure]:
        """Read from the report which videos could not be used."""
        told = report_files.read_figures(self.folder()).failures
        return {video: Failure(failure.reason, failure.frames_decoded) for video, failure in told.items()}

    def run(self) -> "Generator[Any, Any, Result]":
        result = yield from super().run()
        if not self.up_to_date():
            print(f"\n{self.summary()}", flush=True)
        self.allow(result.failures, f"they count as wrong in {self.folder() / 'report.html'}")
        return result


class Names(luigi.ListParameter):  # type: ignore[type-arg]
    """Names of experiments; on the command line they are JSON."""

    def parse(self, text: str) -> Any:
        with suppress(InputError):
            names = read_json(text, "a list of names")
            if isinstance(names, list) and all(isinstance(name, str) for name in names):
                return tuple(names)
        raise InputError(f"names in JSON are needed, such as '[\"{DEFAULT}\"]', not {brief(text)}")


class EvaluateAll(Announced):
    """Evaluate several experiments, and write one table and one page of measured and reported figures.

    It fails as ``Evaluate`` does where one of them does, when table and page are written.
    """

    experiments = Names(description="names of bundled experiments, patterns of them such as kth1-*, or paths of files")

    @property
    def evaluations(self) -> list[Evaluate]:
        """Tasks that evaluate the experiments, one each."""
        return [Evaluate(experiment=name) for pattern in self.experiments for name in matching(pattern)]

    def up_to_date(self) -> bool:
        complete = all(task.complete() for task in self.evaluations)
        return complete and report_files.as_recorded(self._path("json"), self._files)

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(str(self._path("html")))

    def run(self) -> Iterator[Any]:
        from pipeline.results.tables import markdown_table

        compared = yield from self.read_when_complete(self.needed, self.page)
        rows = [("experiment", "table", "metric", "measured [%]", "reported [%]")]
        for task in self.evaluations:
            rows += _table_rows(task)
        write_text(self._path("md"), markdown_table(rows, numbers=2) + "\n")
        write_text(self._path("html"), compared)
        report_files.write_digests(self._path("json"), self._files)
        short = [task for task in self.evaluations if not task.complete()]
        if short:
            print(f"\n{self.summary()}", flush=True)
            failures = {f"{task.experiment}: {id}": why for task in short for id, why in task.failures().items()}
            self.allow(failures, f"they count as wrong in {self._path('html')}")

    def needed(self) -> Iterator[Any]:
        """Yield the experiments, and then what their common page reads."""
        yield [Report(experiment=task.experiment) for task in self.evaluations]
        yield [stage for task in self.evaluations for stage in task.runs.stages()]

    def page(self) -> str:
        """Render the common page."""
        from pipeline.report.comparison_page import page
        from tasks.reporting.comparison import Evaluated, compared

        done = [Evaluated(task.experiment, task.runs, task.folder()) for task in self.evaluations]
        return page(compared(done, self._path("html")))

    def summary(self) -> str:
        """Return the table, and the paths of it and of the page."""
        return f"{self._path('md').read_text()}\nreport: {self._path('html')}\ntable: {self._path('md')}"

    @property
    def _files(self) -> tuple[str, str]:
        """Names of the table and the page."""
        return self._path("md").name, self._path("html").name

    def _path(self, suffix: str) -> Path:
        name = short_digest([task.fingerprint for task in self.evaluations])
        return settings.store() / "tables" / f"{name}.{suffix}"


def _table_rows(task: Evaluate) -> Iterator[tuple[str, str, str, str, str]]:
    told = report_files.read_figures(task.folder())
    for row in told.rows:
        mean, deviation, count = row.summary[told.metric]
        figure = f"{mean:.2f}" + ("" if deviation is None else f" ± {deviation:.2f} ({count} runs)")
        reported = "" if row.reported is None else f"{row.reported:.2f}"
        yield f"{told.title}: {row.name}", told.table, told.metric, figure, reported
