"""Remembers what was computed for as long as all that it was computed from stands."""

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")

MEMORY = "_remembered"
"""Attribute of an object under which it keeps what its methods returned."""


class _Reading(NamedTuple):
    """Something that was read, and how to read it again."""

    value: Any
    read: Callable[[], Any]


_Readings = dict[Hashable, _Reading]


class _Result(NamedTuple, Generic[T]):
    """What a method returned, and all that was read for it, in order."""

    value: T
    readings: _Readings

    def stands(self) -> bool:
        """Return whether everything reads as it did.

        What is read depends on what was read before, so that nothing after the first difference is asked.
        """
        return all(observed(key, read) == value for key, (value, read) in self.readings.items())


class _Computing(threading.local):
    """What this thread has read so far for each result that it is computing, the outermost first."""

    def __init__(self) -> None:
        self.readings = list[_Readings]()


_computing = _Computing()


def observed(key: Hashable, read: Callable[[], T]) -> T:
    """Read something that may change, and note that what is being computed depends on it.

    Parameters
    ----------
    key : hashable
        Name of what is read.
    read : callable
        Reads it: now, and whenever there is a question whether what was computed from it still stands.
    """
    with _noting():  # what is read on the way, ``read`` reads again
        value = read()
    _note({key: _Reading(value, read)})
    return value


def remembered(method: Callable[[Any], T]) -> Callable[[Any], T]:
    """Have a method without arguments compute its result once, and anew when what it observed has changed.

    A run asks for fingerprints thousands of times, while settings, indexes of data sets and weights rarely change. The
    result stays with the object.
    """
    name = method.__qualname__  # a method may ask for the result of the one that it overrides

    @wraps(method)
    def recall(self: Any) -> T:
        results: dict[str, _Result[T]] = vars(self).setdefault(MEMORY, {})
        known = results.get(name)
        if known is None or not known.stands():
            with _noting() as readings:
                known = results[name] = _Result(method(self), readings)
            _note(readings)
        return known.value

    return recall


@contextmanager
def _noting() -> Iterator[_Readings]:
    """Note what is read in the block, for nothing outside of it."""
    readings: _Readings = {}
    _computing.readings.append(readings)
    try:
        yield readings
    finally:
        _computing.readings.pop()


def _note(readings: _Readings) -> None:
    """Count readings among those of the result that is being computed, if one is; the first of each name holds."""
    if _computing.readings:
        known = _computing.readings[-1]
        known.update({key: reading for key, reading in readings.items() if key not in known})
