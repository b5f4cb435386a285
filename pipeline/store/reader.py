"""Read the rows of a stage by video id."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.errors import DamagedStore, InputError
from pipeline.files.atomic import quarantine
from pipeline.rows import Failure, Partial, Row, is_reserved, variant_number
from pipeline.store.layout import DAMAGE, attributes_of, failure_of, failure_path, open_sealed, row_path


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
    DamagedStore where a file is damaged, and quarantines it: run again to make it anew.

    Parameters
    ----------
    index
        The stage's ``index.h5``, or one of its shards.
    """

    def __init__(self, index: Path) -> None:
        self.index = index
        self._files: dict[Path, tuple[h5py.File, int]] = {}
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {"index": self.index, "_files": {}, "_process": -1}

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
        """Return one row's arrays by name, each read only where it is indexed, while its file is open.

        Raises
        ------
        KeyError
            Where the store has no such row.
        """
        place = row_path(video, variant)
        shard = self._shard(place)
        with self._reading(shard) as file:
            return {name: _StoredArray(self, shard, array) for name, array in file[place].items()}

    def rows(self, video: str, arrays: Sequence[str] | None = None) -> list[Row]:
        """Read all variants of a video, in order; parameters as for ``read``."""
        return [self.read(video, variant, arrays) for variant in range(self.variants(video))]

    def variants(self, video: str) -> int:
        """Count the rows of a video; 0 where it has none."""
        with self._reading(self.index) as file:
            group = file.get(f"videos/{video}", {})
            return sum(variant_number(name) is not None for name in group)

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

        def note(place: str, _: object) -> None:
            video, _, name = place.rpartition("/")
            if is_reserved(name):
                found.add(video)

        with self._reading(self.index) as file:
            if kind in file:
                file[kind].visititems_links(note)
        return sorted(found)

    def _shard(self, place: str) -> Path:
        """Return the file that holds a row or a failure; an index that links what its shard lacks is quarantined."""
        with self._reading(self.index) as file:
            link = file.get(place, getlink=True)
        if link is None:
            raise KeyError(f"{self.index} has no {place}: ids() lists the videos, failures() those without rows")
        if not isinstance(link, h5py.ExternalLink):
            return self.index
        shard: Path = self.index.parent / link.filename
        with self._reading(shard) as file:
            exists = place in file
        if not exists:
            quarantine(self.index, ValueError(f"it links {place}, which {shard.name} does not hold"))
        return shard

    @contextmanager
    def _reading(self, path: Path) -> Iterator[h5py.File]:
        if self._process != os.getpid():
            # Handles must not be shared over a fork, and closing them here would flush the parent's.
            self._files, self._process = {}, os.getpid()
        if path not in self._files:
            self._files[path] = (open_sealed(path), path.stat().st_ino)
        file, inode = self._files[path]
        try:
            yield file
        except DAMAGE as error:
            del self._files[path]
            file.close()
            if path.exists() and path.stat().st_ino == inode:
                quarantine(path, error)
            raise DamagedStore(f"{path} was damaged, and is being made anew by another run: run again") from None


@dataclass(frozen=True, slots=True)
class _StoredArray:
    """An array in a store, valid while the store has its file open in this process."""

    store: Store
    shard: Path
    array: h5py.Dataset

    def __getitem__(self, part: Any) -> np.ndarray:
        with self.store._reading(self.shard):
            return self.array[part]  # type: ignore[no-any-return]
