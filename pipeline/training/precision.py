"""Chooses how precisely CUDA multiplies float32 numbers, and whether it does so in the same order in every run.

TensorFloat-32 rounds the factors of convolutions, and of cuDNN's LSTMs, to 10 bits for the tensor cores; torch does so
unless it is told otherwise. All other products have IEEE precision here. Both are told by torch's present interface:
while that holds, its earlier one, ``allow_tf32``, raises instead of answering. cuBLAS repeats by itself, as a process
has one stream. On a CPU nothing changes.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch


def deterministic() -> AbstractContextManager[None]:
    """Return a context for inference: IEEE precision, and algorithms whose numbers repeat from run to run."""
    return _set(tf32=False, repeat=True)


def fastest(*, tf32: bool) -> AbstractContextManager[None]:
    """Return a context for training, by the fastest algorithms: a GPU adds gradients up in no fixed order anyway."""
    return _set(tf32=tf32, repeat=False)


@contextmanager
def _set(*, tf32: bool, repeat: bool) -> Iterator[None]:
    """Set what holds for the whole process while the block runs."""
    backends: Any = torch.backends
    wanted = [
        (backends.cudnn, "deterministic", repeat),
        (backends.cudnn, "benchmark", not repeat),
        (backends.cudnn.conv, "fp32_precision", "tf32" if tf32 else "ieee"),
        (backends.cudnn.rnn, "fp32_precision", "tf32" if tf32 else "ieee"),
        (backends.cuda.matmul, "fp32_precision", "ieee"),
    ]
    before = [(place, name, getattr(place, name)) for place, name, _ in wanted]
    try:
        for place, name, value in wanted:
            setattr(place, name, value)
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)
