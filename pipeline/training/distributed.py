"""Share one training among several processes, each with a GPU of its own.

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

_TIMEOUT = timedelta(minutes=10)
_ERROR_FILE = "error-{}"  # of a process, by its rank: why it left the group


@dataclass(frozen=True, slots=True)
class ProcessShare:
    """Share of one process in a training: its device, its examples of each batch, and their weight.

    Attributes
    ----------
    rank
        Number of the process, from 0.
    processes
        Number of all processes.

    Examples
    --------
    >>> share = ProcessShare(rank=1, processes=2)
    >>> share.part(np.array([7, 3, 9])), round(share.weight(np.array([7, 3, 9])), 3)
    (array([3]), 0.667)
    """

    rank: int = 0
    processes: int = 1

    def device(self, device: str) -> str:
        """Return the process's own GPU where ``device`` is "cuda" and there are several processes."""
        return f"cuda:{self.rank}" if self.processes > 1 and device == "cuda" else device

    def part(self, indices: np.ndarray) -> np.ndarray:
        """Return this process's examples of a batch; where none falls to it, the first one, whose ``weight`` is 0."""
        own = indices[self.rank :: self.processes]
        return own if len(own) else indices[:1]

    def weight(self, indices: np.ndarray) -> float:
        """Return the weight of this process's mean in the mean over processes, so that it is the batch's."""
        return self.processes * len(indices[self.rank :: self.processes]) / len(indices)

    def loss(self, network: Any, device: str) -> Callable[..., tuple[Tensor, Tensor]]:
        """Return the network's loss function, whose backward pass averages gradients over all processes."""
        if self.processes == 1:
            return network.loss  # type: ignore[no-any-return]
        if torch.device(device).type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return nn.parallel.DistributedDataParallel(_Loss(network))

    def mean(self, values: Tensor) -> Tensor:
        """Average values over all processes, in each of them."""
        if self.processes == 1:
            return values
        distributed.all_reduce(values)
        return values / self.processes


class _Loss(nn.Module):
    """``network.loss`` as a forward pass, which DistributedDataParallel needs to average gradients."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *batch: Tensor) -> Any:
        return self.network.loss(*batch)  # type: ignore[operator]


@contextmanager
def companions(
    function: Callable[..., Any], arguments: tuple[Any, ...], processes: int, device: str
) -> Iterator[ProcessShare]:
    """Run a function in other processes while the block runs in this one, the first.

    Parameters
    ----------
    function
        Called as ``function(*arguments, share)`` in each of the others.
    arguments
        What they get copies of.
    processes
        Number of all processes, this one included. They end with this one, however it ends.
    device
        "cuda" for a GPU each, or "cpu".

    Yields
    ------
    ProcessShare
        The share of this process.

    Raises
    ------
    InputError, OSError
        What one of the others raised, for whom this one then waited in vain.
    """
    if processes == 1:
        yield ProcessShare()
        return
    content = pickle.dumps((function, arguments))  # bytes: tensors on their own would be shared, not copied
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        rendezvous = str(Path(folder) / "rendezvous")
        shares = [ProcessShare(rank, processes) for rank in range(processes)]
        others = [context.Process(target=_run, args=(content, share, rendezvous, device)) for share in shares[1:]]
        try:
            for other in others:
                other.start()
            with _process_group(shares[0], rendezvous, device):
                yield shares[0]
            for other in others:
                other.join()
        except RuntimeError:  # torch's, where one has left the group
            for error in Path(folder).glob(_ERROR_FILE.format("*")):
                raise pickle.loads(error.read_bytes()) from None
            raise
        finally:
            for other in others:
                other.kill()
                other.join()


def _run(content: bytes, share: ProcessShare, rendezvous: str, device: str) -> None:
    end_with_parent()
    function, arguments = pickle.loads(content)
    with _process_group(share, rendezvous, device):
        try:
            function(*arguments, share)
        except (InputError, OSError) as error:
            Path(rendezvous).with_name(_ERROR_FILE.format(share.rank)).write_bytes(pickle.dumps(error))
            raise SystemExit(1) from None


@contextmanager
def _process_group(share: ProcessShare, rendezvous: str, device: str) -> Iterator[None]:
    """Join the group of all processes while the block runs."""
    if device == "cuda":
        torch.cuda.set_device(share.rank)
    store = FileStore(rendezvous, share.processes)
    backend = "nccl" if device == "cuda" else "gloo"
    distributed.init_process_group(backend, store=store, rank=share.rank, world_size=share.processes, timeout=_TIMEOUT)
    try:
        yield
    finally:
        distributed.destroy_process_group()
