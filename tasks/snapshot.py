"""Holds what stages are computed from as it was first read, so that a stage sees one state of it from start to end."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeVar

from pipeline.errors import InputError
from tasks.memory import observed

T = TypeVar("T")


class _Held(NamedTuple):
    """Something that was read, and how to read it again and to tell what changed."""

    value: Any
    read: Callable[[], Any]
    changes: Callable[[Any, Any], Iterable[str]]


_held: dict[Hashable, _Held] | None = None


@contextmanager
def snapshot(known: Mapping[Hashable, Any] | None = None) -> Iterator[None]:
    """Hold within the block what ``held`` reads, as it is when it is first read.

    Parameters
    ----------
    known : mapping, optional
        What counts as read already, by its key.
    """
    with _holding({key: _Held(value, lambda: None, lambda *_: ()) for key, value in (known or {}).items()}):
        yield


@contextmanager
def present() -> Iterator[None]:
    """Read everything as it is now within the block, whatever a snapshot around it holds."""
    with _holding(None):
        yield


def held(key: Hashable, read: Callable[[], T], changes: Callable[[T, T], Iterable[str]]) -> T:
    """Return what the snapshot holds under a key; it is read when it holds nothing, or where there is no snapshot.

    Parameters
    ----------
    key : hashable
        Name of what is read.
    read : callable
        Reads it.
    changes : callable
        Given what was read once and what is read later, returns sentences about what differs.
    """
    return observed(key, partial(_held_or_read, key, read, changes))


def _held_or_read(key: Hashable, read: Callable[[], T], changes: Callable[[T, T], Iterable[str]]) -> T:
    if _held is None:
        return read()
    if key not in _held:
        _held[key] = _Held(read(), read, changes)
    value: T = _held[key].value
    return value


def superseded(name: Callable[[], object]) -> list[str]:
    """Return what has changed since the snapshot was taken, one sentence each, where that matters.

    Parameters
    ----------
    name : callable
        Returns a name that tells all that matters, such as a path with a fingerprint; nothing is returned where it is
        still the same.
    """
    before, items = name(), list((_held or {}).values())
    with present():
        try:
            if name() == before:
                return []
            again = [(item, item.read()) for item in items]
        except InputError as error:
            return [str(error)]
    return [change for item, now in again if now != item.value for change in item.changes(item.value, now)]


@contextmanager
def _holding(items: dict[Hashable, _Held] | None) -> Iterator[None]:
    global _held
    around, _held = _held, items
    try:
        yield
    finally:
        _held = around
