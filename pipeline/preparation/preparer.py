"""A process that prepares one video after another, and sends what it has prepared through shared memory."""

import faulthandler
import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from pipeline.preparation.extraction import Prepared
from pipeline.preparation.ring import Ring
from pipeline.training.child_process import end_with_parent

Prepare = Callable[[Any], Iterator[Prepared]]
Source = Callable[[str], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Job:
    """What is done with each of the videos that follow."""

    prepare: Prepare
    source: Source


@dataclass(frozen=True, slots=True)
class GiveBack:
    """The batch that lies longest in shared memory is no longer needed."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A batch that lies in shared memory."""

    start: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Finished:
    """All of a video has been sent.

    Attributes
    ----------
    error
        What preparing it raised, pickled, and what that came from, and so on.
    """

    error: tuple[bytes, ...] = ()


def run(memory: Any, orders: Connection, results: Connection, last_words: Connection) -> None:
    """Prepare videos until the process that asks for them ends.

    Parameters
    ----------
    memory
        Shared bytes, in which batches are handed on.
    orders
        Where jobs, ids of videos and ``GiveBack`` are received.
    results
        Where ``Prepared`` items, batches mostly as ``Placed``, and ``Finished`` are sent.
    last_words
        Where the interpreter's fault handler writes when the process crashes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process has it too, and ends this one
    faulthandler.enable(last_words.fileno())
    end_with_parent()
    os.environ["OMP_NUM_THREADS"] = "1"  # where torch is imported later
    import cv2

    cv2.setNumThreads(1)
    outbox, job = _Outbox(np.frombuffer(memory, np.uint8), orders, results), None
    while True:
        order = outbox.next_order()
        if isinstance(order, Job):
            job = order
            continue
        assert job is not None
        try:
            with job.source(order) as given:
                for item in job.prepare(given):
                    outbox.send(item)
        except Exception as error:
            results.send(Finished(_pickled(error)))
        else:
            results.send(Finished())


class _Outbox:
    """Sends what is prepared, and waits where shared memory is full."""

    def __init__(self, memory: np.ndarray, orders: Connection, results: Connection) -> None:
        self._memory, self._orders, self._results = memory, orders, results
        self._ring = Ring(len(memory))
        self._waiting = deque[Any]()

    def next_order(self) -> Any:
        """Return the next job, or the id of the next video."""
        while not self._waiting:
            self._receive()
        return self._waiting.popleft()

    def send(self, item: Prepared) -> None:
        """Send an item: a batch through shared memory, unless it is larger than all of that."""
        while self._orders.poll():  # else the other process could wait for this one, which waits for it
            self._receive()
        if not isinstance(item, np.ndarray) or not 0 < item.nbytes <= self._ring.size:
            self._results.send(item)
            return
        while (start := self._ring.take(item.nbytes)) is None:
            self._receive()
        placed = Placed(start, item.shape, item.dtype.str)
        located(self._memory, placed)[...] = item
        self._results.send(placed)

    def _receive(self) -> None:
        order = self._orders.recv()
        if isinstance(order, GiveBack):
            self._ring.give_back()
        else:
            self._waiting.append(order)


def located(memory: np.ndarray, placed: Placed) -> np.ndarray:
    """Return a batch where it lies in shared memory."""
    dtype = np.dtype(placed.dtype)
    size = dtype.itemsize * int(np.prod(placed.shape))
    return memory[placed.start : placed.start + size].view(dtype).reshape(placed.shape)


def _pickled(error: BaseException) -> tuple[bytes, ...]:
    """Pickle an error and those that it came from, which pickle leaves out; one that it cannot take as its text."""
    pickles = list[bytes]()
    cause: BaseException | None = error
    while cause is not None:
        try:
            content = pickle.dumps(cause)
            pickle.loads(content)
        except Exception:  # whatever its class does when it is pickled
            content = pickle.dumps(RuntimeError(f"{type(cause).__name__}: {cause}"))
        pickles.append(content)
        cause = cause.__cause__ or cause.__context__
    return tuple(pickles)


def unpickled(error: tuple[bytes, ...]) -> BaseException:
    """Return the error that ``Finished`` carries, with those that it came from."""
    first, *causes = map(pickle.loads, error)
    effect = first
    for cause in causes:
        effect.__cause__ = cause
        effect = cause
    return first  # type: ignore[no-any-return]
