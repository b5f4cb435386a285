"""Small models compute on the CPU: the rule, and that it counts what their networks multiply."""

from typing import Any

import pytest

from pipeline.training.config import Fit
from sequence_models.base import PRODUCTS_WHILE_STARTING, Model
from sequence_models.consensus import Consensus
from sequence_models.drnn import DRNN
from sequence_models.linear_svm import LinearSVM
from sequence_models.lstm import LSTM
from sequence_models.networks.lstm import GatedLayer, UngatedLayer
from sequence_models.res_lstm import ResLSTM

CLASSES = 5


@pytest.mark.parametrize(
    ("model", "gpu"),
    [
        (DRNN(), True),
        (DRNN(state=30), False),
        (LSTM(), False),
        (LSTM(forget_gate=False), False),
        (LSTM(hidden=512, fit=Fit(epochs=1)), True),
        (ResLSTM(), True),
        (ResLSTM(residual=False, hidden=16), False),
        (LinearSVM(), False),
        (Consensus(), False),
    ],
)
def test_which_models_use_a_gpu(model: Model, gpu: bool) -> None:
    assert model.uses_gpu == gpu


@pytest.mark.parametrize("gated", [True, False])
def test_more_work_in_a_step_never_brings_a_model_back_to_the_cpu(gated: bool) -> None:
    def uses(hidden: int, batch: int) -> bool:
        return LSTM(hidden=hidden, forget_gate=gated, fit=Fit(epochs=1, batch=batch)).uses_gpu

    by_width = [uses(hidden, 8) for hidden in (1, 10, 50, 100, 200, 400, 800)]
    by_batch = [uses(60, batch) for batch in (1, 4, 16, 64, 256, 1024)]
    for grown in (by_width, by_batch):
        assert grown == sorted(grown)
        assert set(grown) == {False, True}


def test_at_the_bound_a_gpu_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    model = LSTM(hidden=100, fit=Fit(epochs=1, batch=2))
    for bound, gpu in ((2 * model.step.products, True), (2 * model.step.products + 1, False)):
        monkeypatch.setattr("sequence_models.base.PRODUCTS_WHILE_STARTING", bound)
        assert model.uses_gpu == gpu
    assert PRODUCTS_WHILE_STARTING > 0


def test_products_of_lstms_are_those_of_their_recurrent_weights() -> None:
    assert LSTM(hidden=7).step.products == GatedLayer(3, 7).weight_hh_l0.numel()
    assert LSTM(hidden=7, forget_gate=False).step.products == UngatedLayer(3, 7).recurrent.numel()
    plain = ResLSTM(residual=False, hidden=7)
    assert plain.step is not None
    assert plain.step.products == plain.network(3, CLASSES).layers[0].weight_hh_l0.numel()  # type: ignore[union-attr]


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("readout", ["literal", "linear"])
def test_products_of_drnns_are_those_of_their_recurrent_weights(order: int, readout: Any) -> None:
    model = DRNN(order=order, state=6, readout=readout)
    weights = model.network(3, CLASSES).recurrence()
    multiplied = sum(weight.numel() for weight in (weights.gates, weights.cell, weights.output_gate, weights.readout))
    if readout == "literal":  # all that the classes multiply is left out
        multiplied = weights.gates[:, : (order + 1) * 6].numel()
    assert model.step.products == multiplied
