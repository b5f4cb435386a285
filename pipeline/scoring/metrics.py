"""Metrics of recognition.

All of them follow these conventions:

- ``values``: (video, class), larger is better. Of equal scores the class with the lower index wins.
- ``labels``: one tuple of class indices a video, with a single one but in multi-label sets.
- ``failed``: the labels of the test videos that could not be used. They count as wrong in every metric.
- A class without test videos has no value of its own (NaN) and is left out of means.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.errors import InputError

Labels = Sequence[tuple[int, ...]]
"""Class indices of each video."""


class Summary(NamedTuple):
    """Mean and spread of a metric over folds and seeds.

    Attributes
    ----------
    mean
        Mean over the runs.
    deviation
        Sample standard deviation (divided by runs − 1); None for a single run.
    runs
        Number of runs.
    """

    mean: float
    deviation: float | None
    runs: int


def accuracy(values: np.ndarray, labels: Labels, failed: Labels = ()) -> float:
    """Return the fraction of test videos whose best class is their label, or one of their labels.

    Examples
    --------
    >>> scores = np.array([[0.9, 0.1], [0.6, 0.4]])
    >>> accuracy(scores, [(0,), (1,)])
    0.5
    >>> accuracy(scores, [(0,), (1,)], failed=[(1,), (1,)])
    0.25
    """
    return top_k(values, labels, 1, failed)


def top_k(values: np.ndarray, labels: Labels, k: int, failed: Labels = ()) -> float:
    """Return the fraction of test videos with a label among the k best classes.

    Examples
    --------
    >>> top_k(np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]), [(1,), (2,)], k=2)
    0.5
    """
    true = _membership(values, labels, failed)
    best = np.argsort(-values, axis=1, kind="stable")[:, :k]
    hits = np.take_along_axis(true, best, axis=1).any(axis=1)
    return float(hits.sum() / (len(labels) + len(failed)))


def confusion(values: np.ndarray, labels: Labels, failed: Labels = ()) -> np.ndarray:
    """Count the test videos of each class by the class they are recognised as.

    Returns
    -------
    int64 array, shape (class, class + 1)
        Rows are true classes, columns predicted ones; the last column counts failed videos.

    Raises
    ------
    InputError
        Where a video has several labels: no single row is its own.

    Examples
    --------
    >>> confusion(np.array([[0.9, 0.1], [0.6, 0.4]]), [(0,), (1,)], failed=[(1,)])
    array([[1, 0, 0],
           [1, 0, 1]])
    """
    true = _membership(values, labels, failed)
    if any(len(several) != 1 for several in (*labels, *failed)):
        raise InputError("a confusion matrix needs one label a video; use average_precision for several")
    counts = np.zeros((true.shape[1], true.shape[1] + 1), np.int64)
    np.add.at(counts, (true.argmax(axis=1), values.argmax(axis=1)), 1)
    np.add.at(counts[:, -1], [label for (label,) in failed], 1)
    return counts


def class_accuracy(values: np.ndarray, labels: Labels, failed: Labels = ()) -> np.ndarray:
    """Return the recall of each class, (class,), of videos with one label each: the fraction that is recognised."""
    return recalls(confusion(values, labels, failed))


def mean_class_accuracy(values: np.ndarray, labels: Labels, failed: Labels = ()) -> float:
    """Return the mean of ``class_accuracy`` over the classes."""
    return float(np.nanmean(class_accuracy(values, labels, failed)))


def recalls(counts: np.ndarray) -> np.ndarray:
    """Return the recall of each class, (…, class), of confusions (…, class, class + 1); NaN without test videos."""
    return _ratio(counts.diagonal(axis1=-2, axis2=-1), counts.sum(axis=-1))


def f1_scores(counts: np.ndarray) -> np.ndarray:
    """Return the F1 score of each class, (…, class), of confusions (…, class, class + 1): 2 TP / (2 TP + FP + FN).

    A failed video is missed, and taken for no other class. NaN of a class without test videos.

    Examples
    --------
    >>> f1_scores(np.array([[1, 0, 0], [1, 0, 1]])).round(3)
    array([0.667, 0.   ])
    """
    hits, true = counts.diagonal(axis1=-2, axis2=-1), counts.sum(axis=-1)
    predicted = counts[..., :-1].sum(axis=-2)
    return np.where(true > 0, _ratio(2 * hits, true + predicted), np.nan)


def mean_recall(counts: np.ndarray) -> np.ndarray:
    """Return the mean of ``recalls`` over the classes, (…)."""
    return np.asarray(np.nanmean(recalls(counts), axis=-1))


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Return the mean of ``f1_scores`` over the classes, (…)."""
    return np.asarray(np.nanmean(f1_scores(counts), axis=-1))


def weighted_f1(counts: np.ndarray) -> np.ndarray:
    """Return the mean of ``f1_scores``, each class weighted by its number of test videos, (…)."""
    tested = counts.sum(axis=-1)
    return np.asarray(np.nansum(f1_scores(counts) * tested, axis=-1) / tested.sum(axis=-1))


def average_precision(values: np.ndarray, labels: Labels, failed: Labels = ()) -> np.ndarray:
    """Return the average precision of each class: Σ (R_n − R_{n−1}) P_n over the distinct scores, falling.

    Precision P and recall R are not interpolated, and videos of equal score enter together. A failed video is never
    retrieved: it only adds to the positives that recall is divided by.

    Returns
    -------
    float64 array, shape (class,)

    Examples
    --------
    >>> scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    >>> average_precision(scores, [(0,), (1,), (0, 1)]).round(3)
    array([0.833, 1.   ])
    """
    true = _membership(values, labels, failed)
    missed = np.bincount([label for several in failed for label in set(several)], minlength=true.shape[1])
    precisions = [_precision_sum(values[:, index], true[:, index]) for index in range(true.shape[1])]
    return _ratio(np.array(precisions), true.sum(axis=0) + missed)


def mean_average_precision(values: np.ndarray, labels: Labels, failed: Labels = ()) -> float:
    """Return the mean of ``average_precision`` over the classes, known as mAP."""
    return float(np.nanmean(average_precision(values, labels, failed)))


def summary(values: Sequence[float]) -> Summary:
    """Summarise one metric over folds and seeds; runs in which it has no value are left out.

    Examples
    --------
    >>> summary([90.0, 92.0, float("nan")])
    Summary(mean=91.0, deviation=1.4142135623730951, runs=2)
    """
    if not len(values):
        raise InputError("there are no runs to summarise; at least one is needed")
    known = [value for value in values if not np.isnan(value)]
    deviation = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return Summary(float(np.mean(known)) if known else float("nan"), deviation, len(known))


def _precision_sum(scores: np.ndarray, true: np.ndarray) -> float:
    """Return the sum, over positives, of the precision at their score."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)[: len(order)]  # of videos of equal score
    retrieved = np.flatnonzero(last) + 1
    positives = true[order].cumsum()[last]
    return float((np.diff(positives, prepend=0) * positives / retrieved).sum())


def _ratio(part: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return part / total, NaN where total is 0."""
    ratio: np.ndarray = np.divide(part, total, out=np.full(total.shape, np.nan), where=total > 0)
    return ratio


def _membership(values: np.ndarray, labels: Labels, failed: Labels) -> np.ndarray:
    """Return whether each scored video has each label, (video, class) bool. Raises InputError where they do not fit."""
    count, classes = values.shape
    if count != len(labels):
        raise InputError(f"there are scores of {count} videos and labels of {len(labels)}; each video needs both")
    if not count + len(failed):
        raise InputError("there are no test videos; at least one is needed")
    for several in (*labels, *failed):
        if not several or not all(0 <= label < classes for label in several):
            raise InputError(f"labels {several} are none of the {classes} classes; 0 to {classes - 1} are needed")
    true = np.zeros((count, classes), bool)
    for row, several in zip(true, labels, strict=True):
        row[list(several)] = True
    return true
