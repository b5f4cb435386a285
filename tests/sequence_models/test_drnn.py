"""dRNN against the paper's equations, written down a second time in NumPy and step by step in autograd."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.training.batches import IGNORED
from pipeline.training.random_state import seeded
from sequence_models.drnn import DRNN

TRUNCATIONS = ("dos", "none", "hs97")


def build(features: int = 5, classes: int = 3, **fields: Any) -> Any:
    with seeded(4):
        return DRNN(**{"state": 4, "init_bound": 0.9, **fields}).network(features, classes).double()


def clips(batch: int = 3, time: int = 6, features: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(8)
    inputs = torch.randn(batch, time, features, generator=generator, dtype=torch.float64)
    return inputs, torch.tensor([time, 1, time - 2])[:batch]


def named_weights(network: Any) -> dict[str, Tensor]:
    """The matrices of the equations by their names there: W_i^(j) as "i0", "i1" …, W_iz as "iz", b_i as "ib"."""
    m, k = network.readout.weight.shape[1], network.readout.weight.shape[0]
    rows = {"i": slice(0, m), "f": slice(m, 2 * m), "s": slice(2 * m, 3 * m), "o": slice(3 * m, 3 * m + k)}
    seen = {"i": network.gates[:m], "f": network.gates[m:], "o": network.output_gate}
    names = {"sz": network.cell, "zs": network.readout.weight, "zb": network.readout.bias}
    for gate, place in rows.items():
        names[f"{gate}x"], names[f"{gate}b"] = network.inputs.weight[place], network.inputs.bias[place]
    for gate, matrix in seen.items():
        *parts, names[f"{gate}z"] = matrix.split([*[m] * (network.order + 1), k], dim=1)
        names.update({f"{gate}{j}": part for j, part in enumerate(parts)})
    return names


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def transcription(network: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z (time, k) and s (time, m) of one sequence (time, n), as equations 1 to 5 and 8 to 13 of the paper say."""
    w = {name: weight.detach().numpy() for name, weight in named_weights(network).items()}
    k, m = w["zs"].shape

    def derivative(states: list[np.ndarray], j: int) -> np.ndarray:
        """dʲs at the end of ``states``, by binomial coefficients: s_t − 2 s_{t−1} + s_{t−2} for j = 2."""
        binomial = np.polynomial.polynomial.polypow([1, -1], j)
        return sum(c * states[-1 - back] for back, c in enumerate(binomial))  # type: ignore[return-value]

    def gate(name: str, states: list[np.ndarray], z: np.ndarray, now: np.ndarray) -> np.ndarray:
        total = sum(w[f"{name}{j}"] @ derivative(states, j) for j in range(network.order + 1))
        return sigmoid(total + w[f"{name}z"] @ z + w[f"{name}x"] @ now + w[f"{name}b"])

    states, outputs = [np.zeros(m)] * (network.order + 2), [np.zeros(k)]
    for now in x:
        z = outputs[-1]
        i, f = gate("i", states, z, now), gate("f", states, z, now)
        g = np.tanh(w["sz"] @ z + w["sx"] @ now + w["sb"])
        states.append(f * states[-1] + i * g)
        outputs.append(gate("o", states, z, now) * np.tanh(w["zs"] @ states[-1] + w["zb"]))
    return np.array(outputs[1:]), np.array(states[network.order + 2 :])


def step_by_step(network: Any, x: Tensor, truncation: str) -> Tensor:
    """z (time, k) of one sequence, every cut of the gradient written out where it is made."""
    w = named_weights(network)
    k, m = w["zs"].shape

    def derivatives(states: list[Tensor]) -> list[Tensor]:
        rows = [states[-1 - back] for back in range(network.order + 1)]
        result = []
        while rows:
            result.append(rows[0])
            rows = [a - b for a, b in pairwise(rows)]
        return result

    def gate(name: str, seen: list[Tensor], z: Tensor, now: Tensor) -> Tensor:
        total = sum(w[f"{name}{j}"] @ d for j, d in enumerate(seen))
        return torch.sigmoid(total + w[f"{name}z"] @ z + w[f"{name}x"] @ now + w[f"{name}b"])

    states, outputs = [x.new_zeros(m)] * (network.order + 1), [x.new_zeros(k)]
    for now in x:
        z, before = outputs[-1], derivatives(states)
        g = torch.tanh(w["sz"] @ z + w["sx"] @ now + w["sb"])
        if truncation in ("dos", "hs97"):
            before[1:] = [d.detach() for d in before[1:]]
        if truncation == "hs97":
            before[0], z = before[0].detach(), z.detach()
        i, f = gate("i", before, z, now), gate("f", before, z, now)
        states.append(f * states[-1] + i * g)
        after = derivatives(states)
        if truncation in ("dos", "hs97"):
            after[1:] = [d.detach() for d in after[1:]]
        outputs.append(gate("o", after, z, now) * torch.tanh(w["zs"] @ states[-1] + w["zb"]))
    return torch.stack(outputs[1:])


@pytest.mark.parametrize(
    ("features", "state", "classes", "counts"),
    [(450, 300, 6, (597_648, 779_448, 961_248)), (583, 400, 20, (1_072_900, 1_400_900, 1_728_900))],
    ids=["KTH", "MSR Action3D"],
)
def test_parameters_are_as_many_as_in_the_paper(features: int, state: int, classes: int, counts: Any) -> None:
    for order, count in enumerate(counts):
        network: Any = DRNN(order=order, state=state).network(features, classes)
        assert sum(weight.numel() for weight in network.parameters()) == count


@pytest.mark.parametrize("order", range(5))
def test_outputs_are_those_of_the_equations(order: int) -> None:
    network = build(order=order)
    inputs, lengths = clips()
    scores = network(inputs, lengths).detach().numpy()
    for clip, length, score in zip(inputs.numpy(), lengths.tolist(), scores, strict=True):
        z, states = transcription(network, clip[:length])
        np.testing.assert_allclose(score, z[-1], rtol=1e-12, atol=1e-14)
        logits, norms = network.trace(torch.from_numpy(clip[:length]))
        np.testing.assert_allclose(logits, z, rtol=1e-12, atol=1e-14)
        highest = max(order, 2)
        padded = np.concatenate([np.zeros((highest, 4)), states])
        expected = [np.linalg.norm(np.diff(padded, j, axis=0)[highest - j :], axis=1) for j in range(highest + 1)]
        np.testing.assert_allclose(norms, np.transpose(expected), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("order", range(3))
def test_velocity_and_acceleration_are_differences_of_the_state(order: int) -> None:
    network = build(order=order)
    (clip, *_), _ = clips()
    _, states = transcription(network, clip.numpy())
    s = np.concatenate([np.zeros((2, 4)), states])  # s_{-1} = s_0 = 0
    norms = network.trace(clip).norms.numpy()
    for t in range(2, len(s)):
        velocity, acceleration = s[t] - s[t - 1], s[t] - 2 * s[t - 1] + s[t - 2]
        expected = [np.sqrt(sum(value**2 for value in part)) for part in (s[t], velocity, acceleration)]
        np.testing.assert_allclose(norms[t - 2], expected, rtol=1e-12)


@pytest.mark.parametrize("truncation", TRUNCATIONS)
@pytest.mark.parametrize("order", range(4))
def test_gradients_are_cut_where_they_should_be(order: int, truncation: str) -> None:
    network = build(order=order, truncation=truncation)
    inputs, lengths = clips()
    targets = torch.tensor([0, 2, 1])
    inputs.requires_grad_()
    leaves = [inputs, *network.parameters()]
    loss, _ = network.loss(inputs, lengths, targets)
    last = [step_by_step(network, clip[:length], truncation)[-1] for clip, length in zip(inputs, lengths, strict=True)]
    expected = F.cross_entropy(torch.stack(last), targets)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    for one, other in zip(torch.autograd.grad(loss, leaves), torch.autograd.grad(expected, leaves), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-14)


def test_truncations_differ_and_derivative_weights_learn() -> None:
    gradients = {}
    for truncation in TRUNCATIONS:
        network = build(order=2, truncation=truncation)
        loss, _ = network.loss(*clips(), torch.tensor([0, 2, 1]))
        gradients[truncation] = torch.autograd.grad(loss, [network.gates, network.output_gate])
        assert all((gradient[:, 4:12] != 0).any(dim=0).all() for gradient in gradients[truncation])
    for one, other in (("dos", "none"), ("dos", "hs97"), ("none", "hs97")):
        assert not torch.allclose(gradients[one][0], gradients[other][0])


@pytest.mark.parametrize("readout", ["literal", "linear"])
@pytest.mark.parametrize("decision", ["last", "mean"])
def test_without_truncation_gradients_are_those_of_finite_differences(readout: str, decision: str) -> None:
    network = build(order=2, truncation="none", readout=readout, decision=decision)
    inputs, lengths = clips(time=4)
    names = list(dict(network.named_parameters()))

    def loss(*weights: Tensor) -> Tensor:
        call = torch.func.functional_call
        return call(network, dict(zip(names, weights[1:], strict=True)), (weights[0], lengths))

    assert torch.autograd.gradcheck(loss, (inputs.requires_grad_(), *network.parameters()))


def test_the_literal_loss_has_a_floor() -> None:
    """|z| < 1, so that −log softmax stays above log(e + (k − 1)/e) − 1: 0.5168 for KTH, 1.2729 for MSR Action3D."""
    for classes, floor in ((6, 0.5168), (20, 1.2729)):
        best = torch.full((1, classes), -1.0)
        best[0, 0] = 1
        assert F.cross_entropy(best, torch.tensor([0])).item() == pytest.approx(floor, abs=5e-5)
        network = build(classes=classes, init_bound=20.0)
        inputs, lengths = clips()
        scores = network(100 * inputs, lengths)
        assert scores.abs().max() <= 1
        assert network.loss(100 * inputs, lengths, scores.argmax(1))[0] >= floor


def test_decisions() -> None:
    inputs, lengths = clips()
    last, mean = build(decision="last"), build(decision="mean")
    steps = [
        np.array(transcription(last, clip[:n])[0]) for clip, n in zip(inputs.numpy(), lengths.tolist(), strict=True)
    ]
    np.testing.assert_allclose(last(inputs, lengths).detach(), [z[-1] for z in steps], rtol=1e-12)
    np.testing.assert_allclose(mean(inputs, lengths).detach(), [z.mean(0) for z in steps], rtol=1e-12)


def test_a_linear_readout_is_a_layer_on_z() -> None:
    network = build(order=1, readout="linear")
    inputs, lengths = clips()
    z, _ = transcription(network, inputs[0].numpy())
    assert z.shape == (6, 4)
    expected = network.classify.weight.detach().numpy() @ z[-1] + network.classify.bias.detach().numpy()
    np.testing.assert_allclose(network(inputs, lengths)[0].detach(), expected, rtol=1e-12)
    np.testing.assert_allclose(network.trace(inputs[0]).logits[-1], expected, rtol=1e-12)


def test_labels_of_frames_are_all_learned() -> None:
    network = build()
    inputs, lengths = clips()
    targets = torch.full((3, 6), IGNORED)
    targets[0], targets[1, :1], targets[2, :4] = torch.tensor([0, 1, 2, 0, 1, 2]), 2, torch.tensor([1, 1, 0, 2])
    loss, scores = network.loss(inputs, lengths, targets)
    expected = 0.0
    for clip, labels, length in zip(inputs.numpy(), targets.numpy(), lengths.tolist(), strict=True):
        z, _ = transcription(network, clip[:length])
        y = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        expected -= np.log(y[np.arange(length), labels[:length]]).sum() / 3
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert torch.equal(scores, network(inputs, lengths))


def test_initial_weights_are_bounded_and_forget_gates_biased() -> None:
    with seeded(1):
        plain: Any = DRNN(state=100).network(30, 5)
    with seeded(1):
        biased: Any = DRNN(state=100, forget_bias=2.0).network(30, 5)
    for name, weight in plain.named_parameters():
        assert weight.abs().max() <= 0.1
        if weight.numel() > 1000:
            assert weight.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.05)
        other = dict(biased.named_parameters())[name].detach() - weight.detach()
        if name == "inputs.bias":
            torch.testing.assert_close(other[100:200], torch.full((100,), 2.0))
            other[100:200] = 0
        assert not other.any()
