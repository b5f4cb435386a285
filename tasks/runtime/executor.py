"""The seam where tasks are executed: what is handed over, and what luigi's worker asks of the executor and its jobs."""

from typing import Any, NamedTuple, Protocol

from luigi.worker import ContextManagedTaskProcess, TaskStatusReporter

from tasks.base import SettingsTask


class Results(Protocol):
    """Takes what a task came to, as luigi's queue of results does."""

    def put(self, result: Any) -> None: ...


class Assignment(NamedTuple):
    """A task, and all else that luigi says about how to run it: to be pickled, and run in another process.

    Attributes
    ----------
    task : SettingsTask
        The task, which brings the settings with it.
    worker_id : str
        Name of luigi's worker.
    context : str, optional
        Class of luigi's ``task_process_context``.
    check_unfulfilled_deps, check_complete_on_run : bool
        Luigi's settings of these names.
    """

    task: SettingsTask
    worker_id: str
    context: str | None
    check_unfulfilled_deps: bool
    check_complete_on_run: bool

    def run(self, results: Results) -> None:
        """Run the task as luigi does in a process of its own, and put what it came to, new requirements included."""
        ContextManagedTaskProcess(
            self.context,
            self.task,
            self.worker_id,
            results,
            TaskStatusReporter(None, self.task.task_id, self.worker_id, None),  # of which no task here has any use
            use_multiprocessing=True,
            check_unfulfilled_deps=self.check_unfulfilled_deps,
            check_complete_on_run=self.check_complete_on_run,
        ).run()


class Job(Protocol):
    """A task that is being executed."""

    @property
    def exitcode(self) -> int | None:
        """None while it runs; 0 when its result is there; else another number, that of ``Process.exitcode`` at best."""

    def terminate(self) -> None:
        """End it, without a result."""


class Executor(Protocol):
    """Executes tasks beside the main process, and puts their results where luigi's worker finds them."""

    def submit(self, assignment: Assignment) -> Job:
        """Have a task executed."""

    def close(self) -> None:
        """End all jobs, and everything that was begun to execute them."""
