"""Shows how far long work has come: on the terminal, or in a file that another process shows with those of others."""

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

_line: "_Line | None" = None


class Bar(tqdm):  # type: ignore[misc]
    """tqdm's progress bar, with rate and time left; quiet without a terminal.

    Parameters
    ----------
    iterable
        What is gone through.
    **named
        As for tqdm: ``desc``, ``unit``, ``total``, ``initial`` and others.
    """

    def __init__(self, iterable: Any = None, **named: Any) -> None:
        shown_elsewhere = {} if _line is None else {"file": _line}
        super().__init__(iterable, **{"disable": None, **shown_elsewhere, **named})


def show_in(path: Path, title: str) -> None:
    """Have this process's bars write their line into a file, after a title, in the place of the terminal."""
    global _line
    _line = _Line(path, title)
    _line.show("")


def shown_in() -> tuple[Path, str] | None:
    """Return what ``show_in`` was given, for a process that this one starts; None where bars are on the terminal."""
    return None if _line is None else (_line.path, _line.title)


class _Line(io.TextIOBase):
    """Terminal of one line, which is the content of a file."""

    encoding = "utf-8"  # so that bars are drawn in eighths of a letter

    def __init__(self, path: Path, title: str) -> None:
        self.path, self.title = path, title

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if text.strip("\n\x1b[A"):  # else it moves to another line, as a bar within another does
            self.show(text.strip())
        return len(text)

    def show(self, text: str) -> None:
        """Put a text after the title; where the file cannot be written, nobody looks at it any more."""
        with suppress(OSError):
            self.path.write_text(f"{self.title}: {text}" if text else self.title)
