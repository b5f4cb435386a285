"""One training over several processes, each with a GPU of its own: who computes which part of a batch.

Gradients are averaged by torch's DistributedDataParallel; on GPUs, batch normalisation that is trained takes its
statistics over all of them.
"""

import multiprocessing
import pickle
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.distributed import FileStore  # type: ignore[attr-defined]

from pipeline.errors import InputError
from pipeline.training.child_process import end_with_parent

_PATIENCE = timedelta(minutes=10)
_LEFT = "left-{}"  # the file in which a process says why it leaves the group


@dataclass(frozen=True, slots=True)
class ProcessShare:
    """Process ``rank`` of ``processes``."""

    rank: int = 0
    processes: int = 1

    def device(self, device: str) -> str:
        """This process's own, where ``device`` means all GPUs."""
        return f"cuda:{self.rank}" if self.processes > 1 and device == "cuda" else device

    def part(self, part: np.ndarray) -> np.ndarray:
        """Its examples of a batch; where there are fewer examples than processes, one that ``weight`` makes 0."""
        own = part[self.rank :: self.processes]
        return own if len(own) else part[:1]

    def weight(self, part: np.ndarray) -> float:
        """What its mean counts in the mean over processes, which is to be the batch's."""
        return self.processes * len(part[self.rank :: self.processes]) / len(part)

    def loss(self, network: Any, device: str) -> Callable[..., tuple[Tensor, Tensor]]:
        """The network's loss; backward passes average its gradients over all processes."""
        if self.processes == 1:
            return network.loss  # type: ignore[no-any-return]
        if torch.device(device).type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return nn.parallel.DistributedDataParallel(_Loss(network))

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes, in each."""
        if self.processes == 1:
            return values
        distributed.all_reduce(values)
        return values / self.processes


class _Loss(nn.Module):
    """``network.loss`` as a forward pass, which is what DistributedDataParallel prepares its gradients in."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *batch: Tensor) -> Any:
        return self.network.loss(*batch)  # type: ignore[operator]


@contextmanager
def companions(
    function: Callable[..., Any], arguments: tuple[Any, ...], processes: int, device: str
) -> Iterator[ProcessShare]:
    """While the block runs as the first of ``processes``, ``function(*arguments, share)`` runs in each of the others.

    They get copies of the arguments, and end with this process however it ends. Raises the InputError or OSError of one
    of them that the others then miss.
    """
    if processes == 1:
        yield ProcessShare()
        return
    content = pickle.dumps((function, arguments))  # bytes: tensors on their own would be shared, not copied
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        meeting, shares = str(Path(folder) / "meeting"), [ProcessShare(rank, processes) for rank in range(processes)]
        others = [context.Process(target=_run, args=(content, share, meeting, device)) for share in shares[1:]]
        try:
            for other in others:
                other.start()
            with _met(shares[0], meeting, device):
                yield shares[0]
            for other in others:
                other.join()
        except RuntimeError:  # torch's, where one has left the group
            for told in Path(folder).glob(_LEFT.format("*")):
                raise pickle.loads(told.read_bytes()) from None
            raise
        finally:
            for other in others:
                other.kill()
                other.join()


def _run(content: bytes, share: ProcessShare, meeting: str, device: str) -> None:
    end_with_parent()
    function, arguments = pickle.loads(content)
    with _met(share, meeting, device):
        try:
            function(*arguments, share)
        except (InputError, OSError) as error:
            Path(meeting).with_name(_LEFT.format(share.rank)).write_bytes(pickle.dumps(error))
            raise SystemExit(1) from None


@contextmanager
def _met(share: ProcessShare, meeting: str, device: str) -> Iterator[None]:
    """In the group of all processes."""
    if device == "cuda":
        torch.cuda.set_device(share.rank)
    store = FileStore(meeting, share.processes)
    backend = "nccl" if device == "cuda" else "gloo"
    distributed.init_process_group(backend, store=store, rank=share.rank, world_size=share.processes, timeout=_PATIENCE)
    try:
        yield
    finally:
        distributed.destroy_process_group()
