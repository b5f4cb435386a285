"""Group examples of any length in padded batches of similar lengths."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import InputError

IGNORED = -100
"""Label of padded steps, which ``torch.nn.functional.cross_entropy`` leaves out by default."""

Target = int | np.ndarray
"""Target of an example: a class index; class indices (time,) int64 where frames are labelled; or float32 (class,), 1
for each label, where any of the examples has several."""
Item = tuple[np.ndarray, Target]
"""Inputs (time, ...), float32 or uint8, and their target."""
Batch = tuple[Tensor, Tensor, Tensor]
"""Inputs (batch, time, ...) padded with zeros, lengths (batch,) int64, and targets."""


class Examples(Protocol):
    """Labelled examples, read on demand: ``len(examples)`` items, read as ``examples[index]``."""

    @property
    def lengths(self) -> Sequence[int]:
        """Number of time steps of every item."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Item: ...


@runtime_checkable
class AugmentedExamples(Protocol):
    """Labelled examples that are drawn anew in every epoch (augmentation)."""

    @property
    def lengths(self) -> Sequence[int]:
        """Number of time steps of every item."""

    def __len__(self) -> int: ...

    def draw(self, index: int, rng: np.random.Generator) -> Item:
        """Draw an item, which depends only on ``index`` and on what ``rng`` draws."""


def batches(lengths: Sequence[int], batch: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Divide the examples of one epoch into batches of similar lengths, in random order.

    Lengths are jittered by up to a quarter before sorting, so that batches differ from epoch to epoch; the one that
    is not full is at a random place among them, so that no length is favoured.

    Parameters
    ----------
    lengths
        Number of time steps of every example.
    batch
        Number of examples in a batch.
    rng
        Generator to draw with.

    Returns
    -------
    list of int64 arrays, shape (≤ batch,)
        Indices of examples, each once.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> sorted(sorted(indices.tolist()) for indices in batches([5, 90, 6, 93], batch=2, rng=rng))
    [[0, 2], [1, 3]]
    """
    order = np.argsort(np.asarray(lengths) * rng.uniform(1, 1.25, len(lengths)), kind="stable")
    sizes = [batch] * (len(order) // batch) + [len(order) % batch] * (len(order) % batch > 0)
    split = np.split(order, np.cumsum(rng.permutation(sizes))[:-1])
    return [split[place] for place in rng.permutation(len(split))]


def collate(read: Callable[[int], Item], indices: np.ndarray) -> Batch:
    """Read examples into one batch, padded with zeros to the longest.

    Parameters
    ----------
    read
        Returns an example by its index.
    indices : int64 array, shape (batch,)
        The batch's examples.

    Returns
    -------
    inputs : tensor, shape (batch, time, ...)
        float32, or uint8 where the examples are.
    lengths : int64 tensor, shape (batch,)
        Number of time steps of each.
    targets : tensor
        Class indices (batch,) int64; or (batch, time) int64, padded with ``IGNORED``; or marks (batch, class) float32.

    Raises
    ------
    InputError
        Where an example has no step, or steps of another shape.
    """
    items = [read(int(index)) for index in indices]
    first = items[0][0]
    for index, (inputs, _) in zip(indices, items, strict=True):
        if not len(inputs) or inputs.shape[1:] != first.shape[1:]:
            raise InputError(
                f"example {index} has shape {inputs.shape}; at least one step of shape {first.shape[1:]} is needed"
            )
    kind = np.uint8 if first.dtype == np.uint8 else np.float32
    padded = torch.from_numpy(_pad([inputs for inputs, _ in items], 0, kind))
    lengths = torch.tensor([len(inputs) for inputs, _ in items])
    return padded, lengths, torch.from_numpy(_targets([np.asarray(target) for _, target in items]))


def transfer(batch: Batch, device: str) -> Batch:
    """Copy a batch to ``device``, through pinned memory: the next batch is read while the GPU computes."""
    inputs, lengths, targets = batch
    if torch.device(device).type != "cuda":
        return inputs.to(device), lengths.to(device), targets.to(device)
    pinned = (inputs.pin_memory(), lengths.pin_memory(), targets.pin_memory())
    return tuple(tensor.to(device, non_blocking=True) for tensor in pinned)  # type: ignore[return-value]


def _targets(targets: list[np.ndarray]) -> np.ndarray:
    """Stack targets to (batch,) int64, (batch, time) int64 padded with ``IGNORED``, or (batch, class) float32."""
    if np.issubdtype(targets[0].dtype, np.floating):
        return np.stack(targets).astype(np.float32)
    return _pad(targets, IGNORED, np.int64) if targets[0].ndim else np.stack(targets).astype(np.int64)


def _pad(arrays: list[np.ndarray], value: int, dtype: type) -> np.ndarray:
    """Stack arrays (time, ...) with ``value`` beyond the end of each."""
    padded = np.full((len(arrays), max(map(len, arrays)), *arrays[0].shape[1:]), value, dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded
