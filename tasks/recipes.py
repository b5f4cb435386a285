"""Reads recipe files, the bundled ones among them, with what one takes over from another.

A table of a recipe may say ``like``: it then takes over the fields of that table of the other recipe, except those that
it states itself.

    like = "ucf101-c3d-t25"                                  # the whole of a bundled recipe
    like = "mine.toml"                                       # of a file, by its path from the folder of this one
    extractor = { like = "ucf101-flow#streams.0.extractor" } # one table of it

Tables are merged, field by field; numbers, texts and lists replace those of the other recipe, and so does a table of
another ``name``. A title, and what a paper reported, are never taken over.
"""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.config import unknown
from pipeline.errors import InputError
from pipeline.files.user_input import brief, read_toml, resolve

BUNDLED = Path(__file__).parent / "experiments"
OWN = ("title", "reported")
"""Fields that a recipe never takes over."""
MAX_VALUES = 10_000
"""Largest number of values, tables among them, of a recipe with all that it takes over."""


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


class _Recipe(NamedTuple):
    """Content of a recipe's file.

    Attributes
    ----------
    path : Path
        The file, as the user or another recipe names it.
    table : dict
        What it says.
    sources : dict of Path
        Files that it takes over from, by the name in ``like``; absolute and without links, as are all keys of recipes.
    """

    path: Path
    table: dict[str, Any]
    sources: dict[str, Path]


def read_recipe(path: Path) -> dict[str, Any]:
    """Read a recipe's file, and fill in what it takes over from others; each of these is read and filled in once.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict
        The tables, without any ``like``.

    Raises
    ------
    InputError
        Where a file is missing or malformed, or takes over from what does not exist, or from itself; it names the file.
    """
    recipes = _with_sources(path)
    filled: dict[Path, dict[str, Any]] = {}
    for file in _sources_first(recipes, path):
        recipe = recipes[file]
        try:
            filled[file] = _filled(recipe.table, "", {name: filled[there] for name, there in recipe.sources.items()})
            _check_size(filled[file])
        except InputError as error:
            raise _in_files(error, path, recipe.path) from None
    return filled[resolve(path)]


def _with_sources(path: Path) -> dict[Path, _Recipe]:
    """Read a recipe's file, and all those that it takes over from."""
    recipes: dict[Path, _Recipe] = {}
    waiting = [(path, path)]
    while waiting:
        here, named_by = waiting.pop()
        try:
            file = resolve(here)
            if file not in recipes:
                table = read_toml(here)
                named_by = here
                named = {name: _found(name, place, here) for place, name in _names(table, "")}
                recipes[file] = _Recipe(here, table, {name: resolve(there) for name, there in named.items()})
                waiting += [(there, here) for there in named.values()]
        except InputError as error:
            raise _in_files(error, path, named_by) from None
    return recipes


def _names(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield place and name of every recipe that a value of a file takes over from."""
    parts = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, Mapping) else ()
    for key, part in parts:
        inner = f"{place}.{key}".lstrip(".")
        if key != "like":
            yield from _names(part, inner)
        elif isinstance(part, str):
            yield inner, part.partition("#")[0]
        else:
            raise InputError(
                f"{inner}: {brief(part)} is no text; the name or path of an experiment is needed, in quotes"
            )


def _found(name: str, place: str, file: Path) -> Path:
    try:
        return find_recipe(name, file.parent)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def _sources_first(recipes: Mapping[Path, _Recipe], path: Path) -> list[Path]:
    """Order files so that each follows those that it takes over from. Raises InputError where there is no order."""
    try:
        return [*TopologicalSorter({file: recipe.sources.values() for file, recipe in recipes.items()}).static_order()]
    except CycleError as error:
        circle = error.args[1][:0:-1]  # each takes over from the next, the last one from the first
        first = circle.index(resolve(path)) if resolve(path) in circle else 0
        chain = [recipes[file].path for file in (*circle[first:], *circle[: first + 1])]
        refers = InputError(f"like refers back to its own file: {' → '.join(each.name for each in chain)}")
        raise _in_files(refers, path, chain[-2]) from None


def _in_files(error: InputError, path: Path, file: Path) -> InputError:
    """Return an error that names the recipe that is read, and the file, of those that it takes over from, to mend."""
    text = str(error)
    for each in (file, path):
        text = f"{each}: {text.removeprefix(f'{each}: ')}"
    return InputError(text)


def _filled(value: Any, place: str, sources: Mapping[str, dict[str, Any]]) -> Any:
    """Return a value of a file, with every ``like`` in it replaced by the table it refers to, of those by name."""
    if isinstance(value, list):
        return [_filled(part, f"{place}.{number}", sources) for number, part in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    own = {name: _filled(part, f"{place}.{name}", sources) for name, part in value.items() if name != "like"}
    return _merged(_taken(value["like"], f"{place}.like".lstrip("."), sources), own) if "like" in value else own


def _check_size(table: dict[str, Any]) -> None:
    """Raise InputError for a table that grew out of all proportion, as one does that doubles with every file."""
    if _count(table) > MAX_VALUES:
        raise InputError(f"with what it takes over it has more than {MAX_VALUES:,} values; no experiment needs as many")


def _count(value: Any) -> int:
    parts = value if isinstance(value, list) else value.values() if isinstance(value, Mapping) else ()
    return 1 + sum(map(_count, parts))


def _taken(like: str, place: str, sources: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the table that a ``like`` refers to."""
    name, _, part = like.partition("#")
    found: Any = sources[name]
    for step in part.split(".") if part else ():
        parts = dict(enumerate(found)) if isinstance(found, list) else found if isinstance(found, Mapping) else {}
        known = {str(key): inner for key, inner in parts.items()}
        if step not in known:
            raise InputError(f"{place} = {brief(like)}: {unknown('place', step, known)}")
        found = known[step]
    if not isinstance(found, Mapping):
        raise InputError(f"{place} = {brief(like)} refers to {brief(found)}; a table is needed")
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
