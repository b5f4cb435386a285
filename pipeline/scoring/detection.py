"""Figures of the detection of one of two classes: curves over all thresholds, and F1 at one of them.

A test video that could not be used is never detected, whatever the threshold.
"""

from typing import NamedTuple

import numpy as np

from pipeline.scoring.metrics import Labels, average_precision


class Detection(NamedTuple):
    """How well the videos of one class are told from those of another.

    Attributes
    ----------
    false_positive_rate, recall : array, shape (thresholds + 1,)
        Rising, of falling thresholds: the receiver operating characteristic, from (0, 0) to (1, 1).
    precision : array, shape (thresholds + 1,)
        At the same thresholds; 1 where nothing is detected.
    auc
        Area under the first curve: the probability that a video of the class scores higher than one of the other,
        ties counted half.
    average_precision
        As ``metrics.average_precision``.
    threshold
        Score from which on a video counts as detected in the following; NaN where none was chosen.
    f1, precision_there, recall_there
        F1 score, precision and recall at the threshold; NaN where none was chosen.
    """

    false_positive_rate: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    auc: float
    average_precision: float
    threshold: float
    f1: float
    precision_there: float
    recall_there: float


def detection(
    values: np.ndarray, labels: Labels, failed: Labels, positive: int, threshold: float | None = None
) -> Detection:
    """Compute the figures of the detection of a class.

    Parameters
    ----------
    values : array, shape (video, 2)
        Probabilities.
    labels, failed
        As for ``metrics``: labels of these videos, and of those that could not be used, one a video.
    positive
        Index of the class that is detected.
    threshold
        Score from which on a video counts as detected.

    Examples
    --------
    >>> values = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
    >>> found = detection(values, [(0,), (0,), (1,), (1,)], (), positive=1, threshold=0.5)
    >>> found.auc, round(found.average_precision, 3), round(found.f1, 3)
    (0.75, 0.833, 0.667)
    """
    scores = np.append(values[:, positive], np.full(len(failed), -np.inf))
    true = np.array([label == positive for (label,) in (*labels, *failed)], bool)
    order = np.argsort(-scores, kind="stable")
    last = np.append(scores[order][:-1] > scores[order][1:], True)  # of videos of equal score
    hits = np.append(0, true[order].cumsum()[last])
    alarms = np.append(0, (~true[order]).cumsum()[last])
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, false_alarms = hits / true.sum(), alarms / (~true).sum()
        precision = np.where(hits + alarms > 0, hits / np.maximum(hits + alarms, 1), 1.0)
    detected = scores >= (np.inf if threshold is None else threshold)
    right, found = int((detected & true).sum()), int(detected.sum())
    chosen = threshold is not None
    return Detection(
        false_alarms,
        recall,
        precision,
        float(np.trapezoid(recall, false_alarms)),
        float(average_precision(values, labels, failed)[positive]),
        threshold if threshold is not None else np.nan,
        2 * right / (found + int(true.sum())) if chosen and found + true.sum() else np.nan,
        right / found if chosen and found else np.nan,
        right / int(true.sum()) if chosen and true.any() else np.nan,
    )


def best_threshold(values: np.ndarray, labels: Labels, positive: int) -> float:
    """Return the threshold with the highest F1 score: of equal ones the highest.

    It lies in the middle between two scores that follow one another, so that a clear separation is cut in its middle.

    Parameters
    ----------
    values, labels, positive
        As for ``detection``; of training videos, so that no test video has a say.

    Examples
    --------
    >>> round(best_threshold(np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]]), [(0,), (0,), (1,)], positive=1), 3)
    0.4
    """
    scores = values[:, positive]
    true = np.array([label == positive for (label,) in labels], bool)
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(scores[order][:-1] > scores[order][1:], True))  # of videos of equal score
    distinct = scores[order][last]
    candidates = np.append((distinct[:-1] + distinct[1:]) / 2, distinct[-1])
    f1 = 2 * true[order].cumsum()[last] / (last + 1 + true.sum())
    return float(candidates[int(f1.argmax())])
