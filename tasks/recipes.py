"""Reads recipe files, the bundled ones among them, with what one takes over from another.

A table of a recipe may say ``like``: it then takes over the fields of that table of the other recipe, except those that
it states itself.

    like = "ucf101-c3d-t25"                                  # the whole of a bundled recipe
    like = "mine.toml"                                       # of a file, by its path from the folder of this one
    extractor = { like = "ucf101-flow#streams.0.extractor" } # one table of it

Tables are merged, field by field; numbers, texts and lists replace those of the other recipe, and so does a table of
another ``name``. A title, and what a paper reported, are never taken over.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pipeline.config import read_toml, unknown
from pipeline.errors import InputError

BUNDLED = Path(__file__).parent / "experiments"
OWN = ("title", "reported")
"""Fields that a recipe never takes over."""


def bundled() -> list[str]:
    """Return the names of the bundled recipes."""
    return sorted(path.stem for path in BUNDLED.glob("*.toml"))


def matching(pattern: str) -> list[str]:
    """Return the bundled names that a pattern matches, or the pattern itself where it matches none.

    >>> matching("kth1-drnn?")
    ['kth1-drnn1', 'kth1-drnn2']
    >>> matching("mine.toml")
    ['mine.toml']
    """
    return [name for name in bundled() if fnmatchcase(name, pattern)] or [pattern]


def find_recipe(name_or_path: str, folder: Path = Path()) -> Path:
    """Return the file of a bundled recipe, or of a path from ``folder``. Raises InputError with the nearest name."""
    names = bundled()
    if name_or_path in names:
        return BUNDLED / f"{name_or_path}.toml"
    if Path(name_or_path).suffix != ".toml":
        raise InputError(unknown("experiment", name_or_path, names) + "; or give the path of a TOML file")
    return folder / name_or_path


def read_recipe(path: Path, via: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a recipe's file, and fill in what it takes over from others.

    Parameters
    ----------
    path : Path
        The file.
    via : tuple of Path
        Files whose ``like`` led to this one.

    Returns
    -------
    dict
        The tables, without any ``like``.

    Raises
    ------
    InputError
        Where a file is missing or malformed, or takes over from what does not exist, or from itself; it names the file.
    """
    chain = (*via, path)
    if path.resolve() in (each.resolve() for each in via):
        raise InputError(f"like refers back to its own file: {' → '.join(each.name for each in chain)}")
    table = read_toml(path)
    try:
        filled: dict[str, Any] = _filled(table, "", chain)
    except InputError as error:
        raise InputError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    return filled


def _filled(value: Any, place: str, chain: tuple[Path, ...]) -> Any:
    """Return a value of the chain's last file, with every ``like`` in it replaced by the table it refers to."""
    if isinstance(value, list):
        return [_filled(part, f"{place}.{number}", chain) for number, part in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    own = {name: _filled(part, f"{place}.{name}", chain) for name, part in value.items() if name != "like"}
    return _merged(_taken(value["like"], place, chain), own) if "like" in value else own


def _taken(like: Any, place: str, chain: tuple[Path, ...]) -> dict[str, Any]:
    """Return the table that a ``like`` refers to."""
    here = f"{place}.like".lstrip(".")
    if not isinstance(like, str):
        raise InputError(f"{here}: {like!r} is no text; the name or path of an experiment is needed, in quotes")
    name, _, part = like.partition("#")
    try:
        path = find_recipe(name, chain[-1].parent)
    except InputError as error:
        raise InputError(f"{here}: {error}") from None
    found: Any = read_recipe(path, chain)
    for step in part.split(".") if part else ():
        parts = dict(enumerate(found)) if isinstance(found, list) else found if isinstance(found, Mapping) else {}
        known = {str(key): inner for key, inner in parts.items()}
        if step not in known:
            raise InputError(f"{here} = {like!r}: {unknown('place', step, known)}")
        found = known[step]
    if not isinstance(found, Mapping):
        raise InputError(f"{here} = {like!r} refers to {found!r}; a table is needed")
    taken: dict[str, Any] = _without_own(found)
    return taken


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    if "name" in own and own["name"] != base.get("name"):
        return dict(own)
    merged = dict(base)
    for name, value in own.items():
        tables = isinstance(value, Mapping) and isinstance(base.get(name), Mapping)
        merged[name] = _merged(base[name], value) if tables else value
    return merged


def _without_own(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_own(part) for part in value]
    if isinstance(value, Mapping):
        return {name: _without_own(part) for name, part in value.items() if name not in OWN}
    return value
