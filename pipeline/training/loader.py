"""Read batches ahead of the training, in a thread or in other processes.

An augmented item draws from a generator of its own, seeded by training, epoch and index: how many processes read, and
how far ahead, changes no bit.
"""

from collections.abc import Generator, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pipeline.errors import InputError
from pipeline.training import shared_memory
from pipeline.training.batches import AugmentedExamples, Batch, Examples, Item, collate, transfer
from pipeline.training.child_process import end_with_parent
from pipeline.training.prefetch import prefetch

_PREFETCHED = 2  # batches that each process has ready
Key = tuple[int, np.ndarray]
"""Number of an epoch, and the indices of one of its batches' examples."""


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
    batch
        Largest number of examples in a batch.
    loaders
        Number of processes that read; 0 for a thread. They open their files themselves, and end with this one.
    """

    def __init__(
        self, examples: Examples | AugmentedExamples, *, seed: int, device: str, batch: int, loaders: int
    ) -> None:
        self.device, self.batch, self.loaders = device, batch, loaders
        self._batches = _Batches(examples, seed)

    def read(self, keys: Iterable[Key]) -> Generator[Batch]:
        """Yield batches, on the device, in order; those that come next are read meanwhile, the next epoch's, too.

        Parameters
        ----------
        keys
            Which batches: of all epochs, one after another.

        Raises
        ------
        InputError
            Where shared memory does not hold what the processes read ahead.
        """
        for batch in self._read_beside(keys) if self.loaders else self._read_here(keys):
            if isinstance(batch, Exception):
                raise batch
            yield transfer(batch, self.device)

    def _read_here(self, keys: Iterable[Key]) -> Iterator[Batch]:
        batches = map(self._batches.read, keys)
        # what is drawn is decoded first, which takes longer than handing it from one thread to another
        return prefetch(batches) if self._batches.vary else batches

    def _read_beside(self, keys: Iterable[Key]) -> "Iterator[Batch | Exception]":
        shared_memory.check(self._batches.nbytes(self.batch), self.loaders * _PREFETCHED)
        processes = DataLoader(
            self._batches,
            batch_size=None,  # a batch is an entry of the data set
            sampler=keys,
            num_workers=self.loaders,
            collate_fn=_unchanged,  # type: ignore[arg-type]
            pin_memory=torch.device(self.device).type == "cuda",
            worker_init_fn=_prepare,
            multiprocessing_context="spawn",  # a fork copies locks that another thread holds, and CUDA's state
            generator=torch.Generator(),  # the global one belongs to the network
            prefetch_factor=_PREFETCHED,
        )
        return iter(processes)


class _Batches(Dataset["Batch | Exception"]):
    """Batches by (epoch, indices), or what went wrong: torch would bury that under another process's trace."""

    def __init__(self, examples: Examples | AugmentedExamples, seed: int) -> None:
        self.examples, self.seed, self.vary = examples, seed, isinstance(examples, AugmentedExamples)

    def __getitem__(self, key: Key) -> Batch | Exception:
        try:
            return self.read(key)
        except (InputError, OSError) as error:
            return error

    def read(self, key: Key) -> Batch:
        epoch, indices = key
        return collate(partial(self._item, epoch), indices)

    def nbytes(self, size: int) -> int:
        """Return the bytes of a batch of ``size`` examples as long as the longest."""
        longest = np.argmax(self.examples.lengths)
        return size * sum(tensor.nbytes for tensor in self.read((0, np.array([longest]))))

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
