"""Sees to it that processes that read batches have room to hand them over: the system's shared memory.

Containers often have 64 MB of it, and a process that writes beyond them dies of a bus error.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import InputError

FOLDER = Path("/dev/shm")
_MB = 10**6
_ENLARGE = "docker run --shm-size=8g, or --ipc=host, gives a container more"


def check(batch_bytes: int, batches: int) -> None:
    """Raise InputError where the free shared memory does not hold the batches that are ready at a time.

    Parameters
    ----------
    batch_bytes
        Size of the largest batch in bytes.
    batches
        Number of batches that are ready at a time.
    """
    if not FOLDER.is_dir():
        return
    found = os.statvfs(FOLDER)
    free = found.f_bavail * found.f_frsize
    if free < batches * batch_bytes:
        raise InputError(
            f"{batches} batches of {batch_bytes / _MB:.0f} MB that are read ahead do not fit into {FOLDER}, where "
            f"{free / _MB:.0f} MB are free: {_ENLARGE}; smaller batches, or fewer preparers in [kinescope], need less"
        )


@contextmanager
def translate_deaths() -> Iterator[None]:
    """Turn the death of a process of torch's DataLoader into the lack of memory that it comes from.

    Torch raises it wherever the main thread is at that moment.

    Raises
    ------
    InputError
        Where shared memory was full.
    MemoryError
        Where the system killed the process.
    """
    try:
        yield
    except RuntimeError as error:
        said = f"{error} {error.__cause__} {error.__context__}"  # how it died may be what the error came from
        if "DataLoader worker" in said and "Bus error" in said:
            raise InputError(f"{FOLDER} was full when a batch was to be handed over: {_ENLARGE}") from error
        if "DataLoader worker" in said and "signal: Killed" in said:
            raise MemoryError(
                "a process that reads batches was killed, as the system does when memory runs out"
            ) from error
        raise
