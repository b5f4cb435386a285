"""Has luigi's worker hand the tasks of this project to an executor, and others to processes of their own."""

from typing import Any

import luigi
from luigi.interface import _WorkerSchedulerFactory
from luigi.worker import ContextManagedTaskProcess

from tasks.base import SettingsTask
from tasks.runtime.executor import Assignment, Executor, Job
from tasks.runtime.processes import Processes


class Worker(luigi.worker.Worker):  # type: ignore[misc]
    """Luigi's worker, with an executor for what is not run in the main process itself."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._executor: Executor = Processes(self._task_result_queue)

    def __exit__(self, *raised: Any) -> Any:
        self._executor.close()
        self._task_result_queue.cancel_join_thread()  # results that came too late to be read would hold up the exit
        return super().__exit__(*raised)

    def _create_task_process(self, task: luigi.Task) -> "ContextManagedTaskProcess | Execution":
        process = super()._create_task_process(task)
        handed_over = process.use_multiprocessing and isinstance(task, SettingsTask)
        return Execution(process, self._executor) if handed_over else process


class Execution:
    """Task that an executor executes, as luigi's worker starts and watches a process.

    Parameters
    ----------
    process : ContextManagedTaskProcess
        Process that luigi would start instead.
    executor : Executor
        Executes the task.
    """

    use_multiprocessing = True

    def __init__(self, process: ContextManagedTaskProcess, executor: Executor) -> None:
        self._process, self._executor = process, executor
        self._job: Job | None = None
        self.task, self.status_reporter = process.task, process.status_reporter
        self.worker_timeout, self.timeout_time = process.worker_timeout, process.timeout_time

    def start(self) -> None:
        """Hand the task over."""
        of = self._process
        options = of.check_unfulfilled_deps, of.check_complete_on_run
        self._job = self._executor.submit(Assignment(self.task, of.worker_id, of.context, *options))

    def is_alive(self) -> bool:
        """Return whether it is being executed."""
        return self._job is not None and self._job.exitcode is None

    @property
    def exitcode(self) -> int | None:
        """None until it is over, 0 when its result is there, and else how its process ended."""
        return None if self._job is None else self._job.exitcode

    def terminate(self) -> None:
        """End it, without a result."""
        if self._job is not None:
            self._job.terminate()


class WorkerSchedulerFactory(_WorkerSchedulerFactory):  # type: ignore[misc]
    """What luigi makes its workers and schedulers with."""

    def create_worker(self, scheduler: Any, worker_processes: int, assistant: bool = False) -> Worker:
        return Worker(scheduler=scheduler, worker_processes=worker_processes, assistant=assistant)
