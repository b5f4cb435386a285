"""Shows on a terminal how far a run has come, and at its end what came out: of all processes, by one that draws.

Each worker writes the line of its progress bar into a file of its own; the main process has a process beside it that
puts these lines under one for the run as a whole. Whatever else is printed first clears what is drawn.
"""

import atexit
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import Process, parent_process
from multiprocessing.connection import wait
from pathlib import Path

import luigi

from pipeline.files.progress import show_in
from tasks.announced import SCHEDULED, Announced
from tasks.base import SettingsTask

FOLDER = "KINESCOPE_PROGRESS"
"""Environment variable with the folder of the workers' lines, while a run is shown."""
ROOT_TASK = "KINESCOPE_PROGRESS_OF"
"""Environment variable with the id of the task at whose end nothing is shown any more."""
CLEAR = "\r\x1b[J"
"""Moves to the beginning of the line, and clears from there to the end of the screen."""
REFRESH_S = 0.5
LOOK_S = 2.0
"""Seconds at least between two looks at the store."""
_SHARE = 20
"""A look at the store may take a twentieth of the time."""


@Announced.event_handler(SCHEDULED)
def _begin(task: Announced) -> None:
    """Draw from now on, where there is a terminal, in the process that begins the run."""
    if _is_shown() or parent_process() is not None or not sys.stderr.isatty():
        return
    folder = tempfile.mkdtemp(prefix="kinescope-progress-")
    os.environ |= {FOLDER: folder, ROOT_TASK: task.task_id}  # which the processes inherit
    logging.getLogger("luigi-interface").addHandler(_CLEARING)
    drawing = Process(target=_draw_all, args=(task, Path(folder)), daemon=True)
    drawing.start()
    atexit.register(_end)


def _is_shown() -> bool:
    return FOLDER in os.environ and Path(os.environ[FOLDER]).exists()


def _end() -> None:
    """Have nothing drawn any more."""
    if _is_shown():
        shutil.rmtree(os.environ[FOLDER], ignore_errors=True)
        _clear()


@luigi.Task.event_handler(luigi.Event.START)
def _show(task: luigi.Task) -> None:
    if isinstance(task, SettingsTask) and _is_shown() and parent_process() is not None:
        show_in(_line_of(os.getpid()), task.title)


@luigi.Task.event_handler(luigi.Event.SUCCESS)
def _hide(task: luigi.Task) -> None:
    if isinstance(task, SettingsTask):
        hide_line()


def hide_line() -> None:
    """Have no line shown of this process, which works on nothing any more."""
    if FOLDER in os.environ:
        _line_of(os.getpid()).unlink(missing_ok=True)


@Announced.event_handler(luigi.Event.SUCCESS)
def _say_what_came_out(task: Announced) -> None:
    if task.task_id == os.environ.get(ROOT_TASK):
        _end()
    elif _is_shown():  # it is one of several that the run asks for
        _clear()
    print(f"\n{task.summary()}", flush=True)


@Announced.event_handler(luigi.Event.DEPENDENCY_PRESENT)
def _say_that_it_was_there(task: Announced) -> None:
    print(f"nothing had to be done\n\n{task.summary()}", flush=True)


class _Clearing(logging.Handler):
    """Clears what is drawn before another handler prints."""

    def emit(self, record: logging.LogRecord) -> None:
        if _is_shown():
            _clear()


_CLEARING = _Clearing()


def _clear() -> None:
    sys.stderr.write(CLEAR)
    sys.stderr.flush()


def _line_of(process: int) -> Path:
    return Path(os.environ[FOLDER]) / str(process)


def _draw_all(task: Announced, folder: Path) -> None:
    """Draw until the folder is gone, or the main process is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process has it too
    main = parent_process()
    assert main is not None
    overall, due = "", 0.0
    while not wait([main.sentinel], REFRESH_S) and folder.exists():
        began = time.monotonic()
        if began >= due:
            overall = _overall(task) or overall
            due = time.monotonic() + max(LOOK_S, _SHARE * (time.monotonic() - began))
        lines = [overall, *_lines(folder)]
        width = shutil.get_terminal_size().columns - 1
        if folder.exists():
            shown = "\n".join(line[:width] for line in lines)
            sys.stderr.write(CLEAR + shown + (f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else "") + "\r")
            sys.stderr.flush()
    shutil.rmtree(folder, ignore_errors=True)


def _overall(task: Announced) -> str:
    """Return the line for the run as a whole; nothing where the store is just being changed."""
    from tasks.commands.progress import overall

    try:
        return overall(task)
    except Exception:  # whatever is wrong, the run itself will say
        return ""


def _lines(folder: Path) -> Iterator[str]:
    """Yield the lines of workers that are alive, those that began first at the top."""
    with suppress(OSError):
        for path in sorted(folder.iterdir(), key=lambda path: int(path.name)):
            if not _is_alive(int(path.name)):
                path.unlink(missing_ok=True)
            elif text := path.read_text():
                yield f"  {text}"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True
