"""Read the rows of a stage by video id."""

import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.files.atomic import quarantine
from pipeline.files.place import Contradiction
from pipeline.rows import Failure, Partial, Row
from pipeline.store.arrays import StoredArray
from pipeline.store.layout import DAMAGE, failure_path, open_file, row_path
from pipeline.store.open_files import OpenFile
from pipeline.store.table import Item, Table


def provenance(path: Path) -> dict[str, Any]:
    """Return what a sealed file says of its origin. Raises DamagedStore where it is damaged, and quarantines it."""
    try:
        with open_file(path) as file:
            return dict(json.loads(file.attrs["provenance"]))
    except DAMAGE as error:
        quarantine(path, error)


class Store:
    """Rows of one stage, read by video id from its index, or from one shard.

    Files open at first use, so that a store can be pickled. Every method raises
    DamagedStore where a file is damaged, or belongs elsewhere, and quarantines it: run again to make it anew. It raises
    HeldOpen where another program goes on writing to one.

    Parameters
    ----------
    index
        The stage's ``index.h5``, or one of its shards.
    """

    def __init__(self, index: Path) -> None:
        self.index = index
        self._files: dict[str, OpenFile] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"index": self.index, "_files": {}}

    def read(
        self, video: str, variant: int = 0, arrays: Sequence[str] | None = None, part: slice | int | tuple[()] = ()
    ) -> Row:
        """Read one row into memory.

        Parameters
        ----------
        video
            The video's id.
        variant
            0 for the video as it is, others for augmented copies.
        arrays
            Names of the arrays to read; None for all.
        part
            Index or slice of each array's first axis; () for the whole array.

        Returns
        -------
        Row
            The arrays, and the row's attributes.

        Raises
        ------
        KeyError
            Where the store has no such row.
        InputError
            Where the row has no such array.
        """
        place = row_path(video, variant)
        with self._holding(place) as opened:
            item = self._item(opened, place)
            names = item.arrays if arrays is None else [name for name in item.arrays if name in arrays]
            read = {name: item.arrays[name].read(opened.file, part) for name in names}
        if arrays is not None and (missing := set(arrays).difference(names)):
            raise InputError(
                f"{opened.path}: {place} has no {', '.join(sorted(missing))}; it has {', '.join(item.arrays)}"
            )
        return Row(read, item.attributes)

    def partial(self, video: str, variant: int = 0) -> dict[str, Partial]:
        """Return one row's arrays by name, each read only where it is indexed.

        Raises
        ------
        KeyError
            Where the store has no such row.
        """
        place = row_path(video, variant)
        with self._holding(place) as opened:
            return {name: _Part(opened, place, name) for name in self._item(opened, place).arrays}

    def rows(self, video: str, arrays: Sequence[str] | None = None) -> list[Row]:
        """Read all variants of a video, in order; parameters as for ``read``."""
        return [self.read(video, variant, arrays) for variant in range(self.variants(video))]

    def variants(self, video: str) -> int:
        """Count the rows of a video; 0 where it has none."""
        return next(variant for variant in count() if not self._table.holds(row_path(video, variant)))

    def failures(self) -> dict[str, Failure]:
        """Return, by id, why videos have no rows."""
        found: dict[str, Failure] = {}
        for video in self._ids("failures"):
            with self._holding(failure_path(video)) as opened:
                found[video] = self._item(opened, failure_path(video)).failure
        return found

    def ids(self) -> list[str]:
        """Return the ids of all videos that have rows, sorted."""
        return self._ids("videos")

    def _ids(self, kind: str) -> list[str]:
        places = (place.removeprefix(f"{kind}/") for place in self._table.all_places if place.startswith(f"{kind}/"))
        return sorted({place.rpartition("/")[0] for place in places})

    @property
    def _table(self) -> Table:
        return self._opened(self.index.name).current_table

    def _holding(self, place: str) -> OpenFile:
        """Return the file that holds a row or a failure. Raises KeyError where none does."""
        table = self._table
        shard = table.links.get(place)
        if shard is None and not table.contains(place):
            raise KeyError(f"{self.index} has no {place}: ids() lists the videos, failures() those without rows")
        return self._opened(shard or self.index.name)

    def _item(self, opened: OpenFile, place: str) -> Item:
        """Return a row or a failure of an open file; an index that links what it lacks is quarantined."""
        if not opened.table.contains(place):
            quarantine(self.index, ValueError(f"it links {place}, which {opened.path.name} does not hold"))
        return opened.table.item(place)

    def _opened(self, name: str) -> OpenFile:
        if name not in self._files:
            self._files[name] = OpenFile(self.index.parent / name)
        return self._files[name]


class _Part:
    """An array in a store, of which only what is indexed is read."""

    def __init__(self, file: OpenFile, place: str, name: str) -> None:
        self._file, self._place, self._name = file, place, name
        self._found: tuple[Table, StoredArray] | None = None

    def __getitem__(self, part: Any) -> np.ndarray:
        with self._file as opened:
            if self._found is None or self._found[0] is not opened.table:
                try:
                    self._found = opened.table, opened.table.item(self._place).arrays[self._name]
                except KeyError:
                    raise Contradiction(f"it no longer holds {self._name} of {self._place}") from None
            return self._found[1].read(opened.file, part)
