"""Asks a trained experiment about videos from Python, as in a notebook."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import luigi
from luigi.scheduler import Scheduler
from luigi.worker import Worker

from pipeline.errors import InputError
from pipeline.results.recognizer import Answering
from tasks import settings
from tasks.classification import Classify
from tasks.recognition import check_experiment

if TYPE_CHECKING:
    from pipeline.results.answers import Answers


class Loaded(NamedTuple):
    """An experiment that answers about videos.

    Attributes
    ----------
    experiment : str
        A bundled experiment's name, a TOML file's path, or that of a file that ``kinescope pack`` wrote.
    runs : str
        Which of its runs answer: "first", "all" or "everything".
    """

    experiment: str
    runs: Answering

    def predict(self, *videos: str | Path, threshold: float = 0.0) -> "Answers":
        """Say which class each of some videos shows; what is not trained yet is trained first.

        Parameters
        ----------
        *videos : str or Path
            Videos, folders, patterns, and CSV files that list paths.
        threshold : float
            Probability below which the answer is "unknown".

        Returns
        -------
        Answers
            ``answer(row)`` and ``best(row)`` of the videos ``answers.ids``, and ``failures``.

        Raises
        ------
        InputError
            Where the experiment or a path is not there, or what is needed to train is not as it should be.
        """
        task = Classify(experiment=self.experiment, videos=tuple(map(str, videos)), runs=self.runs, threshold=threshold)
        quiet = {"local_scheduler": True, "workers": 1, "log_level": "WARNING"}
        luigi.build([task], worker_scheduler_factory=_InThisProcess(), **quiet)
        if not task.is_computed():  # which raises what the run met
            raise InputError(f"{self.experiment} could not be computed; the log says why")
        return task.answers()


def load(experiment: str | Path, runs: Answering = "first") -> Loaded:
    """Load a trained experiment, or one that is trained when it is first asked.

    Its store and all other settings are those of luigi.cfg. Everything runs in this process.

    Parameters
    ----------
    experiment : str or Path
        A bundled experiment's name, a TOML file's path, or that of a file that ``kinescope pack`` wrote.
    runs : str
        Which of its runs answer: "first", "all" (the mean of their probabilities) or "everything" (one that is trained
        on all labelled videos).

    Raises
    ------
    InputError
        Where there is no such experiment.
    """
    settings.complete()
    check_experiment(str(experiment))
    return Loaded(str(experiment), runs)


class _InThisProcess:
    """Makes luigi's scheduler and worker, which runs all tasks in this process."""

    def create_local_scheduler(self) -> Scheduler:
        return Scheduler(prune_on_get_work=True, record_task_history=False)

    def create_worker(self, scheduler: Scheduler, worker_processes: int = 1, assistant: bool = False) -> Worker:
        return Worker(scheduler, worker_processes=1, assistant=assistant, force_multiprocessing=False)
