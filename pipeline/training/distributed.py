"""Share one training among several processes, each with a GPU of its own.

Gradients are averaged by torch's DistributedDataParallel; on GPUs, batch normalisation that is trained takes its
statistics over all of them.
"""

import multiprocessing
import pickle
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.distributed import FileStore  # type: ignore[attr-defined]

from pipeline.errors import InputError, lack_of_memory
from pipeline.files import progress
from pipeline.files.atomic import atomic_path
from pipeline.training.child_process import end_with_parent, format_end

_TIMEOUT = timedelta(minutes=10)
_ERROR = "error-{}"  # file of a process, by its rank: why it left the group
_RESULT = "result"  # file of what the first process returned


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
        # statistics of batch normalisation are the same everywhere, or, on CPUs, the first process's own
        return nn.parallel.DistributedDataParallel(_Loss(network), broadcast_buffers=False)

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


def in_processes(function: Callable[..., Any], arguments: tuple[Any, ...], processes: int, device: str) -> Any:
    """Call a function in several processes at once, and end all of them as soon as one dies.

    Who waits in NCCL for a process that has died hangs, and nothing but its own end interrupts that: so none of them is
    this process, which watches.

    Parameters
    ----------
    function
        Called as ``function(*arguments, share)`` in each process, with the ``ProcessShare`` of each.
    arguments
        What they get copies of.
    processes
        Number of processes. They end with this one, however it ends.
    device
        "cuda" for a GPU each, or "cpu".

    Returns
    -------
    Any
        What the first process returned: tensors on the CPU, numbers and texts, in mappings and sequences.

    Raises
    ------
    InputError, OSError, MemoryError
        What one of them raised; a MemoryError for a GPU's lack of memory, too.
    RuntimeError
        Where one died otherwise.
    """
    # bytes: tensors on their own would be shared, not copied
    content = pickle.dumps((function, arguments, torch.get_num_threads(), progress.shown_in()))
    context = multiprocessing.get_context("spawn")
    started: list[SpawnProcess] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for rank in range(processes):
                share = ProcessShare(rank, processes)
                started.append(context.Process(target=_run, args=(content, share, Path(folder), device)))
                started[-1].start()
            _wait(started, Path(folder))
        finally:
            for process in started:
                if process.pid is not None:
                    process.kill()
                    process.join()
        return torch.load(Path(folder) / _RESULT, weights_only=True)


def _wait(processes: "Sequence[SpawnProcess]", folder: Path) -> None:
    """Wait until all have ended well; raise what the first that has not died of."""
    running = {process.sentinel: rank for rank, process in enumerate(processes)}
    while running:
        for sentinel in wait(list(running)):
            rank = running.pop(sentinel)  # type: ignore[arg-type]  # a sentinel is a number here
            processes[rank].join()
            if code := processes[rank].exitcode:
                for error in sorted(folder.glob(_ERROR.format("*"))):  # of another, perhaps, for whom it waited in vain
                    raise pickle.loads(error.read_bytes())
                which = f"process {rank + 1} of the {len(processes)} that share a training"
                raise RuntimeError(f"{which} {format_end(code)}")


def _run(content: bytes, share: ProcessShare, folder: Path, device: str) -> None:
    """Call the function in one of the processes."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it, too, and ends this process
    function, arguments, threads, shown_in = pickle.loads(content)
    torch.set_num_threads(threads)
    if shown_in is not None:
        progress.show_in(*shown_in)
    try:
        with _process_group(share, folder / "rendezvous", device):
            result = function(*arguments, share)
        if share.rank == 0:
            torch.save(result, folder / _RESULT)
    except Exception as error:
        if not isinstance(error, (InputError, OSError)):
            if (lack := lack_of_memory(error)) is None:
                raise
            error = MemoryError(str(lack).partition("\n")[0])
        with atomic_path(folder / _ERROR.format(share.rank)) as temporary:
            temporary.write_bytes(pickle.dumps(error))
        raise SystemExit(1) from None


@contextmanager
def _process_group(share: ProcessShare, rendezvous: Path, device: str) -> Iterator[None]:
    """Join the group of all processes while the block runs; on GPUs each is bound to its own at once."""
    store = FileStore(str(rendezvous), share.processes)
    group: dict[str, Any] = {"store": store, "rank": share.rank, "world_size": share.processes, "timeout": _TIMEOUT}
    if device == "cuda":
        torch.cuda.set_device(share.rank)
        distributed.init_process_group("nccl", device_id=torch.device(share.device(device)), **group)
    else:
        distributed.init_process_group("gloo", **group)
    try:
        yield
    finally:
        distributed.destroy_process_group()
