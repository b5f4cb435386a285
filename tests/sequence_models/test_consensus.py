"""Mean of scores and majority of votes."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipeline.errors import InputError
from sequence_models.consensus import Consensus


def decide(rule: Any, *sequences: list[list[float]]) -> Tensor:
    network = Consensus(rule=rule).build(len(sequences[0][0]), len(sequences[0][0]))
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(steps) for steps in sequences], batch_first=True)
    result: Tensor = network(padded, torch.tensor([len(steps) for steps in sequences]))
    return result


def test_the_mean_is_before_softmax() -> None:
    scores = decide("mean", [[9.0, 0.0, 2.0], [-3.0, 4.0, 1.0]], [[1.0, 2.0, 3.0]])
    torch.testing.assert_close(scores, torch.tensor([[3.0, 2.0, 1.5], [1.0, 2.0, 3.0]]))


def test_a_majority_wins_against_a_louder_minority() -> None:
    steps = [[50.0, 0.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.1, 0.0]]
    assert decide("mean", steps).argmax() == 0
    assert decide("vote", steps).argmax() == 1


def test_shares_are_votes_and_one_more_by_mean_probability() -> None:
    steps = [[2.0, 0.0, 1.0], [3.0, 1.0, 0.0], [0.0, 1.0, 0.5]]
    mean = torch.tensor(steps).softmax(1).mean(0)
    expected = (torch.tensor([2.0, 1.0, 0.0]) + mean) / 4
    torch.testing.assert_close(decide("vote", steps).softmax(1)[0], expected)
    torch.testing.assert_close(decide("vote", steps).exp()[0], expected)


def test_ties_go_to_the_higher_mean_probability() -> None:
    assert decide("vote", [[1.0, 0.0, 0.0], [0.0, 3.0, 0.0]]).argmax() == 1
    assert decide("vote", [[3.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).argmax() == 0


def test_a_class_without_a_chance_keeps_a_finite_score() -> None:
    scores = decide("vote", [[1e4, 0.0, -1e4]])
    assert scores.isfinite().all()
    assert scores[0, 0] > scores[0, 1]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 1000), st.floats(0.1, 30))
def test_votes_order_classes_before_probabilities_do(time: int, classes: int, seed: int, loudness: float) -> None:
    steps = (np.random.default_rng(seed).normal(size=(time, classes)) * loudness).astype(np.float32)
    scores = decide("vote", steps.tolist())[0].numpy()
    votes = np.bincount(steps.argmax(1), minlength=classes)
    logits = steps.astype(np.float64) - steps.max(1, keepdims=True)
    mean = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).mean(0)
    order = np.lexsort((mean, votes))
    assert (np.diff(scores[order]) >= 0).all()
    apart = (np.diff(votes[order]) > 0) | (np.diff(mean[order]) > 1e-3)
    assert (np.diff(scores[order])[apart] > 0).all()


def test_scores_of_other_classes_are_refused() -> None:
    with pytest.raises(
        InputError, match="the scores have 400 classes; the data set has 6, and the scores need as many"
    ):
        Consensus().build(400, 6)
