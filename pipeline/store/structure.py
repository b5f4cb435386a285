"""Find rows and failures by HDF5's own structure: files of format 1 have no table, and others' are compared with it."""

import os
from pathlib import Path

import h5py
import numpy as np

from pipeline.errors import InputError
from pipeline.files.place import Contradiction
from pipeline.store.arrays import CHECKSUM_BYTES, StoredArray
from pipeline.store.links import linked_shard, links_in
from pipeline.store.table import Attributes, Item, Table


def walk(path: Path, file: h5py.File) -> Table:
    """Return a table of what lies in a file, found object by object.

    Parameters
    ----------
    path
        The file.
    file
        The same, open.

    Raises
    ------
    Contradiction
        Where a link leads anywhere but to a shard beside it, or a chunk is missing.
    InputError
        Where an array is not laid out as a store's are.
    """
    found = Table()
    for place, link in links_in(file):
        if not isinstance(link, h5py.HardLink):
            found.links[place] = linked_shard(place, link)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        for place, held in _held(file):
            found.add(place, _item(descriptor, held))
    finally:
        os.close(descriptor)
    return found


def _held(file: h5py.File) -> list[tuple[str, "h5py.Group | h5py.Dataset"]]:
    """Return path and object of every row and failure; those behind an index's links are not in the file."""
    found: list[tuple[str, h5py.Group | h5py.Dataset]] = []

    def note(place: str, item: h5py.Group | h5py.Dataset) -> None:
        if "key" in item.attrs:
            found.append((place, item))

    file.visititems(note)
    return found


def _item(descriptor: int, held: "h5py.Group | h5py.Dataset") -> Item:
    if isinstance(held, h5py.Dataset):
        return Item(_attributes(held), {}, held[0].decode())
    return Item(_attributes(held), {name: _array(descriptor, held[name]) for name in held})


def _attributes(held: "h5py.Group | h5py.Dataset") -> Attributes:
    """Return the attributes of an object as Python values."""
    values = {name: value.item() if isinstance(value, np.generic) else value for name, value in held.attrs.items()}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


def _array(descriptor: int, held: h5py.Dataset) -> StoredArray:
    if held.shape == ():
        return StoredArray(held.dtype.str, (), 0, value=np.asarray(held[()], held.dtype).tobytes().hex())
    if not held.size:
        return StoredArray(held.dtype.str, held.shape, 0)
    if held.chunks is None or held.chunks[1:] != held.shape[1:] or not held.fletcher32 or held.compression is not None:
        raise InputError(
            f"{held.file.filename}: {held.name} is no array of a store: these have checked chunks of whole entries"
        )
    array = StoredArray(held.dtype.str, held.shape, held.chunks[0])
    chunks = sorted(held.id.get_chunk_info(number) for number in range(held.id.get_num_chunks()))
    if len(chunks) != array.chunks or any(chunk.size != array.chunk_bytes + CHECKSUM_BYTES for chunk in chunks):
        raise Contradiction(f"{held.name} lacks some of its chunks")
    offsets = tuple(chunk.byte_offset for chunk in chunks)
    stored = (os.pread(descriptor, CHECKSUM_BYTES, offset + array.chunk_bytes) for offset in offsets)
    return array._replace(offsets=offsets, checksums=tuple(int.from_bytes(each, "little") for each in stored))
