"""Figures against scikit-learn, and their conventions by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from pipeline.errors import InputError
from pipeline.scoring import metrics

CASES = {"seed": st.integers(0, 2**32), "videos": st.integers(1, 60), "classes": st.integers(2, 8)}


def draw(seed: int, videos: int, classes: int, *, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 4, (videos, classes)).astype(float) if ties else rng.normal(size=(videos, classes))
    return values, rng.integers(0, classes, videos)


def alone(labels: np.ndarray) -> list[tuple[int, ...]]:
    return [(int(label),) for label in labels]


@settings(max_examples=100, deadline=None)
@given(**CASES, ties=st.booleans())
def test_single_labels_agree_with_scikit_learn(seed: int, videos: int, classes: int, ties: bool) -> None:
    values, true = draw(seed, videos, classes, ties=ties)
    best = values.argmax(axis=1)
    labels = alone(true)
    assert metrics.accuracy(values, labels) == pytest.approx(reference.accuracy_score(true, best))
    counts = metrics.confusion(values, labels)
    np.testing.assert_array_equal(counts[:, :-1], reference.confusion_matrix(true, best, labels=range(classes)))
    assert not counts[:, -1].any()
    present = np.unique(true)
    recalls = metrics.class_accuracy(values, labels)
    expected = reference.recall_score(true, best, labels=present, average=None, zero_division=0)
    np.testing.assert_allclose(recalls[present], expected)
    assert np.isnan(np.delete(recalls, present)).all()
    assert metrics.mean_class_accuracy(values, labels) == pytest.approx(expected.mean())


@settings(max_examples=100, deadline=None)
@given(**CASES, ties=st.booleans(), k=st.integers(1, 8))
def test_top_k_agrees_with_scikit_learn(seed: int, videos: int, classes: int, ties: bool, k: int) -> None:
    values, true = draw(seed, videos, classes + 1, ties=ties)
    k = min(k, classes)
    # scikit-learn prefers the higher index among equal scores: the classes are given to it in reverse.
    expected = reference.top_k_accuracy_score(classes - true, values[:, ::-1], k=k, labels=range(classes + 1))
    assert metrics.top_k(values, alone(true), k) == pytest.approx(expected)
    assert metrics.top_k(values, alone(true), classes + 1) == 1


@settings(max_examples=100, deadline=None)
@given(**CASES, ties=st.booleans())
def test_average_precision_agrees_with_scikit_learn(seed: int, videos: int, classes: int, ties: bool) -> None:
    values, first = draw(seed, videos, classes, ties=ties)
    true = np.random.default_rng(seed + 1).random((videos, classes)) < 0.3
    true[np.arange(videos), first] = True
    labels = [tuple(np.flatnonzero(row).tolist()) for row in true]
    precisions = metrics.average_precision(values, labels)
    for index in range(classes):
        if true[:, index].any():
            assert precisions[index] == pytest.approx(
                reference.average_precision_score(true[:, index], values[:, index])
            )
        else:
            assert np.isnan(precisions[index])
    assert metrics.mean_average_precision(values, labels) == pytest.approx(np.nanmean(precisions))
    hits = true[np.arange(videos), values.argmax(axis=1)].mean()
    assert metrics.accuracy(values, labels) == pytest.approx(hits)


def test_failed_videos_are_wrong_everywhere() -> None:
    values, labels, failed = np.eye(3)[[0, 1, 1]], [(0,), (1,), (2,)], [(0,), (2,)]
    assert metrics.accuracy(values, labels, failed) == 2 / 5
    assert metrics.top_k(values, labels, 3, failed) == 3 / 5
    np.testing.assert_array_equal(metrics.confusion(values, labels, failed), [[1, 0, 0, 1], [0, 1, 0, 0], [0, 1, 0, 1]])
    np.testing.assert_allclose(metrics.class_accuracy(values, labels, failed), [1 / 2, 1, 0])
    # Class 0: retrieved first, one of two. Class 1: two retrieved together, one right. Class 2: last of 3, and lost.
    np.testing.assert_allclose(metrics.average_precision(values, labels, failed), [1 / 2, 1 / 2, (1 / 3) / 2])


def test_all_failed() -> None:
    values = np.zeros((0, 2))
    assert metrics.accuracy(values, [], [(0,), (1,)]) == 0
    np.testing.assert_array_equal(metrics.confusion(values, [], [(1,)]), [[0, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(metrics.average_precision(values, [], [(1,)]), [np.nan, 0])


def test_of_equal_scores_the_lower_class_wins() -> None:
    assert metrics.accuracy(np.zeros((2, 3)), [(0,), (1,)]) == 0.5
    assert metrics.top_k(np.zeros((3, 3)), [(0,), (1,), (2,)], 2) == pytest.approx(2 / 3)


def test_figures_do_not_depend_on_the_order_of_videos() -> None:
    values, true = draw(0, 40, 5, ties=True)
    order = np.random.default_rng(1).permutation(40)
    for figure in (metrics.accuracy, metrics.mean_class_accuracy, metrics.mean_average_precision):
        assert figure(values, alone(true)) == pytest.approx(figure(values[order], alone(true[order])))


def test_what_does_not_fit_is_refused() -> None:
    values = np.zeros((2, 3))
    with pytest.raises(InputError, match="scores of 2 videos and labels of 1"):
        metrics.accuracy(values, [(0,)])
    for wrong in ((3,), (-1,), ()):
        with pytest.raises(InputError, match="none of the 3 classes"):
            metrics.accuracy(values, [(0,), wrong])
    with pytest.raises(InputError, match="one label a video"):
        metrics.confusion(values, [(0,), (1, 2)])
    with pytest.raises(InputError, match="no test videos"):
        metrics.accuracy(np.zeros((0, 3)), [])


def test_summary() -> None:
    mean, deviation, runs = metrics.summary([0.9, 0.8, 1.0])
    assert mean == pytest.approx(0.9)
    assert deviation == pytest.approx(0.1)
    assert runs == 3
    assert metrics.summary([0.5]) == (0.5, None, 1)
    with pytest.raises(InputError, match="no runs"):
        metrics.summary([])
