"""Scaling of features measured over the training sequences."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.training.config import Fit
from sequence_models.lstm import LSTM
from sequence_models.networks.standardisation import Scaling, Standardised
from sequence_models.networks.steps import SequenceClassifier


class Sequences:
    def __init__(self, *inputs: np.ndarray) -> None:
        self.inputs = inputs
        self.lengths = [len(array) for array in inputs]

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        return self.inputs[index], 0


class Last(SequenceClassifier):
    """Scores are the last step's features; it keeps what it was given."""

    def __init__(self, groups: bool = False) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        if groups:
            self.parameter_groups = lambda: [{"params": [self.layer.bias], "decay": False}]

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        self.given = inputs
        return inputs[torch.arange(len(inputs)), lengths - 1]


def sequences() -> Sequences:
    rng = np.random.default_rng(2)
    scale, shift = np.array([0.01, 3.0, 500.0]), np.array([1000.0, -2.0, 0.0])
    return Sequences(*((rng.normal(size=(n, 3)) * scale + shift).astype(np.float32) for n in (1, 40, 7, 300)))


def measured() -> Standardised:
    network = Standardised(Last(), 3)
    network.fit_scaling(sequences())
    return network


def test_all_steps_together_have_mean_0_and_deviation_1() -> None:
    network = measured()
    rows = np.concatenate(sequences().inputs).astype(np.float64)
    np.testing.assert_allclose(network.scaling.mean, rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose(network.scaling.scale, 1 / rows.std(0), rtol=1e-6)
    scaled = network.scaling(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-2)
    np.testing.assert_allclose(scaled.std(0), 1, rtol=1e-5)


def test_the_order_of_the_sequences_does_not_matter() -> None:
    one, other = Scaling.of(sequences().inputs), Scaling.of(sequences().inputs[::-1])
    torch.testing.assert_close(one.mean, other.mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(one.scale, other.scale, rtol=1e-6, atol=0)


@pytest.mark.parametrize("constant", [0.0, 0.1, -7e5, 1e-20])
def test_constant_features_become_zero(constant: float) -> None:
    rng = np.random.default_rng(0)
    arrays = [np.stack([np.full(n, constant), rng.normal(size=n) * 1e-9], axis=1).astype(np.float32) for n in (5, 33)]
    arrays[0][0, 0] *= 1 + 1e-7  # the last bit of a float
    scaled = Scaling.of(arrays)(torch.from_numpy(np.concatenate(arrays)))
    assert (scaled[:, 0] == 0).all()
    assert scaled[:, 1].std(correction=0).item() == pytest.approx(1, rel=1e-5)


def test_forward_and_loss_see_scaled_inputs() -> None:
    network = measured()
    inputs = torch.from_numpy(sequences().inputs[2])[None]
    scores = network(inputs, torch.tensor([7]))
    torch.testing.assert_close(network.network.given, network.scaling(inputs))
    loss, same = network.loss(inputs, torch.tensor([7]), torch.tensor([1]))
    assert torch.equal(same, scores)
    torch.testing.assert_close(loss, -scores.log_softmax(1)[0, 1])


def test_features_are_dropped_in_training_alone_and_keep_their_mean() -> None:
    network = Standardised(Last(), 3, dropout=0.25)
    ones, lengths = torch.ones(1000, 7, 3), torch.full((1000,), 7)
    torch.manual_seed(0)
    for run in (network, lambda *given: network.loss(*given, torch.zeros(1000, dtype=torch.long))):
        network.train()
        run(ones, lengths)
        given = network.network.given
        assert (given == 0).double().mean().item() == pytest.approx(0.25, abs=0.02)
        assert given.mean().item() == pytest.approx(1, abs=0.03)
        assert ((given == 0).any(dim=1) & (given != 0).any(dim=1)).any()  # drawn anew for every step
        network.eval()
        run(ones, lengths)
        assert torch.equal(network.network.given, ones)


@pytest.mark.parametrize(("standardise", "mean"), [(True, 0.0), (False, 9.0)])
def test_a_model_drops_features_whether_or_not_it_standardises_them(
    standardise: bool, mean: float, tmp_path: Path
) -> None:
    model = LSTM(hidden=4, standardise=standardise, input_dropout=0.5, fit=Fit(epochs=1))
    network = model.build(3, 2)
    examples = Sequences(*(np.random.default_rng(n).normal(9, 1, (5, 3)).astype(np.float32) for n in range(40)))
    model.train(network, examples, seed=0, device="cpu", checkpoint=tmp_path / "checkpoint.pt")
    assert isinstance(network, Standardised)
    assert network.dropout.p == 0.5
    scaled = network.scaling(torch.from_numpy(np.concatenate(examples.inputs)))
    assert scaled.mean().item() == pytest.approx(mean, abs=0.2)


def test_the_scaling_is_saved_and_never_trained() -> None:
    network = measured()
    again = Standardised(Last(), 3)
    again.load_state_dict(network.state_dict())
    assert torch.equal(again.scaling.mean, network.scaling.mean)
    assert torch.equal(again.scaling.scale, network.scaling.scale)
    assert [name for name, _ in network.named_parameters()] == ["network.layer.weight", "network.layer.bias"]


def test_groups_of_parameters_are_the_networks_own() -> None:
    with_groups = Standardised(Last(groups=True), 3)
    assert with_groups.parameter_groups() == [{"params": [with_groups.network.layer.bias], "decay": False}]
    (group,) = Standardised(Last(), 3).parameter_groups()
    assert [weight.shape for weight in group["params"]] == [(3, 3), (3,)]


def test_bad_features() -> None:
    with pytest.raises(InputError, match="no training examples"):
        Scaling.of([])
    with pytest.raises(InputError, match="feature 1 of the training sequences is not finite everywhere"):
        Scaling.of([np.zeros((2, 3)), np.array([[0, np.nan, 1]])])
