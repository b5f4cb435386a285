"""Note which video a process is working on, so that a video that crashes its process is found.

A process has one note in a journal's folder, which names the video in hand and is written anew for each. Only a fault
of the process itself (a segmentation fault, an abort, …) signs it: the interpreter's fault handler writes the reason
into the note. A process that is killed from outside, for lack of memory or by its user, leaves a note without a
signature, and a bus error does not count: a full disk under a mapped file causes one. The next process makes a signed
note that of its video, which stays until the video is finished.
"""

import faulthandler
import os
import re
import weakref
from collections import Counter
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pipeline.files.atomic import write_text

NOTE = ".started"
"""Suffix of a note's file name."""
_OF_PROCESS = "process-"
_CRASH = re.compile(
    r"^Fatal Python error: (?!Bus error)(?P<fault>.+)$(?P<threads>(?:\n(?!Fatal Python error: ).*)*)", re.MULTILINE
)
_FRAME = re.compile(r"Current thread .*\n  File \"(?P<file>.+)\", line (?P<line>\d+)")
_STDERR = 2


class CrashNotes:
    """Notes of one journal, of which this process writes one.

    Parameters
    ----------
    folder
        Folder of the journal, which is made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._note: IO[bytes] | None = None
        self._signed: set[str] = set()

    @contextmanager
    def attempt(self, key: str, video: str) -> Iterator[list[str]]:
        """Note that a video is being worked on while the block runs.

        When the block ends without error, crashes of before are forgotten; when it raises, they stay noted.

        Parameters
        ----------
        key
            The video's key, which names its own note.
        video
            The video's id.

        Yields
        ------
        list of str
            The crashes of earlier processes that were working on the video, one sentence each.
        """
        note, crashes = self._opened(), self.crashes(key)
        note.write(_heading(key, video).encode())
        try:
            with _signing(note):
                yield crashes
        finally:
            os.truncate(note.fileno(), 0)
        if crashes:
            self._of_video(key).unlink(missing_ok=True)

    def crashes(self, key: str) -> list[str]:
        """Return the crashes of processes that were working on a video, one sentence each."""
        self._opened()
        return _crashes(self._of_video(key)) if key in self._signed else []

    def record(self, key: str, video: str, last_words: str) -> str | None:
        """Note that another process crashed while it was working on a video.

        Parameters
        ----------
        key
            The video's key.
        video
            The video's id.
        last_words
            What that process's fault handler wrote.

        Returns
        -------
        str or None
            The crash in one sentence; None where it was none, and nothing is noted.
        """
        fatal = _CRASH.search(last_words)
        if fatal is None:
            return None
        self._opened()
        with self._of_video(key).open("ab") as note:
            note.write(f"{_heading(key, video)}{last_words}\n".encode())
        self._signed.add(key)
        return _format_crash(fatal["fault"], fatal["threads"])

    def discard(self, keys: Container[str]) -> None:
        """Remove this process's note, those of processes that name no video, and those of videos that are finished."""
        for path in self.folder.glob(f"*{NOTE}"):
            if path == self._path or path.stem in keys or not _text(path):
                path.unlink(missing_ok=True)
        self._note = None

    @property
    def _path(self) -> Path:
        return self.folder / f"{_OF_PROCESS}{os.getpid()}{NOTE}"

    def _opened(self) -> IO[bytes]:
        if self._note is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._note = self._path.open("ab", buffering=0)
            weakref.finalize(self, self._note.close)
            os.truncate(self._note.fileno(), 0)
            self._signed = {path.stem for path in self.folder.glob(f"*{NOTE}")}
        return self._note

    def _of_video(self, key: str) -> Path:
        return self.folder / f"{key}{NOTE}"


def notes(journal: Path) -> dict[str, int]:
    """Count, for each video that was started and is not finished, the processes that crashed while working on it."""
    found: Counter[str] = Counter()
    for note in sorted(journal.glob(f"*{NOTE}")):
        if video := _text(note).partition("\n")[0]:
            found[video] += len(_crashes(note))
    return dict(found)


def settle(journal: Path) -> None:
    """Make signed notes those of their videos, and remove the others; call it only while no other process works."""
    for note in sorted(journal.glob(f"*{NOTE}")):
        signed, of_process, text = _crashes(note), note.name.startswith(_OF_PROCESS), _text(note)
        if signed and of_process:
            _, key, _ = f"{text}\n\n".split("\n", 2)
            own = note.with_name(f"{key}{NOTE}")
            if own.exists():
                write_text(own, _text(own) + text)
            else:  # at once: who is killed in between must not count the first crash twice
                note.replace(own)
        if of_process or not signed:
            note.unlink(missing_ok=True)


def _heading(key: str, video: str) -> str:
    return f"{' '.join(video.splitlines())}\n{key}\n"


def _crashes(note: Path) -> list[str]:
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
def _signing(file: IO[bytes]) -> Iterator[None]:
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
