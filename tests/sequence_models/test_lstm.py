"""LSTM with and without forget gates against their equations in NumPy, and the paper's count of parameters."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.training.batches import IGNORED
from pipeline.training.random_state import seeded
from sequence_models.lstm import LSTM

LENGTHS = torch.tensor([6, 1, 4])


def build(**fields: Any) -> Any:
    with seeded(4):
        return LSTM(**{"hidden": 4, **fields}).network(5, 3).double()


def clips() -> Tensor:
    return torch.randn(3, 6, 5, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def without_forget_gate(layer: Any, x: np.ndarray) -> np.ndarray:
    """m (time, hidden) of one sequence (time, feature)."""
    w, b, u = (weight.detach().numpy() for weight in (layer.inputs.weight, layer.inputs.bias, layer.recurrent))
    m = c = np.zeros(u.shape[1])
    outputs = []
    for now in x:
        i, g, o = np.split(w @ now + u @ m + b, 3)
        c = c + sigmoid(i) * np.tanh(g)
        m = sigmoid(o) * np.tanh(c)
        outputs.append(m)
    return np.array(outputs)


def with_forget_gate(layer: Any, x: np.ndarray) -> np.ndarray:
    """m (time, hidden) of one sequence (time, feature); Gers, Schmidhuber and Cummins (2000)."""
    w, u, b, d = (weight.detach().numpy() for weight in layer.parameters())
    m = c = np.zeros(u.shape[1])
    outputs = []
    for now in x:
        i, f, g, o = np.split(w @ now + u @ m + b + d, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        m = sigmoid(o) * np.tanh(c)
        outputs.append(m)
    return np.array(outputs)


CELLS = {False: without_forget_gate, True: with_forget_gate}


def steps(network: Any, forget_gate: bool) -> list[np.ndarray]:
    """Probabilities (time, class) of every clip."""
    result = []
    for clip, length in zip(clips().numpy(), LENGTHS.tolist(), strict=True):
        m = clip[:length]
        for layer in network.layers:
            m = CELLS[forget_gate](layer, m)
        logits = m @ network.classify.weight.detach().numpy().T + network.classify.bias.detach().numpy()
        result.append(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))
    return result


def test_parameters_are_as_many_as_in_the_paper() -> None:
    network: Any = LSTM(hidden=50, forget_gate=False).network(120, 6)
    assert sum(weight.numel() for weight in network.layers.parameters()) == 3 * 50 * (120 + 50 + 1) == 25_650
    assert sum(weight.numel() for weight in network.parameters()) == 25_956


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("forget_gate", [False, True])
def test_decisions_on_the_outputs_of_the_equations(forget_gate: bool, layers: int) -> None:
    expected = {"mean": lambda y: y.mean(0), "last": lambda y: y[-1]}
    for decision, decide in expected.items():
        network = build(layers=layers, forget_gate=forget_gate, decision=decision)
        probabilities = network(clips(), LENGTHS).softmax(1).detach().numpy()
        np.testing.assert_allclose(probabilities, [decide(y) for y in steps(network, forget_gate)], rtol=1e-12)


def test_the_mean_is_a_logarithm_already() -> None:
    scores = build()(clips(), LENGTHS)
    torch.testing.assert_close(scores.exp().sum(1), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("forget_gate", [False, True])
def test_the_loss_is_at_every_step_or_at_the_last(forget_gate: bool) -> None:
    targets = [0, 2, 1]
    terms = {"mean": lambda y, c: -np.log(y[:, c]).mean(), "last": lambda y, c: -np.log(y[-1, c])}
    for decision, term in terms.items():
        network = build(forget_gate=forget_gate, decision=decision)
        loss, _ = network.loss(clips(), LENGTHS, torch.tensor(targets))
        expected = np.mean([term(y, c) for y, c in zip(steps(network, forget_gate), targets, strict=True)])
        assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("decision", ["mean", "last"])
def test_the_loss_of_labelled_frames_is_their_sum(decision: str) -> None:
    network = build(decision=decision)
    targets = torch.full((3, 6), IGNORED)
    targets[0], targets[1, :1], targets[2, :4] = torch.tensor([0, 1, 2, 0, 1, 2]), 2, torch.tensor([1, 1, 0, 2])
    loss, _ = network.loss(clips(), LENGTHS, targets)
    labels = [row[row != IGNORED].numpy() for row in targets]
    expected = sum(
        -np.log(y[np.arange(len(y)), c]).sum() / 3 for y, c in zip(steps(network, True), labels, strict=True)
    )
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_gradients_without_forget_gates_are_those_of_finite_differences() -> None:
    network = build(forget_gate=False)
    names = list(dict(network.named_parameters()))

    def scores(inputs: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(network, dict(zip(names, weights, strict=True)), (inputs, LENGTHS))

    assert torch.autograd.gradcheck(scores, (clips().requires_grad_(), *network.parameters()))


def test_without_forget_gates_the_cell_never_forgets() -> None:
    """Where nothing is let in, the cell keeps what it has for ever: the constant error carousel."""
    with seeded(1):
        layer = LSTM(hidden=4, forget_gate=False).network(5, 3).layers[0]  # type: ignore[attr-defined]
    inputs = torch.zeros(1, 500, 5)
    inputs[0, 0] = 1
    with torch.no_grad():
        layer.recurrent.zero_()
        layer.inputs.bias.zero_()
        layer.inputs.bias[:4] = -1e4
        layer.inputs.weight[:4] = 4e3
    _, (_, last) = layer(inputs)
    _, (_, first) = layer(inputs[:, :1])
    assert first.abs().max() > 0.1
    assert torch.equal(last, first)
    assert F.mse_loss(last, first) == 0
