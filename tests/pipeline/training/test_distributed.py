"""Processes that share a training: all end at the first death, and what one raises is what the caller sees."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, distributed, nn

from pipeline.errors import InputError
from pipeline.files import progress
from pipeline.training import distributed as shared
from pipeline.training.config import Fit
from pipeline.training.distributed import ProcessShare, in_processes
from pipeline.training.loop import fit, predict
from pipeline.training.random_state import seeded
from tests.support.equality import same_tensors
from tests.support.tiny_training import CLASSES, MeanPool, Sequences


def _summed(number: float, share: ProcessShare) -> dict[str, Any]:
    total = share.mean(torch.tensor(number * (share.rank + 1)))
    return {"total": total, "threads": torch.get_num_threads(), "shown": progress.shown_in() and "shown"}


def _hung_while_another_dies(folder: Path, how: str, share: ProcessShare) -> None:
    (folder / f"{share.rank}").write_text(str(os.getpid()))
    if share.rank == 1:
        while not (folder / "0").exists():
            time.sleep(0.01)
        match how:
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "failed":
                raise InputError("the second has a reason")
            case "starved":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nmore")
    time.sleep(10**6)  # as in NCCL, which waits for a dead process


@pytest.mark.parametrize(
    ("how", "kind", "sentence"),
    [
        ("killed", RuntimeError, r"^process 2 of the 2 that share a training died of SIGKILL$"),
        ("failed", InputError, r"^the second has a reason$"),
        ("starved", MemoryError, r"^CUDA out of memory. Tried to allocate 20.00 MiB.$"),
    ],
)
def test_all_end_at_the_first_death(how: str, kind: type[Exception], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=sentence):
        in_processes(_hung_while_another_dies, (tmp_path, how), 2, "cpu")
    for rank in "01":
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / rank).read_text()), 0)


def test_what_the_first_returns_is_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_line", None)
    progress.show_in(tmp_path / "line", "a title")
    found = in_processes(_summed, (1.5,), 3, "cpu")
    assert found == {"total": 3.0, "threads": torch.get_num_threads(), "shown": "shown"}


class Fragile(MeanPool):
    """A network of which a copy in one process kills it in the third step."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def loss(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        self.steps += 1
        if distributed.is_initialized() and distributed.get_rank() == 1 and self.steps == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(inputs, lengths, targets)


def test_a_killed_process_ends_the_training_which_then_goes_on(tmp_path: Path) -> None:
    """One epoch has two steps: it is not lost."""
    config, checkpoint = Fit(epochs=3, batch=10), tmp_path / "fit.pt"
    with seeded(4):
        network = Fragile()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(RuntimeError, match="of the 2 that share a training"):
        fit(network, Sequences(), config, seed=1, device="cpu", checkpoint=checkpoint, processes=2)
    assert same_tensors(network.state_dict(), before)
    assert checkpoint.exists()
    curves = fit(network, Sequences(), config, seed=1, device="cpu", checkpoint=checkpoint, processes=1)
    assert len(curves) == 3
    assert torch.load(checkpoint, weights_only=True)["done"] == 0


class Normalised(nn.Module):
    """Batch normalisation, whose statistics are buffers, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.out = nn.BatchNorm1d(4), nn.Linear(4, CLASSES)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        scores: Tensor = self.out(self.norm(inputs.mean(1)))
        return scores

    def loss(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        scores = self(inputs, lengths)
        return nn.functional.cross_entropy(scores, targets), scores


def test_the_caller_gets_the_statistics_and_weights_of_the_first_process(tmp_path: Path) -> None:
    network, examples = Normalised(), Sequences()
    curves = fit(
        network,
        examples,
        Fit(epochs=4, lr=0.03, batch=10),
        seed=1,
        device="cpu",
        checkpoint=tmp_path / "a",
        processes=2,
    )
    assert not network.training
    assert int(network.norm.num_batches_tracked or 0) == 8
    saved = torch.load(tmp_path / "a", weights_only=True)["network"]
    assert same_tensors(network.state_dict(), saved)
    assert curves.loss[-1] < curves.loss[0]
    assert np.isfinite(predict(network, examples, batch=8, device="cpu")).all()


def test_buffers_are_not_sent_around(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(nn.parallel, "DistributedDataParallel", lambda network, **options: given.update(options))
    ProcessShare(0, 2).loss(Normalised(), "cpu")
    assert given == {"broadcast_buffers": False}


def test_each_process_is_bound_to_its_gpu_before_it_joins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(torch.cuda, "set_device", lambda rank: calls.append(rank))
    monkeypatch.setattr(distributed, "init_process_group", lambda *backend, **group: calls.append((*backend, group)))
    monkeypatch.setattr(distributed, "destroy_process_group", lambda: calls.append("left"))
    with shared._process_group(ProcessShare(1, 2), tmp_path / "rendezvous", "cuda"):
        pass
    bound, (backend, group), left = calls
    assert (bound, backend, left) == (1, "nccl", "left")
    assert group["device_id"] == torch.device("cuda", 1)
    assert (group["rank"], group["world_size"]) == (1, 2)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_train_like_one(tmp_path: Path) -> None:
    results = []
    for processes in (1, 2):
        with seeded(5):
            network = Normalised()
        curves = fit(
            network,
            Sequences(),
            Fit(epochs=4, lr=0.03, batch=10, tf32=False),
            seed=3,
            device="cuda",
            checkpoint=tmp_path / str(processes),
            processes=processes,
        )
        results.append((curves.loss, predict(network, Sequences(), batch=8, device="cuda")))
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-3)
    np.testing.assert_allclose(results[1][1], results[0][1], rtol=1e-2, atol=1e-3)
