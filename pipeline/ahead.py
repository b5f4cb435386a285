"""Reading while something else computes."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
_END: Any = object()


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, each made in a thread of its own while the one before is in use; what it raises comes in turn.

    Decoding, scaling and a GPU's work let go of the interpreter: they overlap.
    """
    made = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        coming = thread.submit(next, made, _END)
        while (item := coming.result()) is not _END:
            coming = thread.submit(next, made, _END)
            yield item
