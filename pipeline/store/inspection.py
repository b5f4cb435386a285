"""Inspect the files of a store: nothing is changed, and nothing is quarantined."""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from safetensors import SafetensorError, safe_open

from pipeline.errors import InputError
from pipeline.files.place import Contradiction, check_place
from pipeline.rows import Failure, Row, variant_number
from pipeline.scoring import scores
from pipeline.store import layout
from pipeline.store.arrays import StoredArray
from pipeline.store.layout import open_file, row_path
from pipeline.store.log import SUFFIX
from pipeline.store.log_reader import LogReader
from pipeline.store.sealed import load_table
from pipeline.store.table import Item, Table

Shape = tuple[int, ...]


@dataclass(slots=True)
class ArrayExtent:
    """Extent of an array of one name over all rows.

    Attributes
    ----------
    dtypes
        Names of its types.
    smallest, largest
        Least and greatest length of each axis.
    rows
        Number of rows that have it.
    bytes
        Size in memory of all of them together.
    """

    dtypes: set[str] = field(default_factory=set)
    smallest: Shape = ()
    largest: Shape = ()
    rows: int = 0
    bytes: int = 0

    def add(self, array: StoredArray) -> None:
        """Add one row's array to the extent."""
        shape, dtype = tuple(array.shape), np.dtype(array.dtype)
        self.dtypes.add(str(dtype))
        self.smallest = tuple(map(min, self.smallest, shape)) if self.rows else shape
        self.largest = tuple(map(max, self.largest, shape)) if self.rows else shape
        self.rows += 1
        self.bytes += dtype.itemsize * math.prod(shape)


@dataclass(slots=True)
class Contents:
    """Contents of some shards.

    Attributes
    ----------
    keys
        The rows' keys of each video that has rows, by id.
    failed
        The key of each video without rows, by id.
    failures
        Why videos have no rows, by id.
    arrays
        Extents of the arrays, by name.
    """

    keys: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    arrays: dict[str, ArrayExtent] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of rows of all videos together."""
        return sum(map(len, self.keys.values()))


def contents(shards: Iterable[Path]) -> Contents:
    """List what some shards hold, without reading the arrays. Raises InputError where a shard is damaged."""
    found = Contents()
    for shard in shards:
        for place, item in sorted(_table(shard).items, key=lambda entry: _number(entry[0])):
            _note(found, place, item)
    return found


def linked(index: Path) -> list[Path]:
    """Return the shards that an index links, whether they exist or not; of a shard, the shard itself."""
    table = _table(index)
    return sorted({index.parent / shard for shard in table.links.values()}) or ([index] if table.places else [])


def read(shard: Path, video: str) -> list[Row]:
    """Read all variants of a video, in order; none where the shard has no such video."""
    table, variants = _table(shard), count()
    places = takewhile(table.contains, (row_path(video, variant) for variant in variants))
    with _explaining(shard), shard.open("rb", buffering=0) as file:
        return [table.item(place).row(file.fileno()) for place in places]


def is_sealed(path: Path) -> bool:
    """Return whether a HDF5 file carries provenance, as a store's shards and indices do."""
    with _reading(path) as file:
        return "provenance" in file.attrs


def journaled_for(path: Path) -> str | None:
    """Return the fingerprint of the stage for which a journal's file was written; None where it states none."""
    if path.suffix == SUFFIX:
        with _explaining(path), LogReader(path) as log:
            return log.stage or None
    with _reading(path) as file:
        stated = file.attrs.get("fingerprint")
    return stated.decode(errors="replace") if isinstance(stated, bytes) else None


def format_of(path: Path) -> str:
    """The version of the layout that a file of rows has."""
    with _reading(path) as file:
        return layout.format_of(file)


def datasets(path: Path) -> list[str]:
    """Return the paths of all arrays in any HDF5 file."""
    found: list[str] = []

    def note(place: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(place)

    with _reading(path) as file:
        file.visititems(note)
    return found


def array(path: Path, place: str) -> Any:
    """Read one array of any HDF5 file."""
    with _reading(path) as file:
        return np.asarray(file[place][()])


class Tensor(NamedTuple):
    """Type, by safetensors' name for it, and shape of a tensor in a file of weights."""

    dtype: str
    shape: Shape


def tensors(path: Path) -> dict[str, Tensor]:
    """List the tensors of a file of weights by name, without reading them. Raises InputError where it is damaged."""
    with _weights(path) as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    return {name: Tensor(part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}


def provenance(path: Path) -> dict[str, Any]:
    """Return what a file of a store says of its origin: a shard, an index, weights, scores, or a report's figures.

    Raises InputError where it says nothing, or is damaged.
    """
    if path.suffix not in _PROVENANCE_READERS:
        raise InputError(f"{path} is no file of a store: one ending in {', '.join(_PROVENANCE_READERS)} is needed")
    try:
        return dict(_PROVENANCE_READERS[path.suffix](path))
    except InputError:
        raise
    except Contradiction as error:
        raise _damaged(path, error) from None
    except Exception as error:  # damaged bytes may end the reading of them in any way
        raise InputError(f"{path} is damaged, or was not made by kinescope: it has no provenance") from error


def check(index: Path) -> None:
    """Raise InputError where an index links what its shards do not hold; shards that do not exist are passed over."""
    links = _table(index).links
    tables = {name: _table(shard) for name in set(links.values()) if (shard := index.parent / name).exists()}
    for place, name in links.items():
        if name in tables and not tables[name].contains(place):
            raise InputError(f"it links {place}, which {name} does not hold")


def _note(found: Contents, place: str, item: Item) -> None:
    video = place.partition("/")[2].rpartition("/")[0]
    key = str(item.attributes["key"])
    if item.reason is not None:
        found.failures[video] = item.failure
        found.failed[video] = key
        return
    found.keys.setdefault(video, []).append(key)
    for name, array in item.arrays.items():
        found.arrays.setdefault(name, ArrayExtent()).add(array)


def _number(place: str) -> int:
    """Return the number of a row's variant, as names would sort wrongly, or 0 for a failure."""
    return variant_number(place.rpartition("/")[2]) or 0


def _table(path: Path) -> Table:
    with _explaining(path):
        return load_table(path)


@contextmanager
def _reading(path: Path) -> Iterator[h5py.File]:
    with _explaining(path), open_file(path) as file:
        yield file


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, KeyError, RuntimeError) as error:
        raise InputError(f"{path} is damaged, or no HDF5 file ({error}): kinescope verify sets it aside") from None
    except Contradiction as error:
        raise _damaged(path, error) from None


@contextmanager
def _weights(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, "numpy") as file:
            check_place(path, (file.metadata() or {}).get("provenance"))
            yield file
    except (SafetensorError, Contradiction) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is damaged ({error}): kinescope verify sets it aside")


def _of_rows(path: Path) -> dict[str, Any]:
    with _reading(path) as file:
        return dict(json.loads(file.attrs["provenance"]))


def _of_weights(path: Path) -> dict[str, Any]:
    with _weights(path) as file:
        return dict(json.loads(file.metadata()["provenance"]))


def _of_figures(path: Path) -> dict[str, Any]:
    told = json.loads(path.read_text())["provenance"]
    if "stage" in told:  # predictions
        return dict(told)
    components, fingerprint = told["experiment"], told.get("fingerprint", "")
    return {"stage": "Evaluate", "fingerprint": fingerprint, "components": components, "upstream": {}}


_PROVENANCE_READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".h5": _of_rows,
    ".safetensors": _of_weights,
    ".npz": scores.provenance,
    ".json": _of_figures,
}
