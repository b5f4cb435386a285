"""Optimisers step as published, each group of parameters at its rate, and the rate falls when it should."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.errors import InputError
from pipeline.training.config import Fit
from pipeline.training.optimisers import OPTIMISERS, groups, learning_rate
from tests.support.paths import ROOT
from tests.support.tiny_training import ZEROS, MeanPool, Quadratic, Sequences, run


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
    assert run(MeanPool(), Sequences(), config, tmp_path / "epochs").lr == (0.8, 0.8, 0.4, 0.4, 0.4, 0.2)
    config = Fit(lr=0.8, gamma=0.5, iterations=9, milestones=(4, 8), batch=5)  # 4 iterations an epoch
    assert run(MeanPool(), Sequences(), config, tmp_path / "iterations").lr == (0.8, 0.4, 0.2)


TORCHS: dict[str, Callable[[Any, Fit], torch.optim.Optimizer]] = {
    "sgd": lambda groups, fit: torch.optim.SGD(groups, lr=fit.lr, momentum=fit.momentum),
    "adam": lambda groups, fit: torch.optim.Adam(groups, lr=fit.lr),
    "rmsprop": lambda groups, fit: torch.optim.RMSprop(groups, lr=fit.lr, alpha=fit.smoothing),
}


@pytest.mark.parametrize("name", TORCHS)
def test_without_the_compilers_wrappers_steps_and_states_are_torchs_to_the_last_bit(name: str) -> None:
    fit = Fit(optimiser=name, lr=0.1, epochs=1, momentum=0.9, weight_decay=0.01)  # type: ignore[arg-type]
    ends = []
    for make in (OPTIMISERS[name], TORCHS[name]):
        torch.manual_seed(0)
        layer, inputs = torch.nn.Linear(5, 3), torch.randn(20, 4, 5)
        optimiser = make(groups(layer, fit), fit)
        for step, batch in enumerate(inputs):
            optimiser.zero_grad(set_to_none=True)
            layer(batch).square().sum().backward()
            optimiser.step()
            if step == 10:  # from a checkpoint
                state = optimiser.state_dict()
                optimiser = make(groups(layer, fit), fit)
                optimiser.load_state_dict(state)
        ends.append([*layer.parameters(), *(value for each in optimiser.state.values() for value in each.values())])
    assert len(ends[0]) == len(ends[1]) > 2
    assert all(torch.equal(torch.as_tensor(one), torch.as_tensor(other)) for one, other in zip(*ends, strict=True))


def test_a_training_does_not_import_the_compiler() -> None:
    script = (
        "import sys; from pathlib import Path; from tempfile import mkdtemp\n"
        "from pipeline.training.config import Fit\n"
        "from tests.support.tiny_training import MeanPool, Sequences, run\n"
        "run(MeanPool(), Sequences(), Fit(lr=0.1, epochs=1, clip_norm=1.0), Path(mkdtemp()))\n"
        "print('torch._dynamo' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert answer.stdout.strip() == "False", answer.stderr
