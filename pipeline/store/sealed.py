"""Load the tables of a store's files, and verify these."""

from pathlib import Path

import h5py

from pipeline.files.atomic import quarantine
from pipeline.files.place import Contradiction
from pipeline.store.layout import DAMAGE, FORMAT_1, TABLE, format_of, open_file
from pipeline.store.log import SUFFIX
from pipeline.store.log_reader import table_of_log
from pipeline.store.structure import walk
from pipeline.store.table import Table, table_of


def load_table(path: Path) -> Table:
    """Return the table of a shard, an index or a log. Raises as ``open_file``; a damaged file stays where it is."""
    if path.suffix == SUFFIX:
        return table_of_log(path)
    with open_file(path) as file:
        return walk(path, file) if format_of(file) == FORMAT_1 else _stated(file)


def sealed_table(path: Path) -> Table:
    """Return the table of a sealed file. Raises DamagedStore where it is damaged, and quarantines it."""
    try:
        return load_table(path)
    except DAMAGE as error:
        quarantine(path, error)


def verify(path: Path) -> None:
    """Read every array of a file, and compare its table with what HDF5 finds.

    Raises DamagedStore where they differ, an array is damaged, or the file belongs elsewhere, and quarantines it;
    otherwise as ``open_file``.
    """
    try:
        if path.suffix == SUFFIX:
            read_all(path)
        else:
            _compare(path)
    except DAMAGE as error:
        quarantine(path, error)


def read_all(path: Path) -> None:
    """Read every chunk of a file by its table. Raises as ``load_table``, and Contradiction where one is damaged."""
    table = load_table(path)
    with path.open("rb", buffering=0) as file:
        for _, item in table.items:
            for array in item.arrays.values():
                for number in range(array.chunks):
                    array.chunk(file.fileno(), number)


def _compare(path: Path) -> None:
    def read(_: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            item[()]

    with open_file(path) as file:
        found = walk(path, file)
        file.visititems(read)
        if format_of(file) == FORMAT_1:
            return
        stated = _stated(file)
    if not stated.same_as(found):
        raise Contradiction("its table is not that of what it holds")


def _stated(file: h5py.File) -> Table:
    text = file[TABLE][0]
    if not isinstance(text, bytes):
        raise Contradiction("its table is no text")
    return table_of(text)
