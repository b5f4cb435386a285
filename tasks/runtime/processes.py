"""Executes tasks in processes that live on: what one knows of data sets and settings, it keeps for the next task."""

import sys
import threading
from contextlib import suppress
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection, wait
from types import SimpleNamespace

from luigi.task_status import FAILED
from luigi.worker import fork_lock

from tasks.runtime.display import hide_line
from tasks.runtime.executor import Assignment, Results
from tasks.runtime.workers import end_with_the_main_process

_NO_RESULT = 1
"""Exit code of a task whose process ended, as if all were well, before it: luigi would wait for its result for ever."""


class Processes:
    """Executor whose processes take task after task; another one is begun where none is free.

    A process takes no task after one that failed, which may leave anything behind: a GPU that refuses all further
    work, or no memory.

    Tasks that use the GPU have processes of their own: a process keeps a part of the GPU's memory once it has used it,
    so that there are never more of these than tasks that use it at a time.

    Parameters
    ----------
    results : Results
        Where results are put.
    """

    def __init__(self, results: Results) -> None:
        self._results = results
        self._processes: dict[bool, list[_LivingProcess]] = {True: [], False: []}

    def submit(self, assignment: Assignment) -> "_Job":
        """Give a task to a free process."""
        processes = self._processes[assignment.task.on_gpu]
        while True:
            processes[:] = [process for process in processes if not process.ended]
            process = next((process for process in processes if process.free), None)
            if process is None:
                process = _LivingProcess(self._results)
                processes.append(process)
            try:
                return process.take(assignment)
            except OSError:  # it has died since its last task; luigi holds the lock that its watcher needs
                processes.remove(process)

    def close(self) -> None:
        """Terminate what is running, and end all processes."""
        processes = [process for kind in self._processes.values() for process in kind]
        for process in processes:
            process.end()
        for process in processes:
            process.wait()


class _Job:
    """A task in the hands of a process."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.exitcode: int | None = None

    def terminate(self) -> None:
        self._process.terminate()


class _LivingProcess:
    """Process that executes the tasks that it is sent.

    Attributes
    ----------
    job : _Job, optional
        What it executes.
    failed : bool
        Whether a task has failed in it.
    ended : bool
        Whether it is no more.
    """

    def __init__(self, results: Results) -> None:
        self._results = results
        self.job: _Job | None = None
        self.failed = self.ended = False
        self._connection, theirs = Pipe()
        # No daemon, as it may have children.
        self._process = Process(target=_serve, args=(theirs,))
        self._process.start()
        theirs.close()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    @property
    def free(self) -> bool:
        """Whether it may take a task."""
        return self.job is None and not self.failed

    def take(self, assignment: Assignment) -> _Job:
        """Send it a task. Raises OSError where it has died."""
        job = self.job = _Job(self._process)
        try:
            self._connection.send(assignment)
        except BaseException:
            self.job = None
            raise
        return job

    def end(self) -> None:
        """Let it end: at once where it waits for a task, and else as soon as what it does can be left."""
        if self.job is not None:
            self._process.terminate()
        else:
            with suppress(OSError):
                self._connection.send(None)

    def wait(self) -> None:
        """Wait until it has ended."""
        self._watcher.join()

    def _watch(self) -> None:
        """Pass on its results, end it after a failure, and note its end once all of them are passed on."""
        with suppress(EOFError, OSError):
            while self._connection in wait([self._connection, self._process.sentinel]):
                result = self._connection.recv()
                assert self.job is not None
                _, status, *_ = result
                self.failed = status == FAILED
                self.job.exitcode, self.job = 0, None
                self._results.put(result)
                if self.failed:
                    self.end()
        wait([self._process.sentinel])
        with fork_lock:  # a process that starts asks all others for their exit codes, which only one may read
            self._process.join()
        self.ended = True
        if self.job is not None:
            self.job.exitcode = self._process.exitcode or _NO_RESULT


def _serve(connection: Connection) -> None:
    """Execute the tasks that come, until None does or the main process has gone."""
    end_with_the_main_process()
    with suppress(EOFError):
        while (assignment := connection.recv()) is not None:
            assignment.run(SimpleNamespace(put=connection.send))
            del assignment  # and all that it holds
            hide_line()
            _return_gpu_memory()


def _return_gpu_memory() -> None:
    """Return the memory that torch keeps of the GPU's for a next task: another process may need it first."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
