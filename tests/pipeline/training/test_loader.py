"""Who reads and who computes changes no more than said; whoever helps ends with the main process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import pipeline.training.loop
from pipeline.errors import InputError
from pipeline.training.batches import batches
from pipeline.training.config import Fit
from pipeline.training.curves import Curves
from pipeline.training.distributed import ProcessShare
from pipeline.training.loader import BatchLoader, Key
from pipeline.training.loop import fit
from pipeline.training.random_state import seeded
from tests.support.equality import same_tensors
from tests.support.paths import ROOT
from tests.support.processes import descendants, runs
from tests.support.runs import until
from tests.support.tiny_training import Pictures, PicturesNetwork


def run(folder: Path, examples: Pictures, dropout: float = 0.0, **more: Any) -> tuple[Curves, dict[str, Tensor]]:
    with seeded(5):
        network = PicturesNetwork(dropout)
    config = Fit.model_validate({"optimiser": "sgd", "lr": 0.05, "batch": 4, "iterations": 10, "clip_norm": 1.0})
    options: dict[str, Any] = {"seed": 3, "device": "cpu", "checkpoint": folder / "fit.pt", **more}
    curves = fit(network, examples, config, **options)
    return curves, network.state_dict()


def test_reading_ahead_changes_no_bit(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    curves, state = run(tmp_path / "0", Pictures(), 0.3)
    again, other = run(tmp_path / "2", Pictures(), 0.3, loaders=2)
    assert again == curves
    assert same_tensors(other, state)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("died", range(1, 30, 4))
def test_a_training_killed_within_an_epoch_ends_with_the_same_bits(
    died: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.training.loop, "CHECKPOINT_S", 0)
    curves, state = run(tmp_path / "whole", Pictures(), 0.3)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Pictures(die_after=died), 0.3)
    rest = Pictures()
    again, other = run(tmp_path, rest, 0.3)
    assert again == curves
    assert same_tensors(other, state)
    assert rest.read <= 34 - died + 4  # at most the batch in hand is read again


@pytest.mark.parametrize("loaders", [0, 1])
def test_the_next_epoch_is_read_before_this_one_ends(loaders: int) -> None:
    asked = []

    def keys() -> Iterator[Key]:
        for number in range(3):
            asked.append(number)
            yield number, np.array([number, 5])

    with closing(BatchLoader(Pictures(), seed=0, device="cpu", batch=2, loaders=loaders).read(keys())) as read:
        first, *_ = next(read)
        until(lambda: len(asked) > 1)
        rest = [inputs for inputs, *_ in read]
    assert asked == [0, 1, 2]
    assert len(rest) == 2
    assert not torch.equal(first[1], rest[0][1])  # drawn anew


def test_what_a_reader_finds_wrong_is_said_in_one_sentence(tmp_path: Path) -> None:
    for loaders in (0, 1):
        with pytest.raises(InputError, match=r"^picture 7 is bad$"):
            run(tmp_path, Pictures(bad=7), loaders=loaders)


def test_what_another_process_finds_wrong_is_said_by_the_first(tmp_path: Path) -> None:
    entropy = np.random.SeedSequence((3, 0))
    part = batches(Pictures().lengths, 4, np.random.default_rng(entropy))[0]
    others = int(ProcessShare(1, 2).part(part)[0])
    with pytest.raises(InputError, match=rf"^picture {others} is bad$"):
        run(tmp_path, Pictures(bad=others), processes=2)


def test_two_processes_train_like_one(tmp_path: Path) -> None:
    curves, state = run(tmp_path / "one", Pictures())
    assert len(curves) == 3
    again, other = run(tmp_path / "two", Pictures(), processes=2)  # an epoch's batch of 1 is one process's alone
    np.testing.assert_allclose(again.loss, curves.loss, rtol=1e-5)
    np.testing.assert_allclose(again.accuracy, curves.accuracy)
    for key, weight in state.items():
        torch.testing.assert_close(other[key], weight, rtol=1e-5, atol=1e-6)
    assert not same_tensors(state, run(tmp_path / "untrained", Pictures(5))[1])


def test_two_processes_go_on_from_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, state = run(tmp_path / "whole", Pictures())
    monkeypatch.setattr(pipeline.training.loop, "CHECKPOINT_S", 0)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Pictures(die_after=18))
    _, other = run(tmp_path, Pictures(), processes=2)
    for key, weight in state.items():
        torch.testing.assert_close(other[key], weight, rtol=1e-5, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("loaders", [0, 2])
def test_a_gpu_is_fed_what_a_cpu_is_and_goes_on_from_a_checkpoint(
    loaders: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves, state = run(tmp_path / "cpu", Pictures())
    again, other = run(tmp_path / "cuda", Pictures(), device="cuda", loaders=loaders)
    np.testing.assert_allclose(again.loss, curves.loss, rtol=1e-2)
    monkeypatch.setattr(pipeline.training.loop, "CHECKPOINT_S", 0)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Pictures(die_after=18), device="cuda")
    rest, last = run(tmp_path, Pictures(), device="cuda", loaders=loaders)
    np.testing.assert_allclose(rest.loss, curves.loss, rtol=1e-2)
    for key, weight in state.items():
        torch.testing.assert_close(other[key].cpu(), weight, rtol=1e-2, atol=1e-3)
        torch.testing.assert_close(last[key].cpu(), weight, rtol=1e-2, atol=1e-3)


ENDLESS = """
from pathlib import Path
from tests.support.tiny_training import Pictures, PicturesNetwork
from pipeline.training.loop import fit
from pipeline.training.config import Fit

class Speaking(PicturesNetwork):
    def loss(self, *batch):
        print("training", flush=True)
        return super().loss(*batch)

if __name__ == "__main__":
    fit(Speaking(), Pictures(), Fit(iterations=10**9), seed=0, device="cpu",
        checkpoint=Path("fit.pt"), loaders=1, processes=2)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_killing_the_main_process_leaves_no_other(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text(ENDLESS)
    process = subprocess.Popen(
        [sys.executable, "endless.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"training\n"
    others = descendants(process.pid)
    assert len(others) >= 3  # a second one, and a reader of each
    process.send_signal(signal.SIGKILL)
    process.wait()
    for _ in range(300):
        alive = {other for other in others if runs(other)}
        if not alive:
            break
        time.sleep(0.1)
    assert not alive
