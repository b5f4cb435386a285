"""Runs luigi on what is given on the command line: ``kinescope predict``, ``pack`` and ``extract``."""

import os
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from extractors import EXTRACTORS
from pipeline.config import one_of, parse
from pipeline.errors import InputError
from pipeline.files.user_input import read_toml

FROM_INPUT = "-"


def paths(given: Sequence[str], *, nul: bool) -> Iterator[str]:
    """Yield the paths that were given, those on standard input in the place of ``-``.

    Raises InputError where standard input lists none.
    """
    for path in given:
        if path != FROM_INPUT:
            yield path
            continue
        listed = os.fsdecode(sys.stdin.buffer.read()).split("\0" if nul else "\n")
        named = [line.removesuffix("\r") if not nul else line for line in listed if line.strip()]
        if not named:
            raise InputError("standard input lists no path; one in each line is needed, or with -0 one before each NUL")
        yield from named


def run_task(name: str, **options: str | float | None) -> None:
    """Run one of luigi's tasks in this process, and exit with luigi's code; options that are None are left out."""
    from luigi.retcodes import run_with_retcodes

    given = {f"--{option.replace('_', '-')}": str(value) for option, value in options.items() if value is not None}
    run_with_retcodes(["--module", "tasks", name, *(word for pair in given.items() for word in pair)])


def extractor_and_paths(arguments: Sequence[str]) -> tuple[Any, list[str]]:
    """Return the extractor that the first arguments describe, and the other arguments, which are paths.

    Parameters
    ----------
    arguments
        The extractor's name, or the path of a TOML file with its table; then fields as KEY=VALUE, with dots between the
        names of nested ones, up to the first argument that is a path, or to ``--``.

    Raises
    ------
    InputError
        Where a field is unknown or wrong, or there is no path.

    Examples
    --------
    >>> extractor, paths = extractor_and_paths(["frames", "short_side=120", "encoding=raw", "a.mp4", "b=c.mp4"])
    >>> extractor.short_side, extractor.encoding, paths
    (120, 'raw', ['a.mp4', 'b=c.mp4'])
    """
    first, *rest = arguments
    table: dict[str, Any] = read_toml(Path(first)) if first.endswith(".toml") else {"name": first}
    fields = 0
    for fields, argument in enumerate([*rest, "--"]):  # noqa: B007 (the last count is the result)
        if argument == "--" or "=" not in argument or Path(argument).exists():
            break
        _set(table, *argument.split("=", 1))
    paths = rest[fields:]
    paths = paths[1:] if paths[:1] == ["--"] else paths
    if not paths:
        raise InputError("no videos were given; paths of files or folders are needed after the extractor")
    return parse(one_of(EXTRACTORS, "extractor"), table), paths


def _set(table: dict[str, Any], key: str, text: str) -> None:
    """Set a nested field; a text that is no TOML value stands for itself."""
    *outer, name = key.split(".")
    for part in outer:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            raise InputError(f"{key}: {part} is no table, so that it has no field {name!r}")
        table = inner
    try:
        table[name] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[name] = text
