"""Reading while something else computes."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
_END: Any = object()


def prefetch(items: Iterable[T]) -> Iterator[T]:
    """The same items, each made in a thread of its own while the one before is in use; what it raises comes in turn.

    Decoding, scaling and a GPU's work let go of the interpreter: they overlap.
    """
    made = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        coming = thread.submit(next, made, _END)
        while (item := coming.result()) is not _END:
            coming = thread.submit(next, made, _END)
            yield item


def stacks(items: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Batches (≤ size, ...) of arrays of one shape, each made when it is asked for."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield np.stack(batch)
