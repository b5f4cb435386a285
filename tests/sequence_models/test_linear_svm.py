"""The SVM on means over time: its margins are scikit-learn's."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from pipeline.errors import InputError
from pipeline.training.curves import Curves
from pipeline.training.loop import predict
from pipeline.training.random_state import seeded
from sequence_models.linear_svm import LinearSVM


class Clouds:
    """Sequences about the centre of their class; features of very different scales, one of them constant."""

    def __init__(self, labels: list[int], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        centres = np.random.default_rng(1).normal(size=(9, 6)) * 0.7
        scale, shift = np.array([1, 100, 1e-3, 1, 1, 0]), np.array([0, 1e4, 0, 5, -5, 7])
        self.lengths = rng.integers(1, 9, len(labels)).tolist()
        self.labels = labels
        self.inputs = [
            ((centres[label] + rng.normal(size=(length, 6))) * scale + shift).astype(np.float32)
            for label, length in zip(labels, self.lengths, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        return self.inputs[index], self.labels[index]

    @property
    def means(self) -> np.ndarray:
        return np.stack([inputs.astype(np.float64).mean(0) for inputs in self.inputs])


def trained(config: LinearSVM, examples: Clouds, classes: int, seed: int = 0) -> Any:
    with seeded(seed):
        network = config.build(6, classes)
    checkpoint = Path("/nonexistent/checkpoint.pt")
    assert config.train(network, examples, seed=seed, device="cpu", checkpoint=checkpoint) == Curves()
    return network


@pytest.mark.parametrize("C", [0.01, 1.0])
def test_margins_are_those_of_scikit_learn(C: float) -> None:
    examples, others = Clouds([0, 1, 2, 3] * 20), Clouds([3, 1, 0, 2] * 5, seed=5)
    scores = predict(trained(LinearSVM(C=C), examples, 4), others, batch=7, device="cpu")
    scaler = StandardScaler().fit(examples.means)
    machine = LinearSVC(C=C, random_state=0, max_iter=10_000, tol=1e-8)
    machine.fit(scaler.transform(examples.means), examples.labels)
    expected = machine.decision_function(scaler.transform(others.means))
    np.testing.assert_allclose(scores, expected, rtol=1e-2, atol=5e-3)


def test_without_standardising_one_scale_leaves_features_their_weight() -> None:
    examples, others = Clouds([0, 1, 2, 3] * 20), Clouds([3, 1, 0, 2] * 5, seed=5)
    scores = predict(trained(LinearSVM(scaling="largest"), examples, 4), others, batch=7, device="cpu")
    shift, scale = examples.means.mean(axis=0), examples.means.std(axis=0).max()
    machine = LinearSVC(C=1.0, random_state=0, max_iter=10_000, tol=1e-8)
    machine.fit((examples.means - shift) / scale, examples.labels)
    np.testing.assert_allclose(scores, machine.decision_function((others.means - shift) / scale), rtol=1e-2, atol=5e-3)


def test_as_they_are_features_meet_the_penalty_unscaled() -> None:
    examples, others = Clouds([0, 1, 2, 3] * 20), Clouds([3, 1, 0, 2] * 5, seed=5)
    for clouds in (examples, others):
        clouds.inputs = [inputs[:, [0, 3, 4, 0, 3, 4]] for inputs in clouds.inputs]
    scores = predict(trained(LinearSVM(C=100, scaling="none"), examples, 4), others, batch=7, device="cpu")
    machine = LinearSVC(C=100, random_state=0, max_iter=50_000, tol=1e-8).fit(examples.means, examples.labels)
    np.testing.assert_allclose(scores, machine.decision_function(others.means), rtol=1e-2, atol=5e-3)


def test_two_classes_have_opposite_margins() -> None:
    examples = Clouds([0, 1] * 10)
    scores = predict(trained(LinearSVM(), examples, 2), examples, batch=4, device="cpu")
    np.testing.assert_allclose(scores[:, 0], -scores[:, 1], rtol=1e-5)
    assert (scores.argmax(1) == examples.labels).mean() > 0.9


@pytest.mark.parametrize("labels", [[1, 4], [0, 2, 4]])
def test_a_class_without_training_videos_is_never_said(labels: list[int]) -> None:
    network = trained(LinearSVM(), Clouds(labels * 10), 6)
    far = Clouds(list(range(6)) * 20, seed=3)
    scores = predict(network, far, batch=50, device="cpu")
    assert np.isfinite(scores).all()
    assert set(scores.argmax(1)) == set(labels)
    absent = sorted(set(range(6)) - set(labels))
    np.testing.assert_allclose(scores[:, absent], scores[:, labels].min(1, keepdims=True) - 1 + np.zeros(len(absent)))


def test_the_initial_weights_do_not_matter() -> None:
    examples = Clouds([0, 1, 2] * 10)
    config = LinearSVM()
    states = []
    for seed in (1, 2):
        with seeded(seed):
            network: Any = config.build(6, 3)
        config.train(network, examples, seed=0, device="cpu", checkpoint=Path("none"))
        states.append(network.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("labels", [[], [2, 2, 2]])
def test_one_class_is_too_few(labels: list[int]) -> None:
    with pytest.raises(InputError, match="needs at least two classes"):
        trained(LinearSVM(), Clouds(labels), 4)


def test_it_converges() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(LinearSVM(), Clouds([0, 1, 2, 3] * 20), 4)


@pytest.mark.slow
def test_more_features_than_sequences_are_no_other_machine() -> None:
    rng = np.random.default_rng(0)
    labels = [0, 1, 2] * 6
    rows = rng.normal(size=(18, 400)) + 3 * np.eye(400)[labels]
    rows[-1] = rows[-4]  # one that adds no dimension
    wide = Clouds(labels)
    wide.inputs, wide.lengths = [row[None].astype(np.float32) for row in rows], [1] * 18
    config = LinearSVM(C=100, scaling="none")
    network = config.build(400, 3)
    config.train(network, wide, seed=0, device="cpu", checkpoint=Path())
    given = rows.astype(np.float32).astype(np.float64)
    machine = LinearSVC(C=100, tol=1e-8, max_iter=10**6, random_state=0).fit(given, labels)
    ours = predict(network, wide, batch=8, device="cpu")
    np.testing.assert_allclose(ours, machine.decision_function(given), atol=1e-3)
