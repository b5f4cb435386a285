"""Figures of merit.

Conventions, common to all:

- ``values``: (video, class), larger is better. Of equal scores the class with the lower index wins.
- ``labels``: one tuple of class indices a video, with a single one but in multi-label sets.
- ``failed``: the labels of the test videos that could not be used. They count as wrong in every figure.
- A class without test videos has no figure of its own (NaN) and is left out of means.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.errors import InputError

Labels = Sequence[tuple[int, ...]]


class Summary(NamedTuple):
    """Over folds and seeds: mean, and sample deviation (divided by count − 1), None of a single value."""

    mean: float
    deviation: float | None
    runs: int


def accuracy(values: np.ndarray, labels: Labels, failed: Labels = ()) -> float:
    """Share of test videos whose best class is their label, or one of their labels."""
    return top_k(values, labels, 1, failed)


def top_k(values: np.ndarray, labels: Labels, k: int, failed: Labels = ()) -> float:
    """Share of test videos with a label among the k best classes."""
    true = _membership(values, labels, failed)
    best = np.argsort(-values, axis=1, kind="stable")[:, :k]
    hits = np.take_along_axis(true, best, axis=1).any(axis=1)
    return float(hits.sum() / (len(labels) + len(failed)))


def confusion(values: np.ndarray, labels: Labels, failed: Labels = ()) -> np.ndarray:
    """Counts (class, class + 1) int64: rows are true, columns predicted, the last column failed videos.

    Raises InputError where a video has several labels: there is no one row for it.
    """
    true = _membership(values, labels, failed)
    if any(len(several) != 1 for several in (*labels, *failed)):
        raise InputError("a confusion matrix needs one label a video; use average_precision for several")
    counts = np.zeros((true.shape[1], true.shape[1] + 1), np.int64)
    np.add.at(counts, (true.argmax(axis=1), values.argmax(axis=1)), 1)
    np.add.at(counts[:, -1], [label for (label,) in failed], 1)
    return counts


def class_accuracy(values: np.ndarray, labels: Labels, failed: Labels = ()) -> np.ndarray:
    """Recall of each class, (class,): its share of videos that are recognised. One label a video, as confusion."""
    counts = confusion(values, labels, failed)
    return _ratio(counts.diagonal(), counts.sum(axis=1))


def mean_class_accuracy(values: np.ndarray, labels: Labels, failed: Labels = ()) -> float:
    """Mean of ``class_accuracy``."""
    return float(np.nanmean(class_accuracy(values, labels, failed)))


def average_precision(values: np.ndarray, labels: Labels, failed: Labels = ()) -> np.ndarray:
    """Average precision of each class, (class,): Σ (R_n − R_{n−1}) P_n over the distinct scores, falling.

    Not interpolated; videos of equal score enter together. A failed video is never retrieved: it adds to the
    positives that recall is divided by, and nothing else.
    """
    true = _membership(values, labels, failed)
    missed = np.bincount([label for several in failed for label in set(several)], minlength=true.shape[1])
    precisions = [_precision_sum(values[:, index], true[:, index]) for index in range(true.shape[1])]
    return _ratio(np.array(precisions), true.sum(axis=0) + missed)


def mean_average_precision(values: np.ndarray, labels: Labels, failed: Labels = ()) -> float:
    """Mean of ``average_precision``, known as mAP."""
    return float(np.nanmean(average_precision(values, labels, failed)))


def summary(values: Sequence[float]) -> Summary:
    """Mean and deviation of one figure over folds and seeds."""
    if not len(values):
        raise InputError("there are no runs to summarise; at least one is needed")
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Summary(float(np.mean(values)), deviation, len(values))


def _precision_sum(scores: np.ndarray, true: np.ndarray) -> float:
    """Σ over positives of the precision at their score."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)[: len(order)]  # of videos of equal score
    retrieved = np.flatnonzero(last) + 1
    positives = true[order].cumsum()[last]
    return float((np.diff(positives, prepend=0) * positives / retrieved).sum())


def _ratio(part: np.ndarray, total: np.ndarray) -> np.ndarray:
    """part / total, NaN where total is 0."""
    ratio: np.ndarray = np.divide(part, total, out=np.full(len(total), np.nan), where=total > 0)
    return ratio


def _membership(values: np.ndarray, labels: Labels, failed: Labels) -> np.ndarray:
    """Which labels each scored video has, (video, class) bool. Raises InputError where they do not fit."""
    count, classes = values.shape
    if count != len(labels):
        raise InputError(f"there are scores of {count} videos and labels of {len(labels)}; both are needed of each")
    if not count + len(failed):
        raise InputError("there are no test videos; at least one is needed")
    for several in (*labels, *failed):
        if not several or not all(0 <= label < classes for label in several):
            raise InputError(f"labels {several} are none of the {classes} classes; 0 to {classes - 1} are needed")
    true = np.zeros((count, classes), bool)
    for row, several in zip(true, labels, strict=True):
        row[list(several)] = True
    return true
