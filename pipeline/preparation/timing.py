"""Measure what the time of an extraction is spent on."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Timing:
    """Seconds that the process with the network spends waiting for input, computing and writing rows."""

    def __init__(self) -> None:
        self._waiting = self._computing = self._writing = 0.0

    def seconds(self) -> dict[str, float]:
        """Return the seconds so far."""
        spent = {"waiting": self._waiting, "computing": self._computing, "writing": self._writing}
        return {name: round(seconds, 3) for name, seconds in spent.items()}

    def waited(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the same items; the time until each is there counts as waiting."""
        source = iter(items)
        while True:
            began = time.perf_counter()
            try:
                item = next(source)
            except StopIteration:
                return
            finally:
                self._waiting += time.perf_counter() - began
            yield item

    def computed(self, compute: Callable[[Any], Iterable[T]], given: Any) -> list[T]:
        """Return what ``compute`` makes of what it is given, which counts as computing but for the time it waits."""
        if isinstance(given, Iterator):
            given = self.waited(given)
        began, waiting = time.perf_counter(), self._waiting
        try:
            return list(compute(given))
        finally:
            self._computing += time.perf_counter() - began - (self._waiting - waiting)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Count the block's time as writing."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._writing += time.perf_counter() - began
