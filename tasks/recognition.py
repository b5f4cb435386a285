"""Puts what an experiment trained together into a recognizer, which then answers about other videos."""

import json
import logging
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import luigi

from data.everything import Everything
from pipeline.config import parse
from pipeline.errors import InputError
from pipeline.files.atomic import link
from pipeline.fingerprint import short_digest
from pipeline.results import recognizer
from pipeline.results.recognizer import Answering, Member, Recognizer
from tasks import settings
from tasks.announced import Announced
from tasks.base import Stage, versions
from tasks.experiment import Experiment, load_experiment
from tasks.features import ExtractionStage
from tasks.index import Index, folds, index, library
from tasks.parts import part_key
from tasks.rows import labels
from tasks.runs import Runs
from tasks.training import Predict
from tasks.training_classes import check_training_classes


class Training:
    """What an experiment must have fitted before its runs answer.

    Parameters
    ----------
    experiment
        The recipe.
    answering
        Which of its runs answer.
    """

    def __init__(self, experiment: Experiment, answering: Answering) -> None:
        self.recipe, self.answering = experiment, answering
        if answering == "everything":
            if experiment.fusion is not None and experiment.fusion.choose is not None:
                raise InputError(
                    "what is trained on everything leaves no video to choose the fusion's weights on: give the weights"
                )
            whole = Everything(of=experiment.dataset.plain)
            experiment = experiment.model_copy(update={"dataset": whole, "seeds": experiment.seeds[:1]})
        self.runs = Runs(experiment)

    @property
    def index(self) -> Index:
        """Index of the labelled videos."""
        return index(self.runs.recipe.dataset, self.runs.recipe.extractors)

    def has_videos(self) -> bool:
        """Return whether the folder of the labelled videos is there."""
        try:
            settings.data_root(self.runs.recipe.dataset)
        except InputError:
            return False
        return True

    def fits(self) -> list[Stage]:
        """List what fits the parts of the recognizer, and chooses weights of a fusion."""
        fitted = [stage for each in self._predictions() for _, stage in _parts(each)]
        fusion = self.runs.recipe.fusion
        chosen = [stage for pair in self._pairs() for stage in self.runs.results(*pair)]
        on_training = [stage for pair in self._pairs() for stage in self._on_training(*pair)]
        return list(dict.fromkeys([*fitted, *(chosen if fusion and fusion.choose else []), *on_training]))

    def _on_training(self, fold: int, seed: int) -> list[Stage]:
        """What a run says of its training videos, where a threshold is chosen by that."""
        trained = self.runs.trained()
        return [] if trained is None else trained.results(fold, seed)

    def assemble(self, recognizers: Path) -> Path:
        """Make the recognizer of what was fitted, and return its folder, below ``recognizers``.

        Raises DamagedStore where a part is damaged, which is then set aside.
        """
        from pipeline.files import tensors

        dataset = self.runs.recipe.dataset
        files = {key: stage.path() for each in self._predictions() for key, stage in _parts(each)}
        parts = {key: f"{path.parent.name}/{path.name}" for key, path in files.items()}
        sources = {parts[key]: path for key, path in files.items()}
        for path in sources.values():
            tensors.read(path)  # or else damage would get a recognizer of its own
        contents = Recognizer(
            experiment=json.loads(self.recipe.canonical()),
            classes=library(dataset).listing.classes,
            folds=tuple(fold.name for fold in folds(dataset)),
            positive=None if self.runs.positive is None else library(dataset).listing.classes[self.runs.positive],
            members=tuple(self._member(*pair) for pair in self._pairs()),
            parts=parts,
            digests={name: recognizer.digest(path) for name, path in sources.items()},
            provenance={"versions": versions()},
        )
        return recognizer.assemble(recognizers, contents, sources)

    def _pairs(self) -> list[tuple[int, int]]:
        return self.runs.pairs if self.answering == "all" else self.runs.pairs[:1]

    def _predictions(self) -> list[Predict]:
        return [stage for pair in self._pairs() for stage in self.runs.predictions(*pair)]

    def _member(self, fold: int, seed: int) -> Member:
        """Return a run, its fusion with the weights that it chose, and the threshold of its training videos."""
        fusion = self.runs.recipe.fusion
        if fusion is not None and fusion.choose:
            from pipeline.scoring.scores import provenance

            (fused,) = self.runs.results(fold, seed)
            fusion = fusion.with_weights(tuple(provenance(fused.path())["choice"]["weights"]))
        chosen = None if fusion is None else fusion.model_dump(mode="json")
        return Member(fold=fold, seed=seed, fusion=chosen, threshold=self._threshold(fold, seed))

    def _threshold(self, fold: int, seed: int) -> float | None:
        """Return the probability from which on the class that is to be detected is; None where there is no such."""
        from pipeline.scoring.detection import best_threshold
        from pipeline.scoring.scores import Scores

        positive, on_training = self.runs.positive, self._on_training(fold, seed)
        if positive is None or not on_training:
            return None
        scores, known = Scores.load(on_training[0].path()), labels(library(self.runs.recipe.dataset))
        return best_threshold(scores.probabilities(), [known[id] for id in scores.ids], positive)


def _parts(prediction: Predict) -> Iterator[tuple[str, Stage]]:
    """Yield the fitted parts that a prediction reads, with the names by which a recognizer knows them."""
    numbers = {fold.name: number for number, fold in enumerate(folds(prediction.dataset))}
    for network in prediction.training():
        yield part_key("network", prediction.fold, prediction.stream, prediction.seed), network
    for reading in prediction.readings:
        for reducer in reading.reduction():
            yield part_key("reducer", reading.fold, reading.input, reading.reads), reducer
        stage: ExtractionStage | None = reading.features
        while stage is not None:
            for name, fit in stage.fitting().items():
                yield part_key("fit", numbers[name], stage.extractor), fit
            stage = stage.source()


def recognizers() -> Path:
    """Return the folder of all recognizers in the store."""
    return settings.store() / "recognizers"


def former(experiment: Experiment) -> list[Path]:
    """Return the links to the recognizers that an experiment led to last, for each choice of its runs."""
    return [_link(experiment, answering) for answering in get_args(Answering)]


def _link(experiment: Experiment, answering: Answering) -> Path:
    return recognizers() / f"of-{short_digest([experiment.canonical(), answering])}"


def check_experiment(experiment: str) -> None:
    """Raise InputError where there is no such experiment, and no such packed recognizer."""
    if not recognizer.is_packed(Path(experiment)):
        load_experiment(experiment)


class Recognition(Announced):
    """Task that needs a recognizer: of an experiment, or one that was packed."""

    experiment = luigi.Parameter(
        description="a bundled experiment's name, a TOML file's path, or a file that kinescope pack wrote"
    )
    runs = luigi.ChoiceParameter(
        default="first",
        choices=get_args(Answering),
        description="the runs that answer: the first fold and seed, all as the mean of their probabilities, or one "
        "that is trained on everything that is labelled",
    )

    @cached_property
    def training(self) -> Training | None:
        """What is fitted first; None where the recognizer was packed, or is all that is left of the experiment."""
        if recognizer.is_packed(Path(self.experiment)):
            return None
        training = Training(load_experiment(self.experiment), self.runs)
        return None if self._former.exists() and not training.has_videos() else training

    @cached_property
    def recognizer(self) -> Path:
        """Folder of the recognizer, once its parts are there."""
        if self.training is not None:
            folder = self.training.assemble(recognizers())
            link(self._former, folder.name)
            return folder
        if recognizer.is_packed(Path(self.experiment)):
            return recognizer.unpack(Path(self.experiment), recognizers())
        said = f"the labelled videos of {self.experiment} are not there: what was trained on them before answers"
        logging.getLogger("luigi-interface").warning(said)
        return self._former.resolve()

    @property
    def _former(self) -> Path:
        """Link to the recognizer that the same experiment led to last."""
        return _link(load_experiment(self.experiment), self.runs)

    @cached_property
    def contents(self) -> Recognizer:
        """Contents of the recognizer."""
        return recognizer.read(self.recognizer)

    @cached_property
    def recipe(self) -> Experiment:
        """The experiment of the recognizer; files that are packed with it are named by their paths."""
        experiment: Experiment = parse(Experiment, self.contents.experiment)
        packed = self.contents.digests
        return experiment.located(lambda file: str(self.recognizer / file) if file in packed else file)

    def needed(self) -> Iterator[Any]:
        """Yield what fits the parts of the recognizer, and put it together.

        Raises InputError where a file is missing or not what is needed.
        """
        if (folder := self.__dict__.get("recognizer")) is not None and not recognizer.is_whole(folder):
            del self.__dict__["recognizer"]  # damaged parts were set aside: it is put together again
        yield from self._fitting()
        self.recognizer  # noqa: B018 (it is put together where it is not there)

    def foreseen(self) -> Iterator[Any]:
        return self._fitting()

    @property
    def afterwards(self) -> str:
        return "what was trained is put to use"

    def _fitting(self) -> Iterator[Any]:
        if self.training is not None:
            yield self.training.index
            check_training_classes(self.training.runs.recipe.dataset)
            self.training.runs.check_files()
            yield self.training.fits()
