"""A lack of shared memory is told before a process dies of it, and a death of it in a sentence."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from torch.utils.data import get_worker_info

from pipeline.errors import InputError
from pipeline.training import shared_memory
from pipeline.training.config import Fit
from pipeline.training.loop import fit
from tests.support.tiny_training import Pictures, PicturesNetwork

PICTURE_BYTES = 2 * 6 * 6 * 3 + 8 + 8  # two pictures, their number and their label
CONFIG = Fit(optimiser="sgd", batch=4, epochs=1)
pytestmark = pytest.mark.skipif(not shared_memory.FOLDER.is_dir(), reason="needs /dev/shm")


def with_free(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    block = 4
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=free // block, f_frsize=block))


def train(folder: Path, examples: Pictures) -> None:
    fit(PicturesNetwork(), examples, CONFIG, seed=0, device="cpu", checkpoint=folder / "fit.pt", loaders=2)


def test_as_much_as_is_read_ahead_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 2 * 2 * 4 * PICTURE_BYTES  # batches ahead, of two processes, of four
    with_free(needed - 4, monkeypatch)
    with pytest.raises(
        InputError, match=r"^4 batches of 0 MB that are read ahead do not fit into /dev/shm, where 0 MB"
    ):
        train(tmp_path, Pictures())
    with_free(needed, monkeypatch)
    train(tmp_path, Pictures())


def test_what_is_needed_is_told_in_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(64 * 10**6, monkeypatch)
    shared_memory.check(32 * 10**6, 2)
    with pytest.raises(
        InputError, match=r"2 batches of 58 MB .* 64 MB are free: docker run --shm-size=8g, .*need less$"
    ):
        shared_memory.check(58 * 10**6, 2)


def test_without_the_folder_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path / "none")
    shared_memory.check(10**15, 100)


class Deadly(Pictures):
    """Pictures of which the reading kills a process that reads ahead."""

    def __init__(self, signal_number: int) -> None:
        super().__init__()
        self.signal_number = signal_number

    def draw(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        if get_worker_info() is not None:
            os.kill(os.getpid(), self.signal_number)
        return super().draw(index, rng)


@pytest.mark.parametrize(
    ("number", "kind", "sentence"),
    [
        (signal.SIGBUS, InputError, "^/dev/shm was full when a batch was to be handed over: docker run"),
        (signal.SIGKILL, MemoryError, "^a process that reads batches was killed, as the system does"),
    ],
)
def test_the_death_of_a_reader_is_a_sentence(number: int, kind: type[Exception], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=sentence):
        train(tmp_path, Deadly(number))
