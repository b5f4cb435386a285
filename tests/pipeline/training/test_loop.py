"""The training loop: laws of its optimisers and schedules, and that killing it changes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.training import random_state
from pipeline.training.batches import IGNORED, batches
from pipeline.training.config import Fit
from pipeline.training.curves import Curves
from pipeline.training.loop import Diverged, fit, predict
from pipeline.training.optimisers import learning_rate
from pipeline.training.random_state import seeded

CLASSES = 3


class Sequences:
    """Noisy sequences whose mean tells the class; ``noise`` is drawn anew at every reading."""

    def __init__(self, count: int = 20, noise: float = 0.0, die_after: int | None = None) -> None:
        rng = np.random.default_rng(1)
        self.labels = rng.integers(0, CLASSES, count)
        lengths = rng.integers(1, 9, count)
        self.items = [
            (rng.normal(size=(length, 4)) + label).astype(np.float32)
            for length, label in zip(lengths, self.labels, strict=True)
        ]
        self.noise, self.die_after, self.read = noise, die_after, 0

    @property
    def lengths(self) -> list[int]:
        return [len(item) for item in self.items]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        return self.items[index], self.labels[index]

    def draw(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        if self.read == self.die_after:
            raise KeyboardInterrupt
        self.read += 1
        item = self.items[index]
        return item + self.noise * rng.standard_normal(item.shape, np.float32), self.labels[index]


class MeanPool(nn.Module):
    """Dropout, batch normalisation and a linear layer on the mean of the valid steps."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop, self.out = nn.BatchNorm1d(4), nn.Dropout(0.4), nn.Linear(4, CLASSES)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        valid = torch.arange(inputs.shape[1], device=inputs.device)[None] < lengths[:, None]
        mean = (inputs * valid[..., None]).sum(1) / lengths[:, None]
        scores: Tensor = self.out(self.drop(self.norm(mean)))
        return scores

    def loss(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        scores = self(inputs, lengths)
        return nn.functional.cross_entropy(scores, targets), scores


class Quadratic(nn.Module):
    """Loss ½‖w − x̄‖², so that the gradient is w − x̄; it keeps what it was given."""

    def __init__(self, start: tuple[float, ...] = (1.0, -2.0), groups: list[dict[str, Any]] | None = None) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.tensor(start[:1], dtype=torch.float64))
        self.second = nn.Parameter(torch.tensor(start[1:], dtype=torch.float64))
        self.groups, self.seen, self.scripted = groups, [], None  # type: ignore[var-annotated]

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        return torch.cat([self.first, self.second]).expand(len(inputs), -1)

    def loss(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        self.seen.append((inputs, lengths, targets))
        scores = self(inputs, lengths)
        loss = 0.5 * (scores[0] - inputs[:, 0].mean(0)).square().sum()
        return loss, self.scripted(len(self.seen), targets) if self.scripted else scores

    def parameter_groups(self) -> list[dict[str, Any]]:
        names = self.groups or [{"params": ["first", "second"]}]
        return [{**group, "params": [getattr(self, name) for name in group["params"]]} for group in names]

    @property
    def weights(self) -> np.ndarray:
        return torch.cat([self.first, self.second]).detach().numpy()


class Items:
    """Examples as given."""

    def __init__(self, items: list[tuple[np.ndarray, Any]]) -> None:
        self.items = items

    @property
    def lengths(self) -> list[int]:
        return [len(inputs) for inputs, _ in self.items]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        return self.items[index]


ZEROS = Items([(np.zeros((1, 2), np.float32), 0)])


def new_network() -> MeanPool:
    with seeded(5):
        return MeanPool()


def run(network: Any, examples: Any, config: Fit, folder: Path, seed: int = 3) -> Curves:
    return fit(network, examples, config, seed=seed, device="cpu", checkpoint=folder / "fit.pt")


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


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
        assert same(resumed, whole)
        assert rest.read <= 20 * (len(curves) - epochs_done)


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    config = Fit(epochs=2)
    first = new_network()
    curves = run(first, Sequences(), config, tmp_path)
    again, examples = new_network(), Sequences()
    assert run(again, examples, config, tmp_path) == curves
    assert examples.read == 0
    assert same(first, again)


def test_a_damaged_checkpoint_starts_anew(tmp_path: Path) -> None:
    config, whole = Fit(epochs=3), new_network()
    run(whole, Sequences(), config, tmp_path)
    content = (tmp_path / "fit.pt").read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"not a checkpoint"):
        (tmp_path / "fit.pt").write_bytes(damaged)
        again = new_network()
        with pytest.warns(RuntimeWarning, match="damaged"):
            run(again, Sequences(), config, tmp_path)
        assert same(again, whole)


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
    assert same(networks[0], networks[1])
    assert not same(networks[0], networks[2])


def steps_sgd(w: np.ndarray, lr: float, count: int) -> np.ndarray:
    velocity = np.zeros_like(w)
    for _ in range(count):
        velocity = 0.8 * velocity + w
        w = w - lr * velocity
    return w


def steps_rmsprop(w: np.ndarray, lr: float, count: int) -> np.ndarray:
    square = np.zeros_like(w)
    for _ in range(count):
        square = 0.7 * square + 0.3 * w**2
        w = w - lr * w / (np.sqrt(square) + 1e-8)
    return w


def steps_adam(w: np.ndarray, lr: float, count: int) -> np.ndarray:
    mean, square = np.zeros_like(w), np.zeros_like(w)
    for step in range(1, count + 1):
        mean, square = 0.9 * mean + 0.1 * w, 0.999 * square + 0.001 * w**2
        w = w - lr * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return w


@pytest.mark.parametrize(("optimiser", "steps"), [("sgd", steps_sgd), ("rmsprop", steps_rmsprop), ("adam", steps_adam)])
def test_optimisers_step_as_published(optimiser: Any, steps: Callable[..., np.ndarray], tmp_path: Path) -> None:
    network = Quadratic()
    run(network, ZEROS, Fit(optimiser=optimiser, lr=0.05, epochs=7, momentum=0.8, smoothing=0.7), tmp_path)
    np.testing.assert_allclose(network.weights, steps(np.array([1.0, -2.0]), 0.05, 7), rtol=1e-12)


def test_groups_have_their_own_rate_and_decay(tmp_path: Path) -> None:
    groups: list[dict[str, Any]] = [{"params": ["first"], "lr_multiplier": 2, "decay": False}, {"params": ["second"]}]
    network = Quadratic(groups=groups)
    run(network, ZEROS, Fit(optimiser="sgd", momentum=0, lr=0.1, weight_decay=0.5, epochs=2, milestones=(1,)), tmp_path)
    first = 1.0 * (1 - 0.1 * 2) * (1 - 0.01 * 2)
    second = -2.0 * (1 - 0.1 * 1.5) * (1 - 0.01 * 1.5)
    np.testing.assert_allclose(network.weights, [first, second], rtol=1e-12)


def test_parameters_that_require_no_gradient_stay(tmp_path: Path) -> None:
    network = Quadratic()
    network.first.requires_grad_(False)
    run(network, ZEROS, Fit(optimiser="sgd", lr=0.1, epochs=1), tmp_path)
    np.testing.assert_allclose(network.weights, [1.0, -1.8])
    network.second.requires_grad_(False)
    with pytest.raises(InputError, match="nothing to train"):
        run(network, ZEROS, Fit(epochs=1), tmp_path)


@pytest.mark.parametrize(("clip_norm", "moved"), [(0.5, 0.5), (10.0, 5.0)])
def test_clipping_bounds_the_norm_of_all_gradients_together(clip_norm: float, moved: float, tmp_path: Path) -> None:
    network = Quadratic((3.0, 4.0))
    run(network, ZEROS, Fit(optimiser="sgd", momentum=0, lr=1, clip_norm=clip_norm, epochs=1), tmp_path)
    movement = np.array([3.0, 4.0]) - network.weights
    np.testing.assert_allclose(np.linalg.norm(movement), moved, rtol=1e-5)
    np.testing.assert_allclose(movement / moved, [0.6, 0.8], rtol=1e-5)


def test_the_rate_falls_at_milestones(tmp_path: Path) -> None:
    config = Fit(lr=0.8, gamma=0.5, epochs=6, milestones=(2, 5))
    assert [learning_rate(config, done) for done in range(6)] == [0.8, 0.8, 0.4, 0.4, 0.4, 0.2]
    assert run(new_network(), Sequences(), config, tmp_path / "epochs").lr == (0.8, 0.8, 0.4, 0.4, 0.4, 0.2)
    config = Fit(lr=0.8, gamma=0.5, iterations=9, milestones=(4, 8), batch=5)  # 4 iterations an epoch
    assert run(new_network(), Sequences(), config, tmp_path / "iterations").lr == (0.8, 0.4, 0.2)


def test_iterations_bound_the_steps_exactly(tmp_path: Path) -> None:
    network, config = Quadratic(), Fit(optimiser="sgd", momentum=0, lr=0.1, batch=2, iterations=7)
    items = Items([(np.zeros((1, 2), np.float32), 0)] * 5)
    assert len(run(network, items, config, tmp_path)) == 3
    np.testing.assert_allclose(network.weights[0], 0.9**7, rtol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 99))
def test_an_epoch_reads_each_example_once(lengths: list[int], batch: int, seed: int) -> None:
    parts = batches(lengths, batch, np.random.default_rng(seed))
    assert sorted(np.concatenate(parts)) == list(range(len(lengths)))
    assert len(parts) == -(-len(lengths) // batch)
    assert max(map(len, parts)) <= batch


def test_batches_are_of_similar_lengths_and_never_the_same() -> None:
    lengths: Any = np.random.default_rng(0).integers(10, 500, 600)
    one, other = (batches(lengths, 10, np.random.default_rng(seed)) for seed in (1, 2))
    assert {tuple(sorted(part)) for part in one}.isdisjoint(tuple(sorted(part)) for part in other)
    padded = sum(len(part) * lengths[part].max() for part in one)
    assert padded < 1.25 * lengths.sum()
    assert abs(np.corrcoef([lengths[part].mean() for part in one], np.arange(len(one)))[0, 1]) < 0.4


def test_padding_is_zero_and_padded_frames_have_no_label(tmp_path: Path) -> None:
    items = Items([(np.full((n, 2), n, np.float32), np.arange(n)) for n in (3, 1, 4)])
    network = Quadratic()
    run(network, items, Fit(epochs=1), tmp_path)
    inputs, lengths, targets = network.seen[0]
    assert inputs.shape == (3, 4, 2)
    assert targets.dtype == lengths.dtype == torch.int64
    for row, labels, length in zip(inputs, targets, lengths.tolist(), strict=True):
        assert (row[:length] == length).all()
        assert (row[length:] == 0).all()
        assert labels.tolist() == list(range(length)) + [IGNORED] * (4 - length)


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
    config = Fit(optimiser="sgd", lr=1e200, epochs=4)
    with pytest.raises(Diverged, match=r"lr = 1e\+200 is too high"):
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
        config = Fit(epochs=10, lr=0.03, batch=6, bf16=bf16, clip_norm=5.0)
        folder = tmp_path / f"{device}{bf16}.pt"
        curves.append(fit(network, Sequences(), config, seed=3, device=device, checkpoint=folder))
        scores.append(predict(network, Sequences(), batch=8, device=device))
    np.testing.assert_allclose(curves[1].loss, curves[0].loss, rtol=1e-3)
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(curves[2].loss, curves[0].loss, rtol=0.05)
    assert curves[2] != curves[1]
    assert torch.equal(torch.cuda.get_rng_state(), state)
