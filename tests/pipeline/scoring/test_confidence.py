"""Confidence intervals: against independent computations, and as often right as they say."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from pipeline.scoring import metrics
from pipeline.scoring.confidence import LEVEL, bootstrap, wilson

SHAPES = [(0, 1), (1, 1), (3, 10), (10, 10), (180, 200)]


@pytest.mark.parametrize(("hits", "total"), SHAPES)
def test_wilson_is_scipys(hits: int, total: int) -> None:
    expected = stats.binomtest(hits, total).proportion_ci(LEVEL, method="wilson")
    assert wilson(hits, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def accuracy(counts: np.ndarray) -> np.ndarray:
    return np.asarray(np.trace(counts, axis1=-2, axis2=-1) / counts.sum(axis=(-2, -1)))


def test_the_bootstrap_of_a_share_is_its_binomial_distribution() -> None:
    counts = np.array([[70, 30, 0], [10, 85, 5]])
    expected = stats.binom(200, 155 / 200).ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2]) / 200
    found = bootstrap({"accuracy": accuracy}, counts)
    assert found["accuracy"] == pytest.approx(expected, abs=0.011)  # two videos
    assert bootstrap({"accuracy": accuracy}, counts) == found


def test_intervals_hold_the_true_figure_as_often_as_they_say() -> None:
    rng, share = np.random.default_rng(0), np.array([[0.4, 0.1, 0.0], [0.15, 0.3, 0.05]])
    true = metrics.macro_f1(share)
    inside = 0
    for _ in range(60):
        counts = rng.multinomial(300, share.ravel()).reshape(share.shape)
        low, high = bootstrap({"macro F1": metrics.macro_f1}, counts)["macro F1"]
        inside += low <= true <= high
    assert inside >= 51  # 57 are expected; fewer than 51 have a chance of one in a hundred


def test_in_parts_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"F1": metrics.macro_f1, "recall": metrics.mean_recall, "weighted F1": metrics.weighted_f1}
    counts = np.random.default_rng(0).integers(0, 4, (7, 8)) * np.array([[1]] * 6 + [[0]])  # one class is not tested
    found = bootstrap(figures, counts)
    monkeypatch.setattr("pipeline.scoring.confidence._NUMBERS", 1)  # one after another
    assert bootstrap(figures, counts) == found


def test_what_never_fails_has_no_width() -> None:
    assert bootstrap({"accuracy": accuracy}, np.array([[5, 0, 0], [0, 6, 0]])) == {"accuracy": (1, 1)}


def test_f1_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    labels, guesses = rng.integers(0, 4, 50), rng.integers(0, 5, 50)  # class 4 has no test video
    values = np.eye(6)[guesses]
    counts = metrics.confusion(values, [(int(label),) for label in labels])
    present = range(4)
    expected = f1_score(labels, guesses, labels=present, average=None, zero_division=0)
    assert np.allclose(metrics.f1_scores(counts)[:4], expected)
    assert np.isnan(metrics.f1_scores(counts)[4:]).all()
    assert metrics.macro_f1(counts) == pytest.approx(expected.mean())
    assert metrics.weighted_f1(counts) == pytest.approx(f1_score(labels, guesses, average="weighted", zero_division=0))


def test_a_failed_video_is_missed() -> None:
    values, labels = np.array([[0.9, 0.1], [0.2, 0.8]]), [(0,), (1,)]
    whole, failed = (metrics.confusion(values, labels, lost) for lost in ([], [(1,), (1,)]))
    assert metrics.f1_scores(whole).tolist() == [1, 1]
    assert metrics.f1_scores(failed).tolist() == [1, 0.5]  # 2 · 1 / (2 · 1 + 2)
