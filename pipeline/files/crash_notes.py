"""Note which video a process is working on, so that a video that crashes its process is found.

Each video that is started has a note. Only a fault of the process itself (a segmentation fault, an abort, …) signs it:
the interpreter's fault handler writes the reason into the note. A process that is killed from outside, for lack of
memory or by its user, leaves a note without a signature, and a bus error does not count: a full disk under a mapped
file causes one.
"""

import faulthandler
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

NOTE = ".started"
"""Suffix of a note's file name."""
_CRASH = re.compile(
    r"^Fatal Python error: (?!Bus error)(?P<fault>.+)$(?P<threads>(?:\n(?!Fatal Python error: ).*)*)", re.MULTILINE
)
_FRAME = re.compile(r"Current thread .*\n  File \"(?P<file>.+)\", line (?P<line>\d+)")
_STDERR = 2


@contextmanager
def attempt(note: Path, video: str) -> Iterator[list[str]]:
    """Note that ``video`` is being worked on while the block runs.

    The note is removed when the block ends without error; when it raises, earlier crashes stay noted.

    Parameters
    ----------
    note
        File of the video's note.
    video
        The video's id.

    Yields
    ------
    list of str
        The crashes of earlier processes that were working on the video, one sentence each.
    """
    note.parent.mkdir(parents=True, exist_ok=True)
    with note.open("a+", encoding="utf-8") as file:
        crashes = crashes_in(note)
        if not file.tell():
            print(video, file=file, flush=True)
        with _signing(file):
            try:
                yield crashes
            except BaseException:  # told to end, too
                if not crashes:
                    note.unlink(missing_ok=True)
                raise
    note.unlink(missing_ok=True)


def record(note: Path, video: str, last_words: str) -> str | None:
    """Note that another process crashed while it was working on ``video``.

    Parameters
    ----------
    note
        File of the video's note.
    video
        The video's id.
    last_words
        What the process's fault handler wrote.

    Returns
    -------
    str or None
        The crash in one sentence; None where it was none, and nothing is noted.
    """
    fatal = _CRASH.search(last_words)
    if fatal is None:
        return None
    note.parent.mkdir(parents=True, exist_ok=True)
    with note.open("a+", encoding="utf-8") as file:
        if not file.tell():
            print(video, file=file)
        print(last_words, file=file)
    return _format_crash(fatal["fault"], fatal["threads"])


def notes(journal: Path) -> dict[str, int]:
    """Count, for each video that was started and is not finished, the processes that crashed while working on it."""
    return {_text(note).partition("\n")[0]: len(crashes_in(note)) for note in sorted(journal.glob(f"*{NOTE}"))}


def remove_unsigned(journal: Path) -> None:
    """Remove the notes that no crash signed; call it only while no other process works on this journal."""
    for note in journal.glob(f"*{NOTE}"):
        if not crashes_in(note):
            note.unlink(missing_ok=True)


def crashes_in(note: Path) -> list[str]:
    """Return the crashes that a note tells, one sentence each; none where there is no note."""
    return [_format_crash(crash["fault"], crash["threads"]) for crash in _CRASH.finditer(_text(note))]


def _text(note: Path) -> str:
    try:
        return note.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # the video was finished meanwhile
        return ""


def _format_crash(fault: str, threads: str) -> str:
    frame = _FRAME.search(threads)
    return f"{fault} in {Path(frame['file']).name}, line {frame['line']}" if frame else fault


@contextmanager
def _signing(file: IO[str]) -> Iterator[None]:
    """Let the fault handler write into ``file`` while the block runs."""
    enabled = faulthandler.is_enabled()
    faulthandler.enable(file)
    try:
        yield
    finally:
        if enabled:
            faulthandler.enable(_STDERR)
        else:
            faulthandler.disable()
