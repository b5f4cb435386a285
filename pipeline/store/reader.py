"""Read the rows of a stage by video id."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.errors import InputError
from pipeline.files.atomic import quarantine
from pipeline.rows import Failure, Partial, Row, is_reserved, variant_number
from pipeline.store.layout import DAMAGE, attributes_of, failure_of, failure_path, open_sealed, row_path
from pipeline.store.links import holds, link_at, linked_shard, links_in
from pipeline.store.open_files import OpenFile


def provenance(path: Path) -> dict[str, Any]:
    """Return what a sealed file says of its origin. Raises DamagedStore where it is damaged, and quarantines it."""
    try:
        with open_sealed(path) as file:
            return dict(json.loads(file.attrs["provenance"]))
    except DAMAGE as error:
        quarantine(path, error)


class Store:
    """Rows of one stage, read by video id from its index, or from one shard.

    Files open at first use, and anew in every process, so that a store can be pickled. Every method raises
    DamagedStore where a file is damaged, or belongs elsewhere, and quarantines it: run again to make it anew. It raises
    HeldOpen where another program goes on writing to one.

    Parameters
    ----------
    index
        The stage's ``index.h5``, or one of its shards.
    """

    def __init__(self, index: Path) -> None:
        self.index = index
        self._files: dict[Path, OpenFile] = {}

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
        shard = self._shard(place)
        with self._reading(shard) as file:
            group = file[place]
            names = list(group)
            read = {name: group[name][part] for name in names if arrays is None or name in arrays}
            attributes = attributes_of(group)
        if arrays is not None and (missing := set(arrays) - set(names)):
            raise InputError(f"{shard}: {place} has no {', '.join(sorted(missing))}; it has {', '.join(names)}")
        return Row(read, attributes)

    def partial(self, video: str, variant: int = 0) -> dict[str, Partial]:
        """Return one row's arrays by name, each read only where it is indexed.

        Raises
        ------
        KeyError
            Where the store has no such row.
        """
        place = row_path(video, variant)
        shard = self._shard(place)
        with self._reading(shard) as file:
            return {name: _StoredArray(self._files[shard], f"{place}/{name}") for name in file[place]}

    def rows(self, video: str, arrays: Sequence[str] | None = None) -> list[Row]:
        """Read all variants of a video, in order; parameters as for ``read``."""
        return [self.read(video, variant, arrays) for variant in range(self.variants(video))]

    def variants(self, video: str) -> int:
        """Count the rows of a video; 0 where it has none."""
        with self._reading(self.index) as file:
            place = f"videos/{video}"
            return sum(variant_number(name) is not None for name in (file[place] if holds(file, place) else ()))

    def failures(self) -> dict[str, Failure]:
        """Return, by id, why videos have no rows."""
        found: dict[str, Failure] = {}
        for video in self._ids("failures"):
            with self._reading(self._shard(failure_path(video))) as file:
                found[video] = failure_of(file[failure_path(video)])
        return found

    def ids(self) -> list[str]:
        """Return the ids of all videos that have rows, sorted."""
        return self._ids("videos")

    def _ids(self, kind: str) -> list[str]:
        found: set[str] = set()
        with self._reading(self.index) as file:
            for place, link in links_in(file[kind]) if holds(file, kind) else ():
                if not isinstance(link, h5py.HardLink):
                    linked_shard(place, link)
                video, _, name = place.removeprefix(f"{kind}/").rpartition("/")
                if is_reserved(name):
                    found.add(video)
        return sorted(found)

    def _shard(self, place: str) -> Path:
        """Return the file that holds a row or a failure; an index that links what its shard lacks is quarantined."""
        with self._reading(self.index) as file:
            link = link_at(file, place)
        if link is None:
            raise KeyError(f"{self.index} has no {place}: ids() lists the videos, failures() those without rows")
        if not isinstance(link, h5py.ExternalLink):
            return self.index
        shard: Path = self.index.parent / link.filename
        with self._reading(shard) as file:
            exists = holds(file, place)
        if not exists:
            quarantine(self.index, ValueError(f"it links {place}, which {shard.name} does not hold"))
        return shard

    def _reading(self, path: Path) -> AbstractContextManager[h5py.File]:
        return self._files.setdefault(path, OpenFile(path)).reading()


class _StoredArray:
    """An array in a store, which is opened again where its file was closed in the meantime."""

    def __init__(self, file: OpenFile, place: str) -> None:
        self._file, self._place = file, place
        self._opened: tuple[h5py.File, h5py.Dataset] | None = None

    def __getitem__(self, part: Any) -> np.ndarray:
        with self._file.reading() as file:
            if self._opened is None or self._opened[0] is not file:
                self._opened = file, file[self._place]
            return self._opened[1][part]  # type: ignore[no-any-return]
