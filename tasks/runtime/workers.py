"""Handles the processes of tasks: they end with the main process and clean up, and their deaths are reported.

Luigi's events are the hooks: a task starts and fails in its process, and the main process notices a process's death.
"""

import _thread
import logging
import multiprocessing
import os
import signal
import threading
import time
from functools import cache
from multiprocessing.connection import wait
from types import FrameType

import luigi

from pipeline.files.deferred_errors import DeferredErrors
from pipeline.training.child_process import format_end
from tasks.base import Terminated
from tasks.features import ExtractShard

GRACE_S = 3.0
"""Seconds that a process has to remove its temporary files when it is terminated."""
TERMINATED = 128 + signal.SIGTERM


@luigi.Task.event_handler(luigi.Event.START)
def _start(_: luigi.Task) -> None:
    end_with_the_main_process()


@cache  # a process that lives on does so from its first moment, and others when their task starts
def end_with_the_main_process() -> None:
    """Let this process unwind, and exit within ``GRACE_S``, when it is terminated or the main process has gone."""
    main = multiprocessing.parent_process()
    if main is None:
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)  # written to even while the main thread is in a library's code
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process has it too, and tells its workers

    def watch() -> None:
        while reading in wait([main.sentinel, reading]):
            if signal.SIGTERM in os.read(reading, 4096):  # else it is the end of a child that torch has an eye on
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
    reason = " (the system does that when memory runs out)" if code == -signal.SIGKILL else ""
    videos = task.record_death() if isinstance(task, ExtractShard) else []
    working_on = f" while computing {', '.join(videos)}" if videos else ""
    logging.getLogger("luigi-interface").warning(f"{task}: its process {format_end(code)}{reason}{working_on}")


def _terminate(_: int, frame: FrameType | None) -> None:
    if frame is not None and frame.f_globals.get("__name__") == DeferredErrors.__module__:
        # HDF5 and libav, which call it, cannot bear an exception: a moment later.
        later = threading.Timer(0.01, _thread.interrupt_main, (signal.SIGTERM,))
        later.daemon = True
        later.start()
        return
    raise Terminated(TERMINATED)
