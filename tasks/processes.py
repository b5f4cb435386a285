"""Luigi's processes: workers end with the main one and clean up, and deaths are said.

Luigi's events are the hooks: a root that is not complete is found in the main process, a task starts in its worker.
"""

import _thread
import logging
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import wait
from types import FrameType
from typing import NoReturn

import luigi

from pipeline.attempts import FAULTS, in_hand
from tasks.base import Root
from tasks.features import ExtractShard

GRACE_S = 3.0
"""A process that is told to end has so long to remove its temporary files."""
TERMINATED = 128 + signal.SIGTERM


class Terminated(SystemExit):
    """The process was asked to end."""


@Root.event_handler(luigi.Event.DEPENDENCY_MISSING)
def _main_process(_: Root) -> None:
    """Where it is found that there is something to do. Who handles the signal already is left alone."""
    alone = multiprocessing.parent_process() is None and threading.current_thread() is threading.main_thread()
    if alone and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        _end_in_order()


@luigi.Task.event_handler(luigi.Event.START)
def _worker(_: luigi.Task) -> None:
    """Where a task starts: a worker ends with the main process, however that went."""
    main = multiprocessing.parent_process()
    if main is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process has it too, and tells its workers
        _end_in_order(main.sentinel)


def _end_in_order(*others: int) -> None:
    """Told to end, or when one of these handles says that another process did: unwind, and be gone within the grace."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)  # written to even while the main thread is in a library's code
    signal.signal(signal.SIGTERM, _terminate)

    def watch() -> None:
        while reading in wait([*others, reading]):
            if signal.SIGTERM in os.read(reading, 64):
                break
        else:
            _thread.interrupt_main(signal.SIGTERM)
        time.sleep(GRACE_S)
        os._exit(TERMINATED)

    threading.Thread(target=watch, daemon=True).start()


@luigi.Task.event_handler(luigi.Event.FAILURE)
def _end(_: luigi.Task, error: BaseException) -> None:
    if isinstance(error, Terminated) and multiprocessing.parent_process() is not None:
        os._exit(TERMINATED)  # nobody waits for what luigi would report


@luigi.Task.event_handler(luigi.Event.PROCESS_FAILURE)
def _died(task: luigi.Task, message: str) -> None:
    code = int(message.rpartition(" ")[2])
    how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    videos: list[str] = []
    if isinstance(task, ExtractShard):
        videos = in_hand(task.journal)
        task.crashes += bool(videos) and -code in FAULTS
    reason = " (the system does that where memory runs out)" if code == -signal.SIGKILL else ""
    having = f" with {', '.join(videos)} in hand" if videos else ""
    logging.getLogger("luigi-interface").warning(f"{task}: its process {how}{reason}{having}")


def _terminate(_: int, __: FrameType | None) -> NoReturn:
    raise Terminated(TERMINATED)
