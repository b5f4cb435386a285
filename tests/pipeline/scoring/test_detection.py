"""Detection of one of two classes, against scikit-learn and by its laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from pipeline.scoring.detection import best_threshold, detection
from pipeline.scoring.metrics import average_precision


def made(seed: int, count: int = 40, steps: int = 7) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """Scores with many ties, better for the right class than for the other."""
    rng = np.random.default_rng(seed)
    true = rng.permutation(np.arange(count) % 3 == 0)
    share = np.clip(np.round((rng.normal(size=count) + true + 2) / 5 * steps) / steps, 0, 1)
    return np.stack([1 - share, share], axis=1), [(int(label),) for label in true]


@pytest.mark.parametrize("seed", range(5))
def test_curves_and_areas_are_those_of_scikit_learn(seed: int) -> None:
    values, labels = made(seed)
    true, scores = [label for (label,) in labels], values[:, 1]
    found = detection(values, labels, (), positive=1, threshold=0.5)
    rates, recalls, _ = reference.roc_curve(true, scores, drop_intermediate=False)
    np.testing.assert_allclose(found.false_positive_rate, rates)
    np.testing.assert_allclose(found.recall, recalls)
    precisions, recalls, _ = reference.precision_recall_curve(true, scores)
    np.testing.assert_allclose(found.precision, precisions[::-1])
    np.testing.assert_allclose(found.recall, recalls[::-1])
    assert found.auc == pytest.approx(reference.roc_auc_score(true, scores))
    assert found.average_precision == pytest.approx(reference.average_precision_score(true, scores))
    detected = scores >= 0.5
    assert found.f1 == pytest.approx(reference.f1_score(true, detected))
    assert found.precision_there == pytest.approx(reference.precision_score(true, detected))
    assert found.recall_there == pytest.approx(reference.recall_score(true, detected))


def test_either_class_may_be_the_one() -> None:
    values, labels = made(0)
    one, other = (detection(values, labels, (), positive=place, threshold=0.5) for place in (0, 1))
    assert one.auc == pytest.approx(other.auc)
    assert one.average_precision != pytest.approx(other.average_precision)
    assert detection(values[:, ::-1], [(1 - label,) for (label,) in labels], (), 0, 0.5).f1 == other.f1


def test_a_video_that_could_not_be_used_is_never_detected() -> None:
    values, labels = made(1)
    failed = [(1,), (1,), (0,)]
    lost = np.concatenate([values, [[2.0, -1.0]] * 3])  # below all others
    found = detection(values, labels, failed, positive=1, threshold=0.0)
    with_lost = [label for (label,) in [*labels, *failed]]
    assert found.auc == pytest.approx(reference.roc_auc_score(with_lost, lost[:, 1]))
    assert found.f1 == pytest.approx(reference.f1_score(with_lost, lost[:, 1] >= 0))
    assert found.average_precision == average_precision(values, labels, failed)[1]
    assert found.recall_there == pytest.approx(sum(label for (label,) in labels) / sum(with_lost))


@pytest.mark.parametrize("label", [0, 1])
def test_where_one_class_is_not_tested_there_is_no_area(label: int) -> None:
    values, _ = made(2, 6)
    found = detection(values, [(label,)] * 6, (), positive=1, threshold=0.5)
    assert np.isnan(found.auc)
    assert np.isnan(found.average_precision) == (label == 0)


def test_without_a_threshold_there_are_curves_alone() -> None:
    found = detection(*made(3), (), positive=1)
    assert found.auc > 0.5
    assert all(np.isnan(value) for value in (found.threshold, found.f1, found.precision_there, found.recall_there))


@given(
    st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=30).filter(
        lambda p: any(t for _, t in p)
    )
)
def test_no_threshold_has_a_higher_f1(pairs: list[tuple[int, bool]]) -> None:
    shares = np.array([share / 10 for share, _ in pairs])
    values, labels = np.stack([1 - shares, shares], axis=1), [(int(true),) for _, true in pairs]
    best = best_threshold(values, labels, positive=1)
    f1, count = detection(values, labels, (), 1, best).f1, (shares >= best).sum()
    for other in np.linspace(0, 1.1, 23):
        found = detection(values, labels, (), 1, other).f1
        assert found < f1 if (shares >= other).sum() < count else found <= f1


def test_a_clear_separation_is_cut_in_its_middle() -> None:
    shares = np.array([0.1, 0.2, 0.7, 0.9])
    assert best_threshold(np.stack([1 - shares, shares], axis=1), [(0,), (0,), (1,), (1,)], 1) == pytest.approx(0.45)
