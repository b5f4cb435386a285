"""Processes that prepare videos beside the one in which a network computes."""

import multiprocessing
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError, UnusableVideo
from pipeline.preparation.extraction import Prepared
from pipeline.preparation.preparer import Finished, GiveBack, Job, Placed, Prepare, Source, located, run, unpickled
from pipeline.rows import Keys

MEMORY_BYTES = 2**26
"""Shared memory of each process, in which batches wait: about as much as two videos of 25 snippets and ten crops."""
_AHEAD = 2  # videos that each process has been told: the one in hand, and the next


class PreparerDied(Exception):
    """A process died while it prepared a video.

    Parameters
    ----------
    exit_code
        As ``multiprocessing.Process`` has it: negative, the number of the signal.
    last_words
        What the fault handler wrote.
    """

    def __init__(self, exit_code: int, last_words: str) -> None:
        super().__init__(f"ended with code {exit_code}")
        self.exit_code, self.last_words = exit_code, last_words


class Preparers:
    """Running processes that prepare videos. They end with this one, however it ends.

    Parameters
    ----------
    processes
        Their number.

    Raises
    ------
    InputError
        Where there is no room for the memory that they share with this process.
    """

    def __init__(self, processes: int) -> None:
        _check_room(processes)
        self._all = [_Preparer() for _ in range(processes)]

    def videos(
        self, prepare: Prepare, source: Source, videos: Sequence[Keys]
    ) -> Iterator[tuple[Keys, Iterator[Prepared]]]:
        """Prepare videos, and yield them in whichever order they are ready.

        Consecutive videos of one file are prepared by one process, which can decode it once for all of them.

        Parameters
        ----------
        prepare, source
            As of ``NetworkExtraction`` and ``pipeline.store.fill.fill``; both are pickled.
        videos
            Each under a name of its own.

        Yields
        ------
        keys
            Of the video.
        prepared
            What is prepared of it, which must be gone through before the next video is asked for, unless that raises.
            A batch is valid until the next item is asked for. What ``prepare`` and ``source`` raise is raised in its
            turn, and ``PreparerDied`` where the process died that had the video in hand.
        """
        groups = deque(deque(group) for _, group in groupby(videos, key=lambda keys: keys.source_digest))
        job = Job(prepare, source)
        self._all = [preparer if preparer.process.is_alive() else _Preparer() for preparer in self._all]
        for preparer in self._all:
            preparer.order(job)
        while groups or any(preparer.told for preparer in self._all):
            for preparer in self._all:
                preparer.tell_more(groups)
            ready = wait([preparer.results for preparer in self._all if preparer.told])
            preparer = next(each for each in self._all if each.results in ready)
            prepared = preparer.items()
            yield preparer.told[0], prepared
            with suppress(PreparerDied, UnusableVideo):
                for _ in prepared:  # what was not wanted
                    pass
            self._all.remove(preparer)
            if preparer.died:
                groups.extendleft(filter(None, [preparer.untouched()]))
                preparer = _Preparer()
                preparer.order(job)
            self._all.append(preparer)  # the others come first now

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        for preparer in self._all:
            preparer.process.kill()
        for preparer in self._all:
            preparer.process.join()


class _Preparer:
    """A running process, as the one that it prepares for sees it."""

    def __init__(self) -> None:
        # a fork would copy locks that another thread holds, and CUDA's state
        context = multiprocessing.get_context("spawn")
        memory = context.RawArray("B", MEMORY_BYTES)  # without a name: nothing stays, whoever is killed
        orders, self._orders = context.Pipe(duplex=False)
        self.results, results = context.Pipe(duplex=False)
        self._last_words, last_words = context.Pipe(duplex=False)
        self.process = context.Process(target=run, args=(memory, orders, results, last_words), daemon=True)
        self.process.start()
        for end in (orders, results, last_words):
            end.close()  # so that the process alone holds them, and its end is seen
        self._memory = np.frombuffer(memory, np.uint8)
        self.told = deque[Keys]()
        self._group = deque[Keys]()
        self.died = False

    def order(self, order: Job | GiveBack | str) -> None:
        """Send an order; that nobody is there to read it shows when results are read."""
        with suppress(BrokenPipeError):
            self._orders.send(order)

    def tell_more(self, groups: "deque[deque[Keys]]") -> None:
        """Tell the process the next videos, of the group that it has begun or else of the first of ``groups``."""
        while len(self.told) < _AHEAD and (self._group or groups):
            self._group = self._group or groups.popleft()
            self.told.append(self._group.popleft())
            self.order(self.told[-1].id)

    def untouched(self) -> "deque[Keys]":
        """Return the videos that the process, which died, was to prepare after the one in hand."""
        return deque([*self.told, *self._group])

    def items(self) -> Iterator[Prepared]:
        """Yield what is prepared of the first video that the process was told."""
        while not isinstance(message := self._received(), Finished):
            if isinstance(message, Placed):
                yield located(self._memory, message)
                self.order(GiveBack())
            else:
                yield message
        self.told.popleft()
        if message.error:
            raise unpickled(message.error)

    def _received(self) -> Any:
        try:
            return self.results.recv()
        except EOFError:
            pass
        except OSError as error:
            if error.errno is not None:
                raise
            # it ended within a message
        self.process.join()
        self.died = True
        self.told.popleft()
        raise PreparerDied(self.process.exitcode or 0, self._said_last())

    def _said_last(self) -> str:
        parts = []
        with suppress(EOFError, OSError):
            while part := os.read(self._last_words.fileno(), 2**16):
                parts.append(part)
        return b"".join(parts).decode(errors="replace")


@contextmanager
def preparers(processes: int) -> Iterator[Preparers]:
    """Return running processes while the block runs, and keep them for the next time, unless it raises."""
    running = _kept.pop(processes, None) or Preparers(processes)
    try:
        yield running
    except BaseException:
        running.close()
        raise
    _kept[processes] = running


def end() -> None:
    """End the processes that are kept."""
    while _kept:
        _kept.popitem()[1].close()


_kept: dict[int, Preparers] = {}
"""Processes that wait for their next videos, by their number: starting one takes longer than preparing some videos."""


def _check_room(processes: int) -> None:
    needed = processes * MEMORY_BYTES
    folders = ("/dev/shm", tempfile.gettempdir())  # in this order multiprocessing looks for room
    free = {folder: shutil.disk_usage(folder).free for folder in folders if Path(folder).is_dir()}
    if max(free.values()) < needed:
        found = " and ".join(f"{folder} has {size // 2**20} MiB free" for folder, size in free.items())
        raise InputError(
            f"{processes} preparing processes share {needed // 2**20} MiB of memory, and {found}: make room, for "
            "/dev/shm by docker run --shm-size=1g, or set fewer preparers in section [kinescope] of luigi.cfg"
        )
