"""From an experiment to its report: trials, splits and seeds, fused and measured."""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from data.base import Dataset
from data.validation import Validation
from extractors.convnet3d.config import ConvNet3D
from pipeline.errors import InputError
from pipeline.files.atomic import write_text
from pipeline.fingerprint import fingerprint, short_digest
from pipeline.scoring.fusion_config import Fusion
from tasks import settings
from tasks.base import ConfigParameter, Root, Stage, origin
from tasks.experiment import DEFAULT, AnyStream, Experiment, load_experiment
from tasks.index import AnyDataset, Index, folds, library
from tasks.recipes import matching
from tasks.rows import labels
from tasks.training import Predict

if TYPE_CHECKING:
    from pipeline.results.result import Result

Streams = tuple[AnyStream, ...]
REPORT = ("report.html", "metrics.json", "table.txt", "predictions.csv", "classes.csv", "folds.json")
"""The files of a experiment_page."""


class Fuse(Stage):
    """The scores of all streams of one split and seed, joined by video id."""

    dataset = ConfigParameter[Dataset](AnyDataset)
    streams = ConfigParameter[Streams](Streams)
    fusion = ConfigParameter[Fusion](Fusion)
    fold = luigi.IntParameter()
    seed = luigi.IntParameter()

    def predictions(self) -> list[Predict]:
        """The scores that are fused."""
        return [predict(self.dataset, stream, self.fold, self.seed) for stream in self.streams]

    def validations(self) -> list[Predict]:
        """The scores by which weights are chosen, of the streams that are weighted: none where weights are given."""
        choose = self.fusion.choose
        if choose is None:
            return []
        part = Validation(of=self.dataset, share=choose.validation, seed=choose.seed)
        weighted = self.streams[:-1] if self.fusion.times_last else self.streams
        return [predict(part, stream, self.fold, self.seed) for stream in weighted]

    def requires(self) -> list[Predict]:
        return [*self.predictions(), *self.validations()]

    @property
    def fingerprint(self) -> str:
        return fingerprint("Fuse", self.fusion.significant(str), self.upstream.values())

    @property
    def upstream(self) -> dict[str, str]:
        """The fingerprint of each stream's scores."""
        fused = {stage.stream.title: stage.fingerprint for stage in self.predictions()}
        return fused | {f"validation of {stage.stream.title}": stage.fingerprint for stage in self.validations()}

    def origin(self, **more: Any) -> dict[str, Any]:
        return origin(self, self.fusion.significant(str), self.upstream, **more)

    def path(self) -> Path:
        return settings.store() / self.dataset.store_name / f"fused-{self.fingerprint}" / "scores.npz"

    def compute(self) -> None:
        from pipeline.scoring.late_fusion import fuse
        from pipeline.scoring.scores import Scores
        from pipeline.scoring.weight_search import choose

        scores, validated = (
            [Scores.load(stage.path()) for stage in stages] for stages in (self.predictions(), self.validations())
        )
        if not validated:
            fuse(scores, self.fusion).save(self.path(), self.origin())
            return
        choice = choose(validated, labels(library(self.dataset)), self.fusion)
        fuse(scores, self.fusion.by(choice.weights)).save(self.path(), self.origin(choice=choice._asdict()))


class Evaluate(Root):
    """One experiment: every fold and seed of it, and a report of the figures beside the paper's."""

    experiment = luigi.Parameter(default=DEFAULT, description="a bundled experiment's name, or a TOML file's path")

    @cached_property
    def recipe(self) -> Experiment:
        """What the experiment's file says."""
        return load_experiment(self.experiment)

    @property
    def index(self) -> Index:
        """What must be known before any other path is."""
        return Index(dataset=self.recipe.dataset.without_protocol())

    @property
    def runs(self) -> list[tuple[int, int]]:
        """Fold and seed of every run."""
        return [(fold, seed) for fold in range(len(folds(self.recipe.dataset))) for seed in self.recipe.seeds]

    def predictions(self, fold: int, seed: int) -> list[Predict]:
        """The scores of each stream."""
        return [predict(self.recipe.dataset, stream, fold, seed) for stream in self.recipe.streams_of(seed)]

    def results(self, fold: int, seed: int) -> list[Stage]:
        """What one run needs: the streams' scores, or their fusion, which requires them."""
        if self.recipe.fusion is None:
            return list(self.predictions(fold, seed))
        recipe, streams = self.recipe, self.recipe.streams_of(seed)
        return [Fuse(dataset=recipe.dataset, streams=streams, fusion=recipe.fusion, fold=fold, seed=seed)]

    @property
    def fingerprint(self) -> str:
        inputs = [stage.fingerprint for run in self.runs for stage in self.results(*run)]
        return fingerprint("Evaluate", json.loads(self.recipe.canonical()), inputs)

    def folder(self) -> Path:
        """The folder of the experiment_page."""
        return settings.store() / self.recipe.dataset.store_name / f"evaluate-{self.fingerprint}"

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(str(self.folder() / "report.html"))

    def up_to_date(self) -> bool:
        """Whether the report is there for the files as they are, with no more failures than are allowed."""
        if not self.index.complete():
            return False
        return self.shortcoming() is None

    def shortcoming(self) -> str | None:
        """Why the report that is there does not do; None where it does."""
        for name in REPORT:
            if not (self.folder() / name).exists():
                return f"{name} is missing"
        try:
            failures = json.loads((self.folder() / "metrics.json").read_text(encoding="utf-8"))["failures"]
        except ValueError:
            return "metrics.json is damaged"
        allowed = settings.current().max_failed_videos
        if len(failures) > allowed:
            return f"more videos could not be used than max_failed_videos in [kinescope] allows ({allowed})"
        return None

    def run(self) -> Iterator[Any]:
        result = yield from self.read_when_complete(self.needed, self.report)
        if not self.up_to_date():
            print(f"\n{self.summary()}", flush=True)
        self.allow(result.failures, f"they count as wrong in {self.folder() / 'report.html'}")

    def needed(self) -> Iterator[Any]:
        """The index, without which no other path is known, and what the report reads."""
        yield self.index
        yield self.stages()

    def report(self) -> "Result":
        """Write the files of the experiment_page, and return what they tell."""
        from pipeline.report import experiment_page
        from tasks.reporting.results import gather

        with settings.exclusive(self.folder()):
            result = gather(self)
            experiment_page.write(result, self.folder())
        return result

    def stages(self) -> list[Stage]:
        """All that the report reads, each once: features, what was fitted for them, curves of the training, scores."""
        predictions = [stage for run in self.runs for stage in self.predictions(*run)]
        results = [stage for run in self.runs for stage in self.results(*run)]
        features = dict.fromkeys(stage for each in predictions for stage in each.features)  # which runs may share
        fitted = [fit for stage in features for fit in stage.fitting().values()]
        learnt = [needed for stage in predictions for needed in (*stage.reduction(), *stage.training())]
        return list(dict.fromkeys([*features, *self.mapped(), *fitted, *learnt, *predictions, *results]))

    def mapped(self) -> list[Stage]:
        """The frames that feature maps of the first run's 3D-ConvNets are drawn from."""
        drawn = [stage for prediction in self.predictions(*self.runs[0]) for stage in prediction.features]
        convnets = [stage for stage in drawn if isinstance(stage.extractor, ConvNet3D)]
        return [source for stage in convnets if (source := stage.source())]

    def summary(self) -> str:
        """The table for the terminal, and where the report is."""
        return f"{(self.folder() / 'table.txt').read_text()}\nreport: {self.folder() / 'report.html'}"


class Names(luigi.ListParameter):  # type: ignore[type-arg]
    """Names of experiments; on the command line they are JSON."""

    def parse(self, text: str) -> Any:
        try:
            return super().parse(text)
        except ValueError:
            raise InputError(f"names in JSON are needed, such as '[\"{DEFAULT}\"]', not {text!r}") from None


class EvaluateAll(Root):
    """Several experiments, and one table of what was measured beside what was reported."""

    experiments = Names(description="names of bundled experiments, patterns of them such as kth1-*, or paths of files")

    @property
    def evaluations(self) -> list[Evaluate]:
        """One task an experiment."""
        return [Evaluate(experiment=name) for pattern in self.experiments for name in matching(pattern)]

    def up_to_date(self) -> bool:
        complete = all(task.complete() for task in self.evaluations)
        return complete and self._path("md").exists() and self._path("html").exists()

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

    def needed(self) -> Iterator[Any]:
        """The experiments, and what their common page reads."""
        yield self.evaluations
        yield [stage for task in self.evaluations for stage in task.stages()]

    def page(self) -> str:
        """The common page."""
        from pipeline.report.comparison_page import page
        from tasks.reporting.comparison import gathered

        return page(gathered(self.evaluations, self._path("html")))

    def summary(self) -> str:
        """The table, and where it and the page are."""
        return f"{self._path('md').read_text()}\nreport: {self._path('html')}\ntable: {self._path('md')}"

    def _path(self, suffix: str) -> Path:
        name = short_digest([task.fingerprint for task in self.evaluations])
        return settings.store() / "tables" / f"{name}.{suffix}"


def predict(dataset: Dataset, stream: AnyStream, fold: int, seed: int) -> Predict:
    """The scores of one stream; a model that is not trained knows no seed."""
    return Predict(dataset=dataset, stream=stream, fold=fold, seed=seed if stream.model.trained else 0)


def _table_rows(task: Evaluate) -> Iterator[tuple[str, str, str, str, str]]:
    measured = json.loads((task.folder() / "metrics.json").read_text())
    for row in measured["rows"]:
        mean, deviation, count = row["summary"][measured["metric"]].values()
        figure = f"{mean:.2f}" + ("" if deviation is None else f" ± {deviation:.2f} ({count} runs)")
        reported = "" if row["reported"] is None else f"{row['reported']:.2f}"
        title = f"{measured['title']}: {row['name']}"
        yield title, measured["table"], measured["metric"], figure, reported


@Evaluate.event_handler(luigi.Event.SUCCESS)
@EvaluateAll.event_handler(luigi.Event.SUCCESS)
def _say_what_came_out(task: Evaluate | EvaluateAll) -> None:
    print(f"\n{task.summary()}", flush=True)


@Evaluate.event_handler(luigi.Event.DEPENDENCY_PRESENT)
@EvaluateAll.event_handler(luigi.Event.DEPENDENCY_PRESENT)
def _say_that_it_was_there(task: Evaluate | EvaluateAll) -> None:
    print(f"nothing had to be done\n\n{task.summary()}", flush=True)
