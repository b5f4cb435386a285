"""One contract for every registered model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.config import one_of, parse
from pipeline.training.loop import predict
from pipeline.training.precision import deterministic
from pipeline.training.random_state import seeded
from pipeline.training.weights_file import load_state, save_network
from sequence_models import MODELS
from sequence_models.base import Model

CLASSES = 4
QUICK = {"optimiser": "adam", "lr": 0.01, "batch": 4, "patience": 0}
OTHERS: dict[str, list[dict[str, Any]]] = {
    "consensus": [{"rule": "vote"}],
    "drnn": [
        {"order": 0, "decision": "mean", "truncation": "none"},
        {"order": 3, "readout": "linear", "truncation": "hs97", "state": 20, "forget_bias": 1.0, "init_bound": 0.2},
    ],
    "lstm": [{"forget_gate": False}, {"layers": 2, "decision": "last"}, {"layers": 2, "forget_gate": False}],
    "res_lstm": [{"classify": "x", "layers": 3}, {"residual": False, "hidden": 20}],
}
"""Besides the defaults, which are always under contract."""

CONFIGURATIONS = [{"name": name, **fields} for name in MODELS for fields in ({}, *OTHERS.get(name, []))]


def configured(table: dict[str, Any], epochs: int = 3) -> Model:
    quick = {"fit": {**QUICK, "epochs": epochs}} if "fit" in MODELS[table["name"]].model_fields else {}
    model: Model = parse(one_of(MODELS, "model"), {**table, **quick})
    return model


@pytest.fixture(params=CONFIGURATIONS, ids=lambda table: "-".join(map(str, table.values())))
def model(request: pytest.FixtureRequest) -> Model:
    return configured(request.param)


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if "fit" in model.model_fields])
def test_a_partial_training_keeps_the_rest_of_the_models_own(name: str) -> None:
    own = MODELS[name].model_fields["fit"].default
    assert own.epochs != 15
    partial = parse(one_of(MODELS, "model"), {"name": name, "fit": {"epochs": 15}})
    assert partial.fit == own.model_copy(update={"epochs": 15})


TRAINED = [table for table in CONFIGURATIONS if configured(table).trained]


@pytest.fixture(params=TRAINED, ids=lambda table: "-".join(map(str, table.values())))
def trained_model(request: pytest.FixtureRequest) -> Model:
    """Trained for a moment only."""
    return configured(request.param)


class Eight:
    """Eight sequences of 1 to 7 steps of noise; their labels mean nothing: they can only be learned by heart."""

    def __init__(self, features: int = 12) -> None:
        rng = np.random.default_rng(3)
        self.lengths = [1, 3, 7, 2, 5, 4, 7, 6]
        self.inputs = [(3 * rng.normal(size=(n, features)) + 5).astype(np.float32) for n in self.lengths]
        self.labels = rng.permutation(np.arange(8) % CLASSES)

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        return self.inputs[index], self.labels[index]


def width(model: Model) -> int:
    return CLASSES if model.reads == "scores" else 12


def built(model: Model, seed: int = 0) -> Any:
    with seeded(seed):
        return model.build(width(model), CLASSES).eval()


def batch_of(examples: Eight, indices: Sequence[int], time: int = 7, beyond: float = 0.0) -> tuple[Tensor, Tensor]:
    inputs = torch.full((len(indices), time, examples.inputs[0].shape[1]), beyond)
    for row, index in zip(inputs, indices, strict=True):
        row[: examples.lengths[index]] = torch.from_numpy(examples.inputs[index])
    return inputs, torch.tensor([examples.lengths[index] for index in indices])


def trained(model: Model, folder: Path, seed: int = 0) -> Any:
    examples, network = Eight(), built(model, seed)
    model.train(network, examples, seed=seed, device="cpu", checkpoint=folder / "checkpoint.pt")
    return network


def test_a_configuration_survives_json(model: Model) -> None:
    assert parse(one_of(MODELS, "model"), model.model_dump(mode="json")) == model
    assert MODELS[model.name] is type(model)


def test_scores_are_finite_logits_and_loss_gives_the_same(model: Model) -> None:
    inputs, lengths = batch_of(Eight(width(model)), range(8))
    network = built(model)
    scores = network(inputs, lengths)
    assert scores.shape == (8, CLASSES)
    assert scores.dtype == torch.float32
    assert scores.isfinite().all()
    loss, same = network.loss(inputs, lengths, torch.arange(8) % CLASSES)
    assert loss.shape == ()
    assert loss.isfinite()
    assert torch.equal(same, scores)


@pytest.mark.parametrize("beyond", [1e6, torch.inf, torch.nan])
def test_what_lies_beyond_the_length_never_matters(model: Model, beyond: float) -> None:
    network, examples = built(model), Eight(width(model))
    targets = torch.arange(8) % CLASSES
    inputs, lengths = batch_of(examples, range(8))
    expected, scores = network.loss(inputs, lengths, targets)
    gradients = _gradients(network, expected)
    loss, same = network.loss(batch_of(examples, range(8), beyond=beyond)[0], lengths, targets)
    assert torch.equal(same, scores)
    assert torch.equal(loss, expected)
    for one, other in zip(_gradients(network, loss), gradients, strict=True):
        assert torch.equal(one, other)
    longer = network(batch_of(examples, range(8), time=19, beyond=beyond)[0], lengths)
    torch.testing.assert_close(longer, scores, rtol=1e-5, atol=1e-6)


def _gradients(network: Any, loss: Tensor) -> Sequence[Tensor]:
    weights = list(network.parameters())
    return torch.autograd.grad(loss, weights, materialize_grads=True) if weights else []


def test_a_sequence_is_scored_alone_as_in_any_batch(model: Model) -> None:
    network, examples = built(model), Eight(width(model))
    scores = network(*batch_of(examples, range(8)))
    shuffled = network(*batch_of(examples, [5, 0, 7, 2, 1, 6, 4, 3]))
    torch.testing.assert_close(shuffled, scores[[5, 0, 7, 2, 1, 6, 4, 3]], rtol=1e-5, atol=1e-6)
    for index, length in enumerate(examples.lengths):
        alone = network(*batch_of(examples, [index], time=length))
        torch.testing.assert_close(alone[0], scores[index], rtol=1e-5, atol=1e-6)


def test_a_trace_is_what_the_network_says_of_each_beginning(model: Model) -> None:
    network, (clip, *_) = built(model), batch_of(Eight(width(model)), [2])[0]
    traced = network.trace(clip)
    assert (traced is None) == (model.name == "linear_svm")
    if traced is None:
        return
    assert traced.logits.shape == (7, CLASSES)
    for steps in range(1, 8):
        scores = network(clip[None], torch.tensor([steps]))[0]
        said = traced.logits[:steps]
        votes = torch.nn.functional.one_hot(said.argmax(dim=1), CLASSES).sum(dim=0)
        expected = {
            "lstm-mean": said.softmax(dim=1).mean(dim=0).log(),
            "drnn-mean": said.mean(dim=0),
            "consensus-mean": said.mean(dim=0),
            "consensus-vote": ((votes + said.softmax(dim=1).mean(dim=0)) / (steps + 1)).log(),
        }.get(f"{model.name}-{getattr(model, 'decision', getattr(model, 'rule', 'last'))}", said[-1])
        torch.testing.assert_close(scores.softmax(dim=0), expected.softmax(dim=0), rtol=1e-5, atol=1e-6)
    shorter = network.trace(clip[:4])
    torch.testing.assert_close(shorter.logits, traced.logits[:4], rtol=1e-5, atol=1e-6)


def test_arguments_stay_untouched(model: Model) -> None:
    inputs, lengths = batch_of(Eight(width(model)), range(8), beyond=9.0)
    copies = inputs.clone(), lengths.clone()
    built(model)(inputs, lengths)
    assert torch.equal(inputs, copies[0])
    assert torch.equal(lengths, copies[1])


def test_the_seed_decides_the_initial_weights(model: Model) -> None:
    one, same, other = (built(model, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    if list(built(model).parameters()):
        assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("table", TRAINED, ids=lambda table: "-".join(map(str, table.values())))
def test_eight_sequences_are_learned_by_heart(table: dict[str, Any], tmp_path: Path) -> None:
    network, examples = trained(configured(table, epochs=60), tmp_path), Eight()
    scores = predict(network, examples, batch=3, device="cpu")
    assert scores.argmax(1).tolist() == examples.labels.tolist()


def test_a_seed_repeats_to_the_last_bit(trained_model: Model, tmp_path: Path) -> None:
    one, other = (trained(trained_model, tmp_path / folder).state_dict() for folder in ("one", "other"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_trained_network_survives_its_file(trained_model: Model, tmp_path: Path) -> None:
    from pipeline.training.curves import Curves

    network, examples = trained(trained_model, tmp_path), Eight()
    save_network(tmp_path / "network.safetensors", network.state_dict(), Curves(), {})
    again = built(trained_model, seed=9)
    again.load_state_dict(load_state(tmp_path / "network.safetensors"))
    before, after = (predict(which, examples, batch=8, device="cpu") for which in (network, again))
    np.testing.assert_array_equal(after, before)


def test_what_has_nothing_to_train_says_so(model: Model, tmp_path: Path) -> None:
    if not model.trained:
        assert not list(built(model).parameters())
        with pytest.raises(NotImplementedError, match=model.name):
            model.train(built(model), Eight(), seed=0, device="cpu", checkpoint=tmp_path / "checkpoint.pt")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_the_gpu_agrees_with_the_cpu(model: Model) -> None:
    network = built(model)
    inputs, lengths = batch_of(Eight(width(model)), range(8))
    targets = torch.arange(8) % CLASSES
    loss, scores = network.loss(inputs, lengths, targets)
    with deterministic():
        on_gpu = network.to("cuda").loss(inputs.cuda(), lengths.cuda(), targets.cuda())
    torch.testing.assert_close(on_gpu[1].cpu(), scores, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(on_gpu[0].cpu(), loss, rtol=1e-3, atol=1e-4)
    with torch.autocast("cuda", torch.bfloat16):
        rough, _ = network.loss(inputs.cuda(), lengths.cuda(), targets.cuda())
    torch.testing.assert_close(rough.cpu(), loss, rtol=0.05, atol=0.05)
