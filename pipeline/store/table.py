"""Table of a file: where each of its rows and failures lies, so that one is read without asking HDF5.

As text, a table's first line says what lies in the file and what an index links; a line a row or failure follows.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from pipeline.files.place import Contradiction
from pipeline.rows import Failure, Row
from pipeline.store.arrays import StoredArray
from pipeline.store.links import is_beside

Attributes = dict[str, float | int | str]


class Item(NamedTuple):
    """A row or a failure in a file.

    Attributes
    ----------
    attributes
        Attributes of the row or of the reason.
    arrays
        The row's arrays by name; none of a failure.
    reason
        Why a video has no rows; None of a row.
    """

    attributes: Attributes
    arrays: dict[str, StoredArray]
    reason: str | None = None

    @property
    def failure(self) -> Failure:
        """The failure, where it is one."""
        return Failure(self.reason or "", int(self.attributes["frames_decoded"]))

    def row(self, file: int) -> Row:
        """Read the row from the file with this descriptor. Raises Contradiction where it is damaged."""
        return Row({name: array.read(file) for name, array in self.arrays.items()}, self.attributes)


compact = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=np.generic.item).encode
"""Returns JSON in ASCII, with sorted keys and no spaces."""
_decode = json.JSONDecoder().raw_decode


@dataclass
class Table:
    """What lies in a file.

    Attributes
    ----------
    keys
        The key of each row or failure, in the order of the file.
    places
        Their paths.
    entries
        What they are; as a line of text where that was read from a file, which is parsed when it is asked for.
    links
        Name of the shard that holds it, by the path of each row or failure that an index links.
    """

    keys: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    entries: list[Item | str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)

    @cached_property
    def by_key(self) -> dict[str, Item]:
        """Items by key."""
        return dict(zip(self.keys, map(_parsed, self.entries), strict=True))

    @property
    def items(self) -> Iterable[tuple[str, Item]]:
        """Place and item of each row and failure in the file."""
        return zip(self.places, map(_parsed, self.entries), strict=True)

    def item(self, place: str) -> Item:
        """Return the item at a place in the file. Raises KeyError where there is none."""
        return _parsed(self._by_place[place])

    def contains(self, place: str) -> bool:
        """Return whether a row or a failure is in the file itself."""
        return place in self._by_place

    def holds(self, place: str) -> bool:
        """Return whether a row or a failure is in the file, or linked."""
        return place in self.links or place in self._by_place

    @property
    def all_places(self) -> Iterable[str]:
        """Places of all rows and failures, in the file and linked."""
        return chain(self.places, self.links)

    def add(self, place: str, item: Item) -> None:
        """Add a row or a failure."""
        self.keys.append(str(item.attributes["key"]))
        self.places.append(place)
        self.entries.append(item)

    def text(self) -> bytes:
        """Return the table as it lies in a file."""
        linked: dict[str, list[str]] = {}
        for place, shard in self.links.items():
            linked.setdefault(shard, []).append(place)
        first = {"keys": self.keys, "links": linked, "places": self.places}
        return "\n".join([compact(first), *map(_line, self.entries)]).encode()

    def same_as(self, other: "Table") -> bool:
        """Return whether another table says the same, be it in another order."""
        return self._said() == other._said()

    def _said(self) -> tuple[list[tuple[str, str, str]], dict[str, str]]:
        return sorted(zip(self.places, self.keys, map(_line, self.entries), strict=True)), self.links

    @cached_property
    def _by_place(self) -> dict[str, Item | str]:
        return dict(zip(self.places, self.entries, strict=True))


def _parsed(entry: Item | str) -> Item:
    if isinstance(entry, Item):
        return entry
    (attributes, arrays, reason), _ = _decode(entry)
    return Item(attributes, {name: StoredArray._make(array) for name, array in arrays.items()}, reason)


def _line(entry: Item | str) -> str:
    return compact(entry) if isinstance(entry, Item) else entry


def table_of(text: bytes) -> Table:
    """Return the table that a text tells. Raises Contradiction where it is none."""
    try:
        first, *lines = text.decode("ascii").split("\n")
        read: Mapping[str, Any] = json.loads(first)
        links = {place: shard for shard, places in read["links"].items() for place in places}
        table = Table(read["keys"], read["places"], [*lines], links)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Contradiction(f"its table is none ({error})") from None
    if stray := [shard for shard in read["links"] if not is_beside(shard)]:
        raise Contradiction(f"its table links {stray[0]}, which is not beside it")
    if not len(table.keys) == len(table.places) == len(lines):
        raise Contradiction(f"its table names {len(table.places)} rows and failures, and describes {len(lines)}")
    return table
