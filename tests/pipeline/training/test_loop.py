"""The training loop: it learns, stops when it should, and killing it changes nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.training import random_state
from pipeline.training.config import Fit
from pipeline.training.curves import Curves
from pipeline.training.loop import Diverged, fit, predict
from pipeline.training.random_state import seeded
from tests.support.equality import same_tensors
from tests.support.tiny_training import ZEROS, Items, MeanPool, Quadratic, Sequences, run


def new_network() -> MeanPool:
    with seeded(5):
        return MeanPool()


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("bound", [{"epochs": 5, "milestones": (2, 4)}, {"iterations": 13, "milestones": (4, 8)}])
def test_a_killed_training_ends_with_the_same_bits(optimiser: str, bound: dict[str, Any], tmp_path: Path) -> None:
    config = Fit.model_validate(
        {"optimiser": optimiser, "lr": 0.01, "batch": 6, "clip_norm": 1.0, "weight_decay": 0.01, **bound}
    )
    whole = new_network()
    curves = run(whole, Sequences(noise=0.5), config, tmp_path / "whole")
    for epochs_done in range(len(curves)):
        folder = tmp_path / str(epochs_done)
        with pytest.raises(KeyboardInterrupt):
            run(new_network(), Sequences(noise=0.5, die_after=epochs_done * 20 + 1), config, folder)
        resumed, rest = new_network(), Sequences(noise=0.5)
        assert run(resumed, rest, config, folder) == curves
        assert same_tensors(resumed.state_dict(), whole.state_dict())
        assert rest.read <= 20 * (len(curves) - epochs_done)


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    config = Fit(epochs=2)
    first = new_network()
    curves = run(first, Sequences(), config, tmp_path)
    again, examples = new_network(), Sequences()
    assert run(again, examples, config, tmp_path) == curves
    assert examples.read == 0
    assert same_tensors(first.state_dict(), again.state_dict())


def test_a_damaged_checkpoint_starts_anew(tmp_path: Path) -> None:
    config, whole = Fit(epochs=3), new_network()
    run(whole, Sequences(), config, tmp_path)
    content = (tmp_path / "fit.pt").read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"not a checkpoint"):
        (tmp_path / "fit.pt").write_bytes(damaged)
        again = new_network()
        with pytest.warns(RuntimeWarning, match="damaged"):
            run(again, Sequences(), config, tmp_path)
        assert same_tensors(again.state_dict(), whole.state_dict())


@pytest.mark.parametrize("change", ["config", "seed", "weights", "examples"])
def test_a_checkpoint_of_another_training_starts_anew(change: str, tmp_path: Path) -> None:
    run(new_network(), Sequences(), Fit(epochs=2), tmp_path)
    with seeded(6):
        network = MeanPool() if change == "weights" else new_network()
    examples = Sequences(19) if change == "examples" else Sequences()
    with pytest.warns(RuntimeWarning, match="another training"):
        run(network, examples, Fit(epochs=3 if change == "config" else 2), tmp_path, seed=4 if change == "seed" else 3)
    assert examples.read >= 2 * len(examples)


def test_a_gpu_goes_on_from_what_a_cpu_left() -> None:
    before = torch.get_rng_state()
    drawn = torch.rand(3)
    random_state.restore([before], "cuda")
    assert torch.equal(torch.rand(3), drawn)


def test_the_seed_decides_and_the_global_generator_stays(tmp_path: Path) -> None:
    networks = []
    torch.manual_seed(11)
    before = torch.get_rng_state()
    for number, seed in enumerate((3, 3, 4)):
        networks.append(new_network())
        run(networks[-1], Sequences(noise=0.5), Fit(epochs=2), tmp_path / str(number), seed)
        assert torch.equal(torch.get_rng_state(), before)
    assert same_tensors(networks[0].state_dict(), networks[1].state_dict())
    assert not same_tensors(networks[0].state_dict(), networks[2].state_dict())


def test_iterations_bound_the_steps_exactly(tmp_path: Path) -> None:
    network, config = Quadratic(), Fit(optimiser="sgd", momentum=0, lr=0.1, batch=2, iterations=7)
    items = Items([(np.zeros((1, 2), np.float32), 0)] * 5)
    assert len(run(network, items, config, tmp_path)) == 3
    np.testing.assert_allclose(network.weights[0], 0.9**7, rtol=1e-12)


@pytest.mark.parametrize(
    ("targets", "accuracy"),
    [
        ([0, 1, 1, 0], 0.5),
        ([np.array([0, 1]), np.array([1, 0]), np.array([0]), np.array([0, 0, 0])], 0.75),
        ([np.array([1, 1], np.float32), np.array([0, 1], np.float32)], 0.5),
    ],
    ids=["video", "frames", "several"],
)
def test_accuracy_by_kind_of_label(targets: list[Any], accuracy: float, tmp_path: Path) -> None:
    lengths = [np.size(target) if np.asarray(target).dtype.kind == "i" else 1 for target in targets]
    items = Items([(np.zeros((n, 2), np.float32), target) for n, target in zip(lengths, targets, strict=True)])
    network = Quadratic((2.0, 1.0))  # always says class 0
    assert run(network, items, Fit(epochs=1), tmp_path).accuracy == (accuracy,)


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (2, 6), (None, 9)])
def test_training_stops_when_accuracy_no_longer_rises(patience: int | None, epochs: int, tmp_path: Path) -> None:
    script = [0.0, 0.5, 0.5, 0.75, 0.5, 0.75, 0.5, 1.0, 1.0]

    def scores(epoch: int, targets: Tensor) -> Tensor:
        right = torch.arange(4) < 4 * script[epoch - 1]
        return nn.functional.one_hot(torch.where(right, targets, 1 - targets), 2).double()

    network = Quadratic()
    network.scripted = scores  # type: ignore[assignment]
    items = Items([(np.zeros((1, 2), np.float32), label) for label in (0, 1, 1, 0)])
    curves = run(network, items, Fit(epochs=9, patience=patience, batch=4), tmp_path)
    assert curves.accuracy == tuple(script[:epochs])


def test_loss_is_the_mean_over_examples(tmp_path: Path) -> None:
    items = Items([(np.array([[value, 0]], np.float32), 0) for value in (0, 0, 3)])
    curves = run(Quadratic((0.0, 0.0)), items, Fit(lr=1e-12, epochs=1, batch=1), tmp_path)
    assert curves.loss[0] == pytest.approx(0.5 * 9 / 3)


def test_divergence_is_an_error_that_names_the_rate(tmp_path: Path) -> None:
    config = Fit(optimiser="sgd", lr=1e9, epochs=40)
    with pytest.raises(Diverged, match=r"lr = 1e\+09 is too high"):
        run(Quadratic(), ZEROS, config, tmp_path)


def test_bad_examples(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no training examples"):
        run(new_network(), Items([]), Fit(epochs=1), tmp_path)
    with pytest.raises(InputError, match="no examples"):
        predict(new_network(), Items([]), batch=2, device="cpu")
    for shape in ((0, 4), (2, 1)):
        items = Items([(np.zeros((2, 4), np.float32), 0), (np.zeros(shape, np.float32), 0)])
        with pytest.raises(InputError, match=r"one step of shape"):
            run(new_network(), items, Fit(epochs=1), tmp_path)


def test_training_learns_and_ends_in_evaluation_mode(tmp_path: Path) -> None:
    network = new_network()
    curves = run(network, Sequences(60), Fit(epochs=60, lr=0.03, batch=10), tmp_path)
    assert not network.training
    assert curves.loss[-1] < 0.6 * curves.loss[0]
    scores = predict(network, Sequences(60), batch=7, device="cpu")
    assert (scores.argmax(1) == Sequences(60).labels).mean() > 0.7


def test_prediction_is_in_order_and_knows_no_batch() -> None:
    network, examples = new_network(), Sequences(23)
    network.norm.running_mean = torch.full((4,), 0.5)
    scores = predict(network, examples, batch=1, device="cpu")
    assert scores.dtype == np.float32
    for index, inputs in enumerate(examples.items):
        alone = network(torch.from_numpy(inputs)[None], torch.tensor([len(inputs)]))
        np.testing.assert_allclose(scores[index], alone.detach()[0].numpy(), rtol=1e-5, atol=1e-6)
    for batch in (2, 8, 100):
        np.testing.assert_allclose(predict(network, examples, batch=batch, device="cpu"), scores, rtol=1e-5, atol=1e-6)


def test_curves_survive_json() -> None:
    curves = Curves().extended(1.5, 0.25, 1e-3).extended(1 / 3, 0.5, 1e-4)
    assert Curves.from_json(curves.to_json()) == curves
    assert len(curves) == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_the_gpu_agrees_with_the_cpu(tmp_path: Path) -> None:
    class Steady(MeanPool):
        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Identity()  # type: ignore[assignment]

    state = torch.cuda.get_rng_state()
    curves, scores = [], []
    for device, bf16 in (("cpu", False), ("cuda", False), ("cuda", True)):
        with seeded(5):
            network = Steady()
        config = Fit(epochs=10, lr=0.03, batch=6, bf16=bf16, tf32=False, clip_norm=5.0)
        folder = tmp_path / f"{device}{bf16}.pt"
        curves.append(fit(network, Sequences(), config, seed=3, device=device, checkpoint=folder))
        scores.append(predict(network, Sequences(), batch=8, device=device))
    np.testing.assert_allclose(curves[1].loss, curves[0].loss, rtol=1e-3)
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(curves[2].loss, curves[0].loss, rtol=0.05)
    assert curves[2] != curves[1]
    assert torch.equal(torch.cuda.get_rng_state(), state)
