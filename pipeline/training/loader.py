"""Read the batches of an epoch ahead of the training, in a thread or in other processes.

An augmented item draws from a generator of its own, seeded by training, epoch and index: how many processes read, and
how far ahead, changes no bit.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from pipeline.errors import InputError
from pipeline.training import shared_memory
from pipeline.training.batches import AugmentedExamples, Batch, Examples, Item, collate, transfer
from pipeline.training.child_process import end_with_parent
from pipeline.training.prefetch import prefetch

_PREFETCHED = 2  # batches that each process has ready
Key = tuple[int, np.ndarray]
"""Number of an epoch, and the indices of one of its batches' examples."""


class EpochBatches(Sampler[Key]):
    """Sampler of whole batches: those of the epoch that ``set_epoch`` names, in order."""

    def __init__(self) -> None:
        self._epoch = 0
        self._batches: Sequence[np.ndarray] = ()

    def set_epoch(self, number: int, batches: Sequence[np.ndarray]) -> None:
        """Sample these batches, as those of epoch ``number``, from the next iteration on."""
        self._epoch, self._batches = number, tuple(batches)

    def __iter__(self) -> Iterator[Key]:
        return iter([(self._epoch, indices) for indices in self._batches])

    def __len__(self) -> int:
        return len(self._batches)


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
        self._sampler = EpochBatches()
        self._batches = _Batches(examples, seed)
        self._loaders = loaders
        self._loader: DataLoader[Batch | Exception] | None = None

    def epoch(self, number: int, batches: Sequence[np.ndarray]) -> Iterator[Batch]:
        """Yield an epoch's batches, on the device, in order.

        Parameters
        ----------
        number
            Number of the epoch, from 0.
        batches
            Indices of each batch's examples.

        Raises
        ------
        InputError
            Where shared memory does not hold what the processes read ahead.
        """
        if self._loaders and self._loader is None:
            shared_memory.check(
                self._batches.nbytes(number, max(map(len, batches), default=0)), self._loaders * _PREFETCHED
            )
            self._loader = self._processes(self._loaders)
        self._sampler.set_epoch(number, batches)
        for batch in self._read_here() if self._loader is None else self._loader:
            if isinstance(batch, Exception):
                raise batch
            yield transfer(batch, self.device)

    def _read_here(self) -> Iterable[Batch]:
        batches = map(self._batches.read, self._sampler)
        # what is drawn is decoded first, which takes longer than handing it from one thread to another
        return prefetch(batches) if self._batches.vary else batches

    def _processes(self, loaders: int) -> "DataLoader[Batch | Exception]":
        return DataLoader(
            self._batches,
            batch_size=None,  # the sampler's batches are the data set's entries
            sampler=self._sampler,
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

    def __getitem__(self, key: Key) -> Batch | Exception:
        try:
            return self.read(key)
        except (InputError, OSError) as error:
            return error

    def read(self, key: Key) -> Batch:
        epoch, indices = key
        return collate(partial(self._item, epoch), indices)

    def nbytes(self, epoch: int, size: int) -> int:
        """Return the bytes of a batch of ``size`` examples as long as the longest."""
        longest = np.argmax(self.examples.lengths)
        return size * sum(tensor.nbytes for tensor in self.read((epoch, np.array([longest]))))

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
