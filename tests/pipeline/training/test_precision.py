"""Flags of precision and of determinism hold within a block, and are as before after it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.training.config import Fit
from pipeline.training.loop import fit, predict
from pipeline.training.precision import deterministic, fastest
from tests.support.tiny_training import CLASSES, Sequences


def flags() -> dict[str, Any]:
    backends: Any = torch.backends
    return {
        "deterministic": backends.cudnn.deterministic,
        "benchmark": backends.cudnn.benchmark,
        "convolution": backends.cudnn.conv.fp32_precision,
        "lstm": backends.cudnn.rnn.fp32_precision,
        "matrices": backends.cuda.matmul.fp32_precision,
    }


IEEE = {"convolution": "ieee", "lstm": "ieee", "matrices": "ieee"}
TF32 = {"convolution": "tf32", "lstm": "tf32", "matrices": "ieee"}


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = flags()
    yield
    assert flags() == before


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (deterministic(), IEEE | {"deterministic": True, "benchmark": False}),
        (fastest(tf32=True), TF32 | {"deterministic": False, "benchmark": True}),
        (fastest(tf32=False), IEEE | {"deterministic": False, "benchmark": True}),
    ],
)
def test_flags_hold_in_the_block_alone(context: AbstractContextManager[None], expected: dict[str, Any]) -> None:
    with context:
        assert flags() == expected


def test_flags_come_back_where_a_block_fails() -> None:
    with pytest.raises(KeyError), deterministic():  # see _as_before
        raise KeyError


def test_blocks_nest_and_the_process_own_choice_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    backends: Any = torch.backends
    monkeypatch.setattr(backends.cudnn, "benchmark", True)
    with fastest(tf32=True):
        with deterministic():
            assert flags()["convolution"] == "ieee"
        assert flags()["convolution"] == "tf32"
    assert backends.cudnn.benchmark is True


def test_the_earlier_interface_answers_after_a_block() -> None:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    with deterministic():
        pass
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before


class Watching(nn.Module):
    """A linear layer that notes the flags under which it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.out, self.seen = nn.Linear(4, CLASSES), []  # type: ignore[var-annotated]

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        self.seen.append(flags())
        scores: Tensor = self.out(inputs.mean(1))
        return scores

    def loss(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        scores = self(inputs, lengths)
        return nn.functional.cross_entropy(scores, targets), scores


@pytest.mark.parametrize(("tf32", "expected"), [(True, TF32), (False, IEEE)])
def test_training_has_the_precision_of_its_field_and_prediction_the_highest(
    tf32: bool, expected: dict[str, str], tmp_path: Path
) -> None:
    network = Watching()
    fit(network, Sequences(), Fit(epochs=1, tf32=tf32), seed=0, device="cpu", checkpoint=tmp_path / "fit.pt")
    assert all(seen.items() >= expected.items() and seen["benchmark"] for seen in network.seen)
    network.seen.clear()
    scores = predict(network, Sequences(), batch=8, device="cpu")
    assert np.isfinite(scores).all()
    assert all(seen.items() >= IEEE.items() and seen["deterministic"] for seen in network.seen)


def test_the_precision_of_training_enters_the_fingerprint_and_older_ones_stay() -> None:
    def significant(**fields: Any) -> dict[str, Any]:
        return Fit(epochs=1, **fields).significant(str)

    assert "tf32" not in significant()
    assert significant(tf32=False) == {**significant(), "tf32": False}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_lstms_and_convolutions_are_as_precise_as_on_the_cpu() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(8, 40, 128)
    lstm, convolution = nn.LSTM(128, 256, batch_first=True), nn.Conv1d(40, 64, 9)
    with torch.inference_mode():
        expected = lstm(inputs)[0], convolution(inputs)
        lstm.cuda(), convolution.cuda()
        with deterministic():
            found = lstm(inputs.cuda())[0], convolution(inputs.cuda())
        with fastest(tf32=True):
            rough = lstm(inputs.cuda())[0], convolution(inputs.cuda())
    for one, other, coarse in zip(found, expected, rough, strict=True):
        scale = float(other.square().mean().sqrt())
        assert float((one.cpu() - other).square().mean().sqrt()) < 1e-5 * scale
        assert float((coarse.cpu() - other).square().mean().sqrt()) < 1e-2 * scale
