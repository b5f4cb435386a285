"""The dRNN's recurrence against a plain loop, whose gradients are autograd's."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.training.random_state import seeded
from sequence_models.drnn import DRNN
from sequence_models.networks import fused, gemm, recurrence
from sequence_models.networks.recurrence import Recurrence, Truncation, unroll
from tests.support.recurrences import SIZES, problem

TRUNCATIONS = ("dos", "none", "hs97")


def plain(inputs: Tensor, weights: Recurrence, truncation: str) -> Tensor:
    """z (time, batch, output), as ``unroll``."""
    output, state = weights.readout.shape
    orders = (weights.gates.shape[1] - output) // state
    s, z = (inputs.new_zeros(inputs.shape[1], width) for width in (state, output))
    derivatives, outputs = [s] * orders, []
    for x in F.linear(inputs, weights.inputs, weights.bias):
        x_gates, x_cell, x_output = x.split([2 * state, state, output], dim=1)
        g = torch.tanh(x_cell + F.linear(z, weights.cell))
        if truncation == "hs97":
            z, derivatives = z.detach(), [derivatives[0].detach(), *derivatives[1:]]
        i, f = torch.sigmoid(x_gates + F.linear(torch.cat([*derivatives, z], dim=1), weights.gates)).chunk(2, dim=1)
        s = f * s + i * g
        current = [s]
        for earlier in derivatives[:-1]:
            difference = current[-1] - earlier
            current.append(difference if truncation == "none" else difference.detach())
        derivatives = current
        o = torch.sigmoid(x_output + F.linear(torch.cat([*derivatives, z], dim=1), weights.output_gate))
        z = o * torch.tanh(F.linear(s, weights.readout, weights.readout_bias))
        outputs.append(z)
    return torch.stack(outputs)


def results(function: Any, inputs: Tensor, weights: Recurrence, gradient: Tensor, truncation: str) -> list[Tensor]:
    """z, and the gradients of inputs and weights."""
    outputs = function(inputs, weights, truncation)
    leaves = [inputs, *weights]
    return [
        outputs.detach(),
        *torch.autograd.grad(outputs, leaves, gradient, allow_unused=True, materialize_grads=True),
    ]


def assert_near(ours: list[Tensor], theirs: list[Tensor], tolerance: float) -> None:
    for name, one, other in zip(("z", "x", *Recurrence._fields), ours, theirs, strict=True):
        off = (one.double().cpu() - other).abs().max()
        assert off <= tolerance * max(1.0, other.abs().max().item()), f"{name}: {off:.1e} off"


@pytest.mark.parametrize("truncation", TRUNCATIONS)
@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_outputs_and_gradients_are_those_of_a_plain_loop(sizes: Any, order: int, truncation: Truncation) -> None:
    expected = results(plain, *problem(sizes, order), truncation)
    assert_near(results(unroll, *problem(sizes, order), truncation), expected, 1e-12)
    single = results(unroll, *problem(sizes, order, torch.float32), truncation)
    assert all(result.dtype == torch.float32 for result in single)
    assert_near(single, expected, 1e-5)


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_at_the_size_of_the_paper(truncation: Truncation) -> None:
    sizes = (450, 300, 6, 32, 20)
    expected = results(plain, *problem(sizes), truncation)
    assert_near(results(unroll, *problem(sizes, dtype=torch.float32), truncation), expected, 2e-5)


@pytest.mark.parametrize("order", [0, 2])
def test_gradients_are_those_of_finite_differences(order: int) -> None:
    inputs, weights, _ = problem((3, 2, 2, 2, 4), order)
    assert torch.autograd.gradcheck(lambda x, *w: unroll(x, Recurrence(*w), "none"), (inputs, *weights))


def test_without_onednn_and_compiled_loops_results_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem((7, 20, 18, 3, 5), dtype=torch.float32)
    monkeypatch.setattr(gemm, "_intel", lambda: False)
    expected = [result.double() for result in results(unroll, *given, "none")]
    monkeypatch.setattr(gemm, "_by_onednn", lambda tensor: False)
    assert_near(results(unroll, *given, "none"), expected, 1e-5)
    monkeypatch.setattr(recurrence, "_fusible", lambda tensor: False)
    assert_near(results(unroll, *given, "none"), expected, 1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bits_repeat_and_do_not_depend_on_whether_gradients_are_wanted(dtype: torch.dtype) -> None:
    inputs, weights, gradient = problem((30, 40, 6, 33, 23), dtype=dtype)
    outputs = unroll(inputs, weights, "dos")
    first = torch.autograd.grad(outputs, weights, gradient, retain_graph=True)
    again = torch.autograd.grad(outputs, weights, gradient)
    anew = results(unroll, inputs, weights, gradient, "dos")
    assert torch.equal(outputs, anew[0])
    for one, two, three in zip(first, again, anew[2:], strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, three)
    with torch.inference_mode():
        assert torch.equal(unroll(inputs, weights, "dos"), outputs)
    with torch.no_grad():
        assert torch.equal(unroll(inputs.transpose(0, 1).contiguous().transpose(0, 1), weights, "dos"), outputs)


def test_a_gradient_of_any_layout_will_do() -> None:
    inputs, weights, _ = problem(dtype=torch.float32)
    expanded = torch.autograd.grad(unroll(inputs, weights, "dos").sum(), weights)
    written_out = torch.autograd.grad(unroll(inputs, weights, "dos"), weights, torch.ones(6, 3, 3))
    turned = torch.autograd.grad(unroll(inputs, weights, "dos"), weights, torch.ones(3, 3, 6).permute(2, 0, 1))
    for one, other, third in zip(expanded, written_out, turned, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, third)


def test_frozen_weights_get_no_gradient() -> None:
    inputs, weights, gradient = problem()
    expected = results(plain, inputs, weights, gradient, "dos")
    frozen = weights._replace(gates=weights.gates.detach())
    outputs = unroll(inputs.detach(), frozen, "dos")
    outputs.backward(gradient)
    assert inputs.grad is None
    assert frozen.gates.grad is None
    torch.testing.assert_close(weights.cell.grad, expected[2 + Recurrence._fields.index("cell")])


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_seen(few: bool, value: float) -> None:
    inputs, weights, _ = problem((5, 4, 3, 2, 4) if few else (5, 20, 20, 2, 4), dtype=torch.float32)
    with torch.no_grad():
        inputs[1, 0, 2] = value
        outputs = unroll(inputs, weights, "dos")
        expected = plain(inputs, weights, "dos")
    torch.testing.assert_close(outputs.isnan(), expected.isnan())
    assert outputs[0].isfinite().all()
    assert outputs[:, 1].isfinite().all()


def test_the_approximated_tanh() -> None:
    points = np.concatenate([np.linspace(-12, 12, 4001), np.geomspace(1e-30, 1, 400)]).astype(np.float32)
    values = np.array([fused._tanh(point) for point in points])
    np.testing.assert_allclose(values, np.tanh(points.astype(np.float64)), rtol=5e-7)
    assert np.abs(values).max() <= 1
    gates = np.array([fused._sigmoid(point) for point in points])
    np.testing.assert_allclose(gates, 1 / (1 + np.exp(-points.astype(np.float64))), atol=2e-7)
    assert gates.min() >= 0
    assert gates.max() <= 1


def test_ragged_batches_in_single_precision() -> None:
    with seeded(3):
        network: Any = DRNN(state=30, readout="linear", decision="mean").network(12, 5)
    inputs, lengths, targets = torch.randn(7, 9, 12), torch.tensor([9, 1, 4, 9, 2, 7, 3]), torch.arange(7) % 5
    single = torch.autograd.grad(network.loss(inputs, lengths, targets)[0], list(network.parameters()))
    network.double()
    double = torch.autograd.grad(network.loss(inputs.double(), lengths, targets)[0], list(network.parameters()))
    for one, other in zip(single, double, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-6)


def test_autocast_leaves_the_recurrence_in_the_precision_of_its_weights() -> None:
    inputs, weights, gradient = problem(dtype=torch.float32)
    expected = results(unroll, inputs, weights, gradient, "none")
    with torch.autocast("cpu", torch.bfloat16):
        for one, other in zip(results(unroll, inputs, weights, gradient, "none"), expected, strict=True):
            assert torch.equal(one, other)
        assert unroll(inputs.bfloat16(), weights, "none").dtype == torch.float32
        with seeded(3):
            network: Any = DRNN(state=8, readout="linear").network(5, 4)
        network.loss(torch.randn(2, 3, 5), torch.tensor([3, 2]), torch.tensor([0, 3]))[0].backward()
    assert all(weight.grad.isfinite().all() and weight.grad.any() for weight in network.parameters())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("truncation", TRUNCATIONS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_on_the_gpu(sizes: Any, dtype: torch.dtype, tolerance: float, truncation: Truncation) -> None:
    expected = results(plain, *problem(sizes), truncation)
    assert_near(results(unroll, *problem(sizes, dtype=dtype, device="cuda"), truncation), expected, tolerance)
