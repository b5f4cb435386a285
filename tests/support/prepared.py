"""Sources and preparations that a spawned process can import, some of which misbehave."""

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.errors import UnusableVideo
from pipeline.preparation.extraction import NetworkExtraction, Prepared
from pipeline.rows import Row

BATCH = (4, 1000)
BATCHES = 5


@dataclass(frozen=True)
class Given:
    """The same for every video."""

    source: Any

    def __call__(self, _: str) -> AbstractContextManager[Any]:
        return nullcontext(self.source)


@contextmanager
def by_id(video: str) -> Iterator[str]:
    """The id itself; of "changed-…" it raises at the end, as where a file changes meanwhile."""
    yield video
    if video.startswith("changed"):
        raise FileNotFoundError(2, "No such file or directory", video)


def prepare(video: str) -> Iterator[Prepared]:
    """Five batches and a row of a video, whose id says what goes wrong after the second batch."""
    seed = sum(video.encode())
    for number in range(BATCHES):
        if number == 2:
            _misbehave(video)
        yield np.random.default_rng((seed, number)).random(BATCH, np.float32)
    yield Row({"start_frames": np.arange(BATCHES)}, {"frames": BATCHES, "process": os.getpid()})


def _misbehave(video: str) -> None:
    kind = video.partition("-")[0]
    if kind == "unusable":
        raise UnusableVideo("it shows nothing", 7)
    if kind == "starved":
        try:
            raise MemoryError("2 GiB")
        except MemoryError:
            raise ValueError("no frame") from None
    if kind == "slow":
        time.sleep(60)
    if kind == "crashing":
        ctypes.string_at(0)
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)


def network(batch: np.ndarray) -> np.ndarray:
    sums: np.ndarray = batch.sum(axis=1)
    return sums


def finish(sums: list[np.ndarray], row: Row) -> Row:
    attributes = {name: value for name, value in row.attributes.items() if name != "process"}
    return Row({"features": np.stack(sums), **row.arrays}, attributes)


EXTRACTION = NetworkExtraction(prepare, network, finish)
