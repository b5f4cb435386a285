"""Lists the runs of an experiment and the stages that they consist of, for evaluation and reports alike."""

from typing import Self

from data.everything import Everything
from data.trained import Trained
from extractors.convnet3d.config import ConvNet3D
from pipeline.errors import InputError
from tasks.base import Stage
from tasks.experiment import Experiment
from tasks.fusion import Fuse, predict
from tasks.index import folds, library
from tasks.pretrained_weights import locate_weights
from tasks.training import Predict


class Runs:
    """Runs of an experiment, one a fold and seed, with their stages.

    Parameters
    ----------
    recipe
        The experiment; its data set must be indexed before anything is asked of its runs.
    """

    def __init__(self, recipe: Experiment) -> None:
        self.recipe = recipe

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """(fold number, seed) of every run."""
        return [(fold, seed) for fold in range(len(folds(self.recipe.dataset))) for seed in self.recipe.seeds]

    def predictions(self, fold: int, seed: int) -> list[Predict]:
        """List what scores the test videos of one run, stream by stream."""
        return [predict(self.recipe.dataset, stream, fold, seed) for stream in self.recipe.streams_of(seed)]

    def results(self, fold: int, seed: int) -> list[Stage]:
        """List what one run comes to: the streams' scores, or their fusion, which requires them."""
        if self.recipe.fusion is None:
            return list(self.predictions(fold, seed))
        recipe, streams = self.recipe, self.recipe.streams_of(seed)
        return [Fuse(dataset=recipe.dataset, streams=streams, fusion=recipe.fusion, fold=fold, seed=seed)]

    @property
    def positive(self) -> int | None:
        """Index of the class that is to be detected, where each video shows one of two; else None.

        Raises InputError where the recipe names one, and there is none of that name, or there are not two.
        """
        listing, named = library(self.recipe.dataset).listing, self.recipe.positive
        two = len(listing.classes) == 2 and all(len(video.labels) == 1 for video in listing.videos)
        if named and (not two or named not in listing.classes):
            found = ", ".join(listing.classes)
            raise InputError(
                f"positive = {named!r}: one of two classes is needed that no video shares; there are {found}"
            )
        return (listing.classes.index(named) if named else 1) if two else None

    def trained(self) -> Self | None:
        """Return the same runs, tested on their training videos, where a threshold is chosen by these; else None."""
        dataset = self.recipe.dataset
        everything = isinstance(dataset, Everything)
        if self.positive is None or not (everything or dataset.plain is dataset):
            return None
        trained = Trained(of=dataset.plain, everything=everything)
        return type(self)(self.recipe.model_copy(update={"dataset": trained}))

    def all_predictions(self) -> list[Predict]:
        """List what scores the test videos, run by run and stream by stream."""
        return [stage for run in self.pairs for stage in self.predictions(*run)]

    def all_results(self) -> list[Stage]:
        """List what all runs come to."""
        return [stage for run in self.pairs for stage in self.results(*run)]

    def all_scores(self) -> list[Stage]:
        """List what all runs come to, and where a threshold is chosen what they say of their training videos."""
        trained = self.trained()
        return [*self.all_results(), *(trained.all_results() if trained else [])]

    def check_files(self) -> None:
        """Check the files, such as weights, that extractors read whose rows are still to be computed.

        Raises
        ------
        InputError
            Where a file is missing, or not what is needed.
        """
        missing = [stage for each in self.all_predictions() for stage in each.features if not stage.complete()]
        for extractor in dict.fromkeys(stage.extractor.located(locate_weights) for stage in missing):
            extractor.check_files()

    def stages(self) -> list[Stage]:
        """List what a report reads, each stage once: features, what was fitted for them, training curves, scores."""
        predictions = self.all_predictions()
        features = dict.fromkeys(stage for each in predictions for stage in each.features)  # which runs may share
        fitted = [fit for stage in features for fit in stage.fitting().values()]
        learnt = [needed for stage in predictions for needed in (*stage.reduction(), *stage.training())]
        on_training = trained.all_predictions() if (trained := self.trained()) else []
        scores = [*predictions, *on_training, *self.all_scores()]
        return list(dict.fromkeys([*features, *self._mapped(), *fitted, *learnt, *scores]))

    def _mapped(self) -> list[Stage]:
        """The frames that feature maps of the first run's 3D-ConvNets are drawn from."""
        drawn = [stage for prediction in self.predictions(*self.pairs[0]) for stage in prediction.features]
        convnets = [stage for stage in drawn if isinstance(stage.extractor, ConvNet3D)]
        return [source for stage in convnets if (source := stage.source())]
