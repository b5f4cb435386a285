"""Tells classes that are tested and have no training videos, which no model can recognise."""

import logging
from collections.abc import Iterable

from data.base import Dataset
from pipeline.errors import InputError
from tasks.index import fold, folds, library
from tasks.rows import labels

MAX_NAMED = 3
"""Number of classes that are named."""


def untrained(dataset: Dataset, number: int, trained: Iterable[str]) -> str | None:
    """Return a sentence that names the classes of a fold's test videos which no training video shows.

    Parameters
    ----------
    dataset : Dataset
        The data set, indexed.
    number : int
        Number of the fold.
    trained : iterable of str
        Ids of the videos that are trained on.

    Returns
    -------
    str or None
        None where there are no such classes.
    """
    known, classes, division = labels(library(dataset)), library(dataset).listing.classes, fold(dataset, number)
    shown = {label for video in trained for label in known[video]}
    missing = sorted({label for video in division.test for label in known[video]} - shown)
    if not missing:
        return None
    named = ", ".join(classes[label] for label in missing[:MAX_NAMED]) + ", …" * (len(missing) > MAX_NAMED)
    return (
        f"{division.name}: classes that are tested, but have no training video to learn from: {len(missing)} ({named})"
    )


def check_training_classes(dataset: Dataset) -> None:
    """Warn of every fold in which a class that is tested has no training video; a division of the user's is an error.

    Raises
    ------
    InputError
        Where the user can mend it.
    """
    numbers = range(len(folds(dataset)))
    found = list(filter(None, (untrained(dataset, number, fold(dataset, number).train) for number in numbers)))
    if found and dataset.divided_by_user:
        raise InputError(
            f"{found[0]}; give each class training videos, or leave its test videos out; "
            "of a division at random choose another protocol_seed"
        )
    for sentence in found:
        logging.getLogger("luigi-interface").warning(sentence)
