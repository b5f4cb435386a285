"""Chooses the device of networks."""

import logging
import os
import sys
from functools import cache
from pathlib import Path

from pipeline.errors import InputError

SIGNS = ("/proc/driver/nvidia/gpus", "/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg")
"""Paths of which at least one exists where NVIDIA's driver has a GPU: containers and WSL lack the first."""


def wants_gpu(asked: str) -> bool:
    """Return whether "auto", "cpu" or "cuda" asks for a GPU on this machine, without loading torch."""
    return asked.startswith("cuda") or (asked == "auto" and any(map(Path.exists, map(Path, SIGNS))))


def choose(asked: str) -> str:
    """Return the torch device that is asked for; say once where "auto" leaves a GPU unused.

    Parameters
    ----------
    asked
        "auto", which is a GPU where there is one, or a torch device: "cpu", "cuda", "cuda:<n>".

    Raises
    ------
    InputError
        Where CUDA is asked for and absent.

    Examples
    --------
    >>> choose("cpu")
    'cpu'
    """
    if not wants_gpu(asked):
        if asked == "auto" and "torch" in sys.modules:  # it is not loaded to look, which takes seconds
            _warn_of_unused_gpu()
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda" if asked == "auto" else asked
    if asked == "auto":
        return "cpu"
    raise InputError(f"device = {asked}, but torch sees no CUDA device: cpu, or auto, is possible")


@cache  # it is told once
def _warn_of_unused_gpu() -> None:
    import torch

    if torch.cuda.is_available():
        logging.getLogger("luigi-interface").warning(
            f"torch sees a CUDA device, but there is none of {', '.join(SIGNS)}, by which device = auto knows a GPU: "
            "the CPU computes; device = cuda would use the GPU"
        )


def cores() -> int:
    """Return the number of the machine's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
