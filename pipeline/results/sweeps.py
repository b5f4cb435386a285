"""Finds experiments that differ in one number alone, such as steps, depth or width."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
FEWEST = 3
"""With fewer values there is no curve to see."""
_ABSENT = "none"


@dataclass(frozen=True, slots=True)
class Sweep(Generic[T]):
    """Outcomes against one parameter; ``lines``: by what else tells experiments apart, outcomes by rising value."""

    parameter: str
    lines: Mapping[str, Mapping[float, T]]

    @property
    def values(self) -> list[float]:
        """List all values that any line has, rising."""
        return sorted({value for line in self.lines.values() for value in line})


def flat(table: Any, place: str = "") -> dict[str, Any]:
    """Every number, text and truth value in nested tables and lists, by its dotted place."""
    if isinstance(table, Mapping | list):
        parts = table.items() if isinstance(table, Mapping) else enumerate(table)
        return {key: value for name, part in parts for key, value in flat(part, f"{place}.{name}").items()}
    return {place.removeprefix("."): table}


def sweeps(experiments: Sequence[tuple[Mapping[str, Any], T]]) -> Iterator[Sweep[T]]:
    """Find each parameter that has three values or more in experiments that are otherwise alike.

    experiments: of each its parameters, as ``flat`` gives them, and what came out. Parameters that always change
    together are one; experiments without a neighbour that differs in the parameter alone are left out of its curve.
    """
    columns = _columns([parameters for parameters, _ in experiments])
    for column, values in columns.items():
        others = {name: rest for name, rest in columns.items() if name != column}
        lines: dict[tuple[Any, ...], dict[float, T]] = {}
        for place, value in enumerate(values):
            if isinstance(value, int | float) and not isinstance(value, bool):
                kin = tuple(rest[place] for rest in others.values())
                lines.setdefault(kin, {})[value] = experiments[place][1]
        curves = {kin: dict(sorted(line.items())) for kin, line in lines.items() if len(line) >= FEWEST}
        if curves:
            yield Sweep(column, dict(zip(_labels(list(others), list(curves)), curves.values(), strict=True)))


def _columns(tables: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """By name the values of every parameter in which experiments differ, in the experiments' order."""
    together: dict[tuple[tuple[type, Any], ...], list[str]] = {}
    for place in dict.fromkeys(place for table in tables for place in table):
        values = tuple((type(table.get(place)), table.get(place)) for table in tables)  # True is no 1
        if len(set(values)) > 1:
            together.setdefault(values, []).append(place)
    columns = [tuple(value for _, value in values) for values in together]
    return dict(zip(_names(list(together.values())), columns, strict=True))


def _names(groups: Sequence[Sequence[str]]) -> list[str]:
    """For each group of places the shortest of their ends that no other group has."""

    def ends(places: Sequence[str], parts: int) -> set[str]:
        return {".".join(place.split(".")[-parts:]) for place in places}

    names = []
    for group in groups:
        rest = [place for other in groups if other is not group for place in other]
        longest = max(place.count(".") + 1 for place in group)
        parts = next((n for n in range(1, longest) if not ends(group, n) & ends(rest, n)), longest)
        names.append(" = ".join(sorted(ends(group, parts))))
    return names


def _labels(names: Sequence[str], kin: Sequence[tuple[Any, ...]]) -> list[str]:
    """What tells lines apart, in words; a single one needs none."""
    telling = [place for place in range(len(names)) if len({values[place] for values in kin}) > 1]
    return [", ".join(_said(names[place], values[place]) for place in telling) or "measured" for values in kin]


def _said(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"no {name}"
    return value if isinstance(value, str) else f"{name} {_ABSENT if value is None else f'{value:g}'}"
