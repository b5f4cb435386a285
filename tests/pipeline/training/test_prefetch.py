"""What is read ahead comes as it would have come, one item early and no more."""

import threading
from collections.abc import Iterator

import pytest

from pipeline.training.prefetch import prefetch


def test_the_same_items_in_the_same_order() -> None:
    assert list(prefetch(range(20))) == list(range(20))
    assert list(prefetch([])) == []
    assert list(prefetch([None, None])) == [None, None]


def test_each_is_made_while_the_one_before_is_in_use() -> None:
    """Deadlocks, and times out, if the next one waited for the first to be done with."""
    made = [threading.Event() for _ in range(3)]

    def make() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    for number in prefetch(make()):
        if number < 2:
            assert made[number + 1].wait(10)


def test_no_more_than_one_is_made_too_early() -> None:
    made = []

    def make() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    for number in prefetch(make()):
        assert len(made) <= number + 2


def test_what_is_raised_comes_after_what_was_made_before() -> None:
    def make() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("the third")

    items = prefetch(make())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(items)


def test_whoever_stops_early_leaves_no_thread_behind() -> None:
    items = prefetch(iter(range(1000)))
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]
