"""Read what a user wrote: TOML, JSON, and paths. Whatever it is, it is read or ends in one sentence."""

import json
import os
import reprlib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import NO_PATH, InputError

MAX_DEPTH = 50
"""Largest number of tables and lists within each other."""
MAX_BITS = 63
"""Largest number of bits, besides the sign, of a whole number; TOML has no larger ones."""
_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxstring, _BRIEF.maxother, _BRIEF.maxlong = 3, 80, 80, 40


def resolve(path: str | Path) -> Path:
    """Return a user's path as an absolute one without links, with ~ expanded, whether or not there is such a file.

    Raises
    ------
    InputError
        Where no file can have it: it holds a NUL character or half a surrogate pair, is too long, begins with ~ and the
        name of nobody, or is a link that leads back to itself.

    Examples
    --------
    >>> resolve("/usr/../usr")
    PosixPath('/usr')
    """
    if "\0" in str(path):
        raise InputError(f"{brief(str(path))} holds a NUL character; a path that a file can have is needed")
    try:
        resolved = os.path.realpath(Path(path).expanduser())
        os.stat(resolved)
    except (UnicodeEncodeError, RuntimeError) as error:  # half a surrogate pair; the home of nobody
        raise InputError(f"{brief(str(path))}: {error}; a path that a file can have is needed") from None
    except OSError as error:
        if error.errno in NO_PATH:
            raise InputError(f"{brief(str(path))}: {error.strerror}; a path that a file can have is needed") from None
    return Path(resolved)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file as a table.

    Raises
    ------
    InputError
        Where it is missing or malformed, or holds what no field can.
    """
    try:
        table: dict[str, Any] = _checked(tomllib.loads, path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; the path of an experiment's TOML file is needed") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: invalid TOML: {error}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return table


def read_json(text: str, needed: str) -> Any:
    """Read JSON that a user wrote.

    Parameters
    ----------
    text
        The JSON.
    needed
        What messages say is needed, such as "a configuration".

    Raises
    ------
    InputError
        Where it is malformed, or holds what no field can.
    """
    try:
        return _checked(json.loads, text)
    except json.JSONDecodeError as error:
        raise InputError(f"{brief(text)} is not valid JSON ({error}); {needed} in JSON is needed") from None
    except InputError as error:
        raise InputError(f"{brief(text)}: {error}") from None


def brief(value: Any) -> str:
    """Return what a user gave as a message shows it: quoted, and its middle left out where it is long.

    Examples
    --------
    >>> brief("x")
    "'x'"
    >>> brief("x" * 100_000)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'"
    """
    return _BRIEF.repr(value)


def _checked(loads: Callable[[str], Any], text: str) -> Any:
    """Load plain values, of which none is nested too deep, holds a NUL character or has more than 64 bits.

    Raises what ``loads`` does where the text is malformed, and InputError.
    """
    try:
        loaded = loads(text)
    except RecursionError:
        raise InputError(f"tables or lists within each other, more than {MAX_DEPTH} deep; none needs as many") from None
    except ValueError as error:
        if type(error) is ValueError:  # Python converts no more than some thousand digits
            raise InputError(
                f"a whole number of thousands of digits; {MAX_BITS} bits are the most, besides the sign"
            ) from None
        raise
    inside = [loaded]
    for _ in range(MAX_DEPTH + 1):
        inside = [part for value in inside for part in _parts(value)]
    if inside:
        raise InputError(f"tables or lists within each other, more than {MAX_DEPTH} deep; none needs as many")
    return loaded


def _parts(value: Any) -> Iterable[Any]:
    """Return what lies directly in a plain value. Raises InputError where that is no value for a field."""
    if isinstance(value, Mapping):
        return [*value, *value.values()]
    if isinstance(value, list):
        return value
    if isinstance(value, str) and "\0" in value:
        raise InputError(f"{brief(value)} holds a NUL character, which no name and no path may have")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise InputError(f"a whole number of {value.bit_length()} bits; {MAX_BITS} are the most, besides the sign")
    return ()
