"""Prepares an interpreter for running tasks: all that it changes outside of this project's own state."""

import io
import logging
import multiprocessing
import os
import sys
import threading
from types import TracebackType

import luigi.interface
from tqdm import tqdm

from tasks import settings
from tasks.base import UserErrorFilter

PRELOADED = (
    "torch",
    "cv2",
    "scipy.linalg",
    "pipeline.training.loop",
    "pipeline.store",
    "pipeline.video.decode",
    "tasks.runtime.worker_process",
)
"""Modules that the fork server imports before it forks: what every worker needs and is slow to import, and starting."""
INTERRUPTED = "interrupted: what is finished is kept, and the next run goes on from there"
_FILTER = UserErrorFilter()


def start() -> None:
    """Prepare this interpreter for running tasks; once more changes nothing.

    Entry points call it: ``kinescope``, ``luigi --module tasks`` as it loads the package, and the server that workers
    are forked from. It completes luigi's configuration, has workers forked from a server, lets no file of the working
    directory pass for a module in the processes that begin here, registers what happens when workers begin and end, has
    luigi hand tasks to workers that live on, has mistakes that a user can mend logged as one sentence, gives progress
    bars a lock of threads, says in a sentence that a run was interrupted, and prints names that are not UTF-8 as they
    are.
    """
    from tasks.runtime import cleanup, display, workers  # noqa: F401 (luigi's events are their doors)
    from tasks.runtime.luigi_worker import WorkerSchedulerFactory

    settings.complete()
    os.environ["PYTHONSAFEPATH"] = "1"  # a folder named data, or a file tasks.py, is common
    # A worker forked from luigi's own process would inherit its threads, and one that starts from nothing imports torch
    # for seconds: workers are forked from a server that has imported everything and done nothing.
    multiprocessing.set_start_method("forkserver", force=True)
    multiprocessing.set_forkserver_preload(list(PRELOADED))
    luigi.interface._WorkerSchedulerFactory = WorkerSchedulerFactory  # type: ignore[misc]
    logging.getLogger("luigi-interface").addFilter(_FILTER)
    tqdm.set_lock(threading.RLock())  # its own would be a semaphore of the system's, which a worker that dies leaves
    sys.excepthook = _except_interruptions
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")


def _except_interruptions(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print(INTERRUPTED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
