"""Recipe files: where the bundled ones are, and what one takes from another.

A table of a recipe may say ``like``: it is then as that table of the other recipe, but for what it says itself.

    like = "ucf101-c3d-t25"                                  # the whole of a bundled recipe
    like = "mine.toml"                                       # of a file, by its path from the folder of this one
    extractor = { like = "ucf101-flow#streams.0.extractor" } # one table of it

Tables are merged, name by name; numbers, texts and lists take the place of what was there, and so does a table of
another ``name``, which is another thing. A title, and what a paper reported, are never taken over.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pipeline.config import read_toml, unknown
from pipeline.errors import InputError

BUNDLED = Path(__file__).parent / "experiments"
OWN = ("title", "reported")
"""What a recipe must say itself."""


def bundled() -> list[str]:
    """Names of the bundled recipes."""
    return sorted(path.stem for path in BUNDLED.glob("*.toml"))


def matching(pattern: str) -> list[str]:
    """The bundled names that a pattern such as ``kth1-*`` stands for, or itself where it stands for none."""
    return [name for name in bundled() if fnmatchcase(name, pattern)] or [pattern]


def located(name_or_path: str, folder: Path = Path()) -> Path:
    """The file of a bundled recipe, or of a path from ``folder``. Raises InputError that says what would be right."""
    names = bundled()
    if name_or_path in names:
        return BUNDLED / f"{name_or_path}.toml"
    if Path(name_or_path).suffix != ".toml":
        raise InputError(unknown("experiment", name_or_path, names) + "; or give the path of a .toml file")
    return folder / name_or_path


def resolved(path: Path, via: tuple[Path, ...] = ()) -> dict[str, Any]:
    """What a recipe's file says, and what it takes from others.

    via: the files that led here. Raises InputError, which names the file, where one is missing or malformed, takes from
    what there is not, or from itself.
    """
    chain = (*via, path)
    if path.resolve() in (each.resolve() for each in via):
        raise InputError(f"like goes in a circle: {' → '.join(each.name for each in chain)}")
    table = read_toml(path)
    try:
        filled: dict[str, Any] = _filled(table, "", chain)
    except InputError as error:
        raise InputError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    return filled


def _filled(value: Any, place: str, chain: tuple[Path, ...]) -> Any:
    """A value of the chain's last file with every ``like`` in it replaced by what that stands for."""
    if isinstance(value, list):
        return [_filled(part, f"{place}.{number}", chain) for number, part in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    own = {name: _filled(part, f"{place}.{name}", chain) for name, part in value.items() if name != "like"}
    return _merged(_taken(value["like"], place, chain), own) if "like" in value else own


def _taken(like: Any, place: str, chain: tuple[Path, ...]) -> dict[str, Any]:
    """The table that a ``like`` stands for."""
    here = f"{place}.like".lstrip(".")
    if not isinstance(like, str):
        raise InputError(f"{here}: the name or path of an experiment is needed, in quotes, not {like!r}")
    name, _, part = like.partition("#")
    try:
        path = located(name, chain[-1].parent)
    except InputError as error:
        raise InputError(f"{here}: {error}") from None
    found: Any = resolved(path, chain)
    for step in part.split(".") if part else ():
        parts = dict(enumerate(found)) if isinstance(found, list) else found if isinstance(found, Mapping) else {}
        known = {str(key): inner for key, inner in parts.items()}
        if step not in known:
            raise InputError(f"{here} = {like!r}: {unknown('place', step, known)}")
        found = known[step]
    if not isinstance(found, Mapping):
        raise InputError(f"{here} = {like!r} is no table, but {found!r}")
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
