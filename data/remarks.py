"""Sentences on what was left out of a data set, or taken otherwise than it is written."""

from collections.abc import Sequence

MAX_NAMED = 3
"""Number of files that are named; the rest is counted."""


def some_of(names: Sequence[str]) -> str:
    """Return a few names, and the number of the others.

    Examples
    --------
    >>> some_of(["a", "b"]), some_of(["a", "b", "c", "d", "e"])
    ('a, b', 'a, b, c and 2 more')
    """
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def remark(names: Sequence[str], one: str, several: str) -> tuple[str, ...]:
    """Return a sentence on some files, with their number and a few of their names; none where there are none.

    Examples
    --------
    >>> remark(["run/notes.pdf"], "file is not taken", "files are not taken")
    ('1 file is not taken: run/notes.pdf',)
    """
    return (f"{len(names)} {one if len(names) == 1 else several}: {some_of(names)}",) if names else ()
