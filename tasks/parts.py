"""Fitted parts of a recognizer, which stand in for the stages that fitted them where new videos are given."""

from pathlib import Path
from typing import Any, Literal

import luigi

from data.base import Dataset
from data.given import Given
from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.fingerprint import short_digest
from pipeline.results import recognizer
from tasks import settings
from tasks.base import Stage
from tasks.pretrained_weights import weights_digest

Kind = Literal["network", "reducer", "fit"]


class Part(Stage):
    """Network or projection of a recognizer, which is there, or was lost.

    Parameters
    ----------
    file : str
        Its file, below the store.
    """

    file = luigi.Parameter()

    def path(self) -> Path:
        return settings.store() / self.file

    @property
    def fingerprint(self) -> str:
        return self.path().parent.name.rpartition("-")[2]

    def origin(self, **more: Any) -> dict[str, Any]:
        return more

    def compute(self) -> None:
        """Raise InputError, as nothing here can make it."""
        raise InputError(f"{self.path()} is missing, a part of the recognizer: delete its folder, and predict again")


def part_key(kind: Kind, fold: int, config: Config, *more: str | int) -> str:
    """Return the name by which a recognizer knows a fitted part: files that configurations name count by content.

    Parameters
    ----------
    kind
        "network" of a stream, "reducer" of an input, or "fit" of an extractor.
    fold
        Number of the fold on whose training videos it was fitted.
    config
        The stream, input or extractor.
    *more
        What else tells it apart: the seed of a network, the array that a reducer reads.
    """
    return short_digest([kind, fold, config.significant(weights_digest), list(more)])


def given_part(dataset: Dataset, kind: Kind, fold: int, config: Config, *more: str | int) -> list[Part]:
    """Return the part of the recognizer that is asked about given videos; none where a data set has its own to fit."""
    if not isinstance(dataset, Given):
        return []
    if dataset.recognizer is None:
        raise InputError("this must be fitted to labelled videos first: features alone can be had of what needs no fit")
    folder = Path(dataset.recognizer)
    file = recognizer.read(folder).parts.get(part_key(kind, fold, config, *more))
    if file is None:
        raise InputError(
            f"{folder}: it has no {kind} for what {type(config).__name__} reads here; the pretrained weights must be "
            "those that it was trained with"
        )
    return [Part(file=str((folder / file).relative_to(settings.store())))]
