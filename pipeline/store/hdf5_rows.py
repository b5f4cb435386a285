"""Write rows, failures and their table into an HDF5 file, by the shortest of HDF5's ways."""

from functools import lru_cache
from itertools import accumulate
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5p, h5s, h5t

from pipeline.store.arrays import StoredArray
from pipeline.store.layout import TABLE, fixed_text
from pipeline.store.table import Item, Table

_LINK = h5p.create(h5p.LINK_CREATE)
_LINK.set_create_intermediate_group(True)
_LINK.set_char_encoding(h5t.CSET_UTF8)
_GROUP = h5p.create(h5p.GROUP_CREATE)
_GROUP.set_obj_track_times(False)
_SCALAR = h5s.create(h5s.SCALAR)


class NewRows:
    """Rows and failures that are written into a new file, one after another, and what its table will say of them.

    Parameters
    ----------
    file
        The file.
    """

    def __init__(self, file: h5py.File) -> None:
        self.file = file.id
        self.table = Table()
        self._parents: set[str] = set()

    def add(self, place: str, item: Item, source: int) -> None:
        """Copy a row or a failure from another file.

        Parameters
        ----------
        place
            Its path.
        item
            What it is, and where it lies in the other file.
        source
            Descriptor of the other file.

        Raises
        ------
        Contradiction
            Where a chunk of the other file is damaged.
        """
        if item.reason is None:
            group = h5g.create(self.file, place.encode(), _LINK, _GROUP)
            arrays = {name: _copy(group, name, array, source) for name, array in item.arrays.items()}
            _attributes(group, item)
            self.table.add(place, item._replace(arrays=arrays))
        else:
            self._make_parent(place)
            _attributes(write_string(self.file, place, item.reason.encode()), item)
            self.table.add(place, item)

    def link(self, place: str, shard: str) -> None:
        """Link what another file of the same folder holds at the same path."""
        self._make_parent(place)
        self.file.links.create_external(place.encode(), shard.encode(), place.encode(), _LINK)
        self.table.links[place] = shard

    def _make_parent(self, place: str) -> None:
        """Make the group of a place: HDF5 does so by itself, but notes the time."""
        parent = place.rpartition("/")[0]
        if parent not in self._parents:
            h5g.create(self.file, parent.encode(), _LINK, _GROUP)
            self._parents.update(accumulate(parent.split("/"), "{}/{}".format))

    def close(self) -> None:
        """Write the table."""
        write_string(self.file, TABLE, self.table.text())


def write_string(parent: Any, place: str, text: bytes) -> Any:
    """Write an array of one string, and return it: a single one would have no checksum."""
    value = np.array([text], f"S{max(1, len(text))}")
    dataset = _dataset(parent, place, StoredArray(value.dtype.str, (1,), 1))
    dataset.write(h5s.ALL, h5s.ALL, value)
    return dataset


def _copy(group: Any, name: str, array: StoredArray, source: int) -> StoredArray:
    """Copy an array chunk by chunk, and return where it lies now."""
    dataset = _dataset(group, name, array)
    if not array.shape:
        dataset.write(h5s.ALL, h5s.ALL, np.asarray(array.read(source)))
    others, offsets = (0,) * (len(array.shape) - 1), []
    for number in range(array.chunks):
        start = (number * array.entries, *others)
        dataset.write_direct_chunk(start, array.chunk(source, number))
        offsets.append(dataset.get_chunk_info_by_coord(start).byte_offset)
    return array._replace(offsets=tuple(offsets))


def _dataset(parent: Any, name: str, array: StoredArray) -> Any:
    """Create an array; where it has chunks they are checked, and an array without axes lies in its checked header."""
    space = _space(tuple(array.shape)) if array.shape else _SCALAR
    creation = _creation(array.chunk_shape, array.entries)
    return h5d.create(parent, name.encode(), _type(array.dtype), space, creation, _LINK)


def _attributes(parent: Any, item: Item) -> None:
    for name, value in item.attributes.items():
        stored = np.asarray(fixed_text(value) if isinstance(value, str) else value)
        if not stored.dtype.itemsize:  # an empty string
            stored = stored.astype("S1")
        h5a.create(parent, name.encode(), _type(stored.dtype.str), _SCALAR).write(stored)


@lru_cache(maxsize=1024)
def _type(dtype: str) -> Any:
    return h5t.py_create(np.dtype(dtype), logical=True)


@lru_cache(maxsize=1024)
def _space(shape: tuple[int, ...]) -> Any:
    return h5s.create_simple(shape)


@lru_cache(maxsize=1024)
def _creation(chunk: tuple[int, ...], entries: int) -> Any:
    """Return how an array is created: what was not written is never read, and no time is noted."""
    creation = h5p.create(h5p.DATASET_CREATE)
    creation.set_obj_track_times(False)
    creation.set_fill_time(h5d.FILL_TIME_NEVER)
    if entries:
        creation.set_chunk(chunk)
        creation.set_fletcher32()
    elif len(chunk) <= 1:
        creation.set_layout(h5d.COMPACT)
    return creation
