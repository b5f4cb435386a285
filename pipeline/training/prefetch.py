"""Read ahead while something else computes."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
_END: Any = object()


def prefetch(items: Iterable[T]) -> Iterator[T]:
    """Yield the same items, each made in another thread while the one before is in use.

    What making an item raises is raised in its turn. Decoding, scaling and a GPU's work release the interpreter lock,
    so that they overlap.

    Examples
    --------
    >>> list(prefetch(letter.upper() for letter in "abc"))
    ['A', 'B', 'C']
    """
    source = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        coming = thread.submit(next, source, _END)
        while (item := coming.result()) is not _END:
            coming = thread.submit(next, source, _END)
            yield item


def stacks(items: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Yield batches (≤ size, ...) of arrays of one shape, each stacked when it is asked for.

    Examples
    --------
    >>> [batch.shape for batch in stacks(np.zeros((5, 32, 32)), size=2)]
    [(2, 32, 32), (2, 32, 32), (1, 32, 32)]
    """
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield np.stack(batch)
