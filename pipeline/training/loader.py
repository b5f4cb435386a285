"""Read the batches of an epoch ahead of the training, in a thread or in other processes.

An augmented item draws from a generator of its own, seeded by training, epoch and index: how many processes read, and
how far ahead, changes no bit.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pipeline.errors import InputError
from pipeline.training.batches import AugmentedExamples, Batch, Examples, Item, collate, transfer
from pipeline.training.child_process import end_with_parent
from pipeline.training.prefetch import prefetch

_PREFETCHED = 2  # batches that each process has ready


class BatchLoader:
    """Reader of batches, in processes of its own or in a thread of this one.

    Parameters
    ----------
    examples
        What is read.
    seed
        Seed of the training.
    device
        Device that batches are copied to.
    loaders
        Number of processes that read; 0 for a thread. They open their files themselves, are kept from one epoch to the
        next, and end with this one.
    """

    def __init__(self, examples: Examples | AugmentedExamples, *, seed: int, device: str, loaders: int) -> None:
        self.device = device
        self._queue: list[tuple[int, np.ndarray]] = []
        self._batches = _Batches(examples, seed)
        self._loader = self._processes(loaders) if loaders else None

    def epoch(self, number: int, batches: Sequence[np.ndarray]) -> Iterator[Batch]:
        """Yield an epoch's batches, on the device, in order.

        Parameters
        ----------
        number
            Number of the epoch, from 0.
        batches
            Indices of each batch's examples.
        """
        self._queue[:] = [(number, indices) for indices in batches]
        for batch in self._read_here() if self._loader is None else self._loader:
            if isinstance(batch, Exception):
                raise batch
            yield transfer(batch, self.device)

    def _read_here(self) -> Iterable[Batch]:
        batches = map(self._batches.read, self._queue)
        # what is drawn is decoded first, which takes longer than handing it from one thread to another
        return prefetch(batches) if self._batches.vary else batches

    def _processes(self, loaders: int) -> "DataLoader[Batch | Exception]":
        return DataLoader(
            self._batches,
            batch_size=None,
            sampler=self._queue,  # type: ignore[arg-type]  # what it holds when an epoch begins
            num_workers=loaders,
            collate_fn=_unchanged,  # type: ignore[arg-type]
            pin_memory=torch.device(self.device).type == "cuda",
            worker_init_fn=_prepare,
            multiprocessing_context="spawn",  # a fork copies locks that another thread holds, and CUDA's state
            generator=torch.Generator(),  # the global one belongs to the network
            prefetch_factor=_PREFETCHED,
            persistent_workers=True,
        )


class _Batches(Dataset["Batch | Exception"]):
    """Batches by (epoch, indices), or what went wrong: torch would bury that under another process's trace."""

    def __init__(self, examples: Examples | AugmentedExamples, seed: int) -> None:
        self.examples, self.seed, self.vary = examples, seed, isinstance(examples, AugmentedExamples)

    def __getitem__(self, key: tuple[int, np.ndarray]) -> Batch | Exception:
        try:
            return self.read(key)
        except (InputError, OSError) as error:
            return error

    def read(self, key: tuple[int, np.ndarray]) -> Batch:
        epoch, indices = key
        return collate(partial(self._item, epoch), indices)

    def _item(self, epoch: int, index: int) -> Item:
        examples: Any = self.examples
        seed = (self.seed, epoch, index)
        item: Item = examples.draw(index, np.random.default_rng(seed)) if self.vary else examples[index]
        return item


def _unchanged(batch: Batch | Exception) -> Batch | Exception:
    return batch


def _prepare(_: int) -> None:
    import cv2

    end_with_parent()  # torch's own watch misses a parent that ended before it began
    cv2.setNumThreads(1)
