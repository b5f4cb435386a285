"""Open HDF5 files for reading that another program may hold open for writing."""

import time
from pathlib import Path

import h5py

from pipeline.errors import HeldOpen

MAX_WAIT_S = 60.0
"""Longest time to wait for the other program."""
_POLL_S = 0.1
_OTHER_LOCKING = "locking flag values don't match"


def open_when_free(path: Path) -> h5py.File:
    """Open a file for reading as soon as no other program holds it open for writing.

    Raises
    ------
    HeldOpen
        Where one still does after ``MAX_WAIT_S`` seconds.
    OSError
        Where there is no such file, or it is damaged.
    """
    deadline = time.monotonic() + MAX_WAIT_S
    while True:
        try:
            return h5py.File(path, "r", locking=False)
        except OSError as error:
            if _OTHER_LOCKING in str(error):  # this process has it open already, as others than kinescope open files
                return h5py.File(path, "r")
            if not _is_held(error):
                raise
        if time.monotonic() > deadline:
            raise HeldOpen(
                f"{path} is open for writing in another program: close it there, and run again; where that program "
                f"was killed, `h5clear -s {path}` removes the mark that it left"
            )
        time.sleep(_POLL_S)


def _is_held(error: OSError) -> bool:
    """Return whether opening failed because of the mark of a writer in the file, or of a lock of the system.

    HDF5 compares checksums before it looks for the mark; HDF5_USE_FILE_LOCKING in the environment may demand locks.
    """
    return isinstance(error, BlockingIOError) or "already open for write" in str(error)
