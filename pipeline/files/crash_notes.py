"""Which video a process had in hand when it died: a note for each that is started, signed by the signal that kills.

Only a fault of the process itself (a segmentation fault, an abort, …) signs: the interpreter's fault handler writes the
reason into the note. Whoever is killed from outside, for lack of memory or by its user, leaves a note without one, and
a bus error counts as none: a full disk under a mapped file is one.
"""

import faulthandler
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

NOTE = ".started"
_DEATH = re.compile(
    r"^Fatal Python error: (?!Bus error)(?P<fault>.+)$(?P<threads>(?:\n(?!Fatal Python error: ).*)*)", re.MULTILINE
)
_FRAME = re.compile(r"Current thread .*\n  File \"(?P<file>.+)\", line (?P<line>\d+)")
_STDERR = 2


@contextmanager
def attempt(note: Path, video: str) -> Iterator[list[str]]:
    """Note that ``video`` is started, until the block ends; yields how earlier processes died with it in hand.

    The note is removed when the block ends well; when it raises, what earlier processes wrote is kept.
    """
    note.parent.mkdir(parents=True, exist_ok=True)
    with note.open("a+", encoding="utf-8") as file:
        earlier = _deaths(note)
        if not file.tell():
            print(video, file=file, flush=True)
        with _signing(file):
            try:
                yield earlier
            except BaseException:  # told to end, too
                if not earlier:
                    note.unlink(missing_ok=True)
                raise
    note.unlink(missing_ok=True)


def notes(journal: Path) -> dict[str, int]:
    """By video that was started and is not finished, how many processes died of a fault with it in hand."""
    return {_text(note).partition("\n")[0]: len(_deaths(note)) for note in sorted(journal.glob(f"*{NOTE}"))}


def forget_the_killed(journal: Path) -> None:
    """Remove the notes that nothing signed. To be called where no other process works on this journal."""
    for note in journal.glob(f"*{NOTE}"):
        if not _deaths(note):
            note.unlink(missing_ok=True)


def _deaths(note: Path) -> list[str]:
    return [_told(death["fault"], death["threads"]) for death in _DEATH.finditer(_text(note))]


def _text(note: Path) -> str:
    try:
        return note.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # the video was finished meanwhile
        return ""


def _told(fault: str, threads: str) -> str:
    frame = _FRAME.search(threads)
    return f"{fault} in {Path(frame['file']).name}, line {frame['line']}" if frame else fault


@contextmanager
def _signing(file: IO[str]) -> Iterator[None]:
    enabled = faulthandler.is_enabled()
    faulthandler.enable(file)
    try:
        yield
    finally:
        if enabled:
            faulthandler.enable(_STDERR)
        else:
            faulthandler.disable()
