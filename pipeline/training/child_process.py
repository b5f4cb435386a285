"""End child processes with their parent, and say how they ended."""

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait


def end_with_parent() -> None:
    """Make this spawned process end as soon as its parent has ended, in whatever way."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    sentinel = parent.sentinel

    def watch() -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def format_end(exit_code: int) -> str:
    """Say how a process ended, given its code as ``multiprocessing.Process`` has it.

    Examples
    --------
    >>> format_end(-11), format_end(3)
    ('died of SIGSEGV', 'ended with code 3')
    """
    return f"died of {signal.Signals(-exit_code).name}" if exit_code < 0 else f"ended with code {exit_code}"
