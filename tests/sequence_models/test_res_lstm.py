"""Res-LSTM against its equations, layer by layer."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.errors import InputError
from pipeline.training.random_state import seeded
from sequence_models.res_lstm import ResLSTM

LENGTHS = torch.tensor([6, 1, 4])


def build(features: int = 5, **fields: Any) -> Any:
    with seeded(4):
        return ResLSTM(**fields).network(features, 3).double()


def clips(features: int = 5) -> Tensor:
    return torch.randn(3, 6, features, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


def run(weights: list[Tensor], x: Tensor) -> Tensor:
    """m (time, hidden) of one sequence (time, feature) through one layer."""
    w, u, b, d = weights
    m = c = x.new_zeros(u.shape[1])
    outputs = []
    for now in x:
        i, f, g, o = (w @ now + u @ m + b + d).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        m = o.sigmoid() * c.tanh()
        outputs.append(m)
    return torch.stack(outputs)


@pytest.mark.parametrize("classify", ["m", "x"])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_scores_are_those_of_the_equations(layers: int, residual: bool, classify: str) -> None:
    network = build(layers=layers, residual=residual, classify=classify)
    scores = network(clips(), LENGTHS)
    for clip, length, score in zip(clips(), LENGTHS.tolist(), scores, strict=True):
        x = m = clip[:length]
        for layer in network.layers:
            m = run(list(layer.parameters()), x)
            x = m + x if residual else m
        expected = network.classify.weight @ (m if classify == "m" else x)[-1] + network.classify.bias
        torch.testing.assert_close(score, expected, rtol=1e-12, atol=1e-14)


def test_layers_that_say_nothing_leave_the_input_to_the_classifier() -> None:
    network = build(layers=3, classify="x")
    with torch.no_grad():
        for weight in network.layers.parameters():
            weight.zero_()
    last = torch.stack([clip[length - 1] for clip, length in zip(clips(), LENGTHS.tolist(), strict=True)])
    torch.testing.assert_close(network(clips(), LENGTHS), network.classify(last))


@pytest.mark.parametrize(("width", "layers"), [(256, 2), (1024, 3)])
def test_parameters(width: int, layers: int) -> None:
    network = build(width, layers=layers)
    count = sum(weight.numel() for weight in network.parameters())
    assert count == layers * 4 * width * (2 * width + 2) + 3 * (width + 1)


def test_shortcuts_need_equal_widths() -> None:
    with pytest.raises(InputError, match=r"hidden = 4 on 5 features.*reducer with 4"):
        build(hidden=4)
    build(hidden=5)
    assert build(hidden=4, residual=False, layers=3)(clips(), LENGTHS).shape == (3, 3)


def test_the_default_is_the_papers() -> None:
    default = ResLSTM()
    assert (default.layers, default.steps, default.classify, default.residual) == (2, 25, "m", True)
    assert (default.fit.optimiser, default.fit.lr, default.fit.smoothing) == ("rmsprop", 1e-3, 0.9)
