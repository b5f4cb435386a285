"""Stores of rows in HDF5: journal each finished video, seal whole shards, read by video id.

Layout of a journal file, a shard and an index alike::

    /videos/<video id>/variant-<n>/<array>      attributes of the group: key, source_digest, fps, frames, …
    /failures/<video id>/reason                 one string; attributes: key, frames_decoded

An index holds external links to the shards' variants and reasons. Plain HDF5 1.10 format, whose structures are
checksummed; every array is chunked and carries Fletcher-32 checksums, nothing is compressed.
"""

import json
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.errors import DamagedStore, InputError, UnusableVideo
from pipeline.files.atomic import set_aside, whole
from pipeline.files.crash_notes import NOTE, attempt
from pipeline.files.deferred_errors import LateErrors
from pipeline.rows import Failure, Keys, Partial, Row

CHUNK_BYTES = 1 << 20
RESERVED_NAME = re.compile(r"variant-\d+|reason")
"""No part of a video's id may look like this."""
_FORMAT = {"libver": ("v110", "v110")}
_DAMAGE = (OSError, KeyError, RuntimeError)
"""What h5py raises where a file is truncated or altered."""


class Journal:
    """Finished videos of one stage that no shard holds yet: one small file each, which appears atomically."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __contains__(self, keys: Keys) -> bool:
        return self.path(keys).exists()

    def path(self, keys: Keys) -> Path:
        """Where the video's file is, or will be."""
        return self.folder / f"{keys.name}.h5"

    def write(self, keys: Keys, rows: Iterable[Row]) -> None:
        """Keep one row a variant. Raises UnusableVideo where a number is not finite, having kept nothing."""
        rows = list(rows)
        if len(rows) != len(keys.variants):
            raise ValueError(f"{keys.id}: {len(rows)} rows for {len(keys.variants)} variants")
        with whole(self.path(keys)) as temporary, _new(temporary) as file:
            for variant, (key, row) in enumerate(zip(keys.variants, rows, strict=True)):
                _write_row(file.create_group(_row_path(keys.id, variant)), key, keys.source_digest, row)

    def fail(self, keys: Keys, failure: Failure) -> None:
        """Keep the reason why there is no row."""
        with whole(self.path(keys)) as temporary, _new(temporary) as file:
            text = np.array([failure.reason.encode()])
            reason = file.create_dataset(_failure_path(keys.id), data=text, chunks=(1,), fletcher32=True)
            reason.attrs.update(key=_text(keys.name), frames_decoded=failure.frames_decoded)

    def attempt(self, keys: Keys) -> AbstractContextManager[list[str]]:
        """Note that the video is in hand while the block runs; yields how processes died that had it in hand before."""
        return attempt(self._note(keys), keys.id)

    def discard(self, videos: Iterable[Keys]) -> None:
        """Forget what a sealed shard holds now."""
        for keys in videos:
            self.path(keys).unlink(missing_ok=True)
            self._note(keys).unlink(missing_ok=True)
        with suppress(OSError):  # another state's videos are in it, or it is gone
            self.folder.rmdir()

    def discard_sealed(self, shards: Iterable[Path]) -> None:
        """Forget what these shards hold: a process was killed, or slower than another, after they were sealed."""
        held = holders(shards)
        with suppress(OSError):  # another run may sweep as well
            for path in self.folder.iterdir():
                if path.stem in held:
                    path.unlink(missing_ok=True)
            self.folder.rmdir()

    def _note(self, keys: Keys) -> Path:
        return self.folder / f"{keys.name}{NOTE}"


def seal(shard: Path, videos: Sequence[Keys], sources: Mapping[str, Path], provenance: Mapping[str, Any]) -> None:
    """Assemble a shard from whole files that hold its videos' rows, check it, and only then give it its name.

    sources: by the video's key name, the journal file or earlier shard that holds it.
    Raises DamagedStore, naming the file set aside, where a source cannot be read.
    """
    with whole(shard) as temporary:
        try:
            with _new(temporary) as file:
                for keys in videos:
                    _copy_video(sources[keys.name], keys, file)
                file.attrs["provenance"] = _json(provenance)
            _read_everything(temporary)
        except _DAMAGE:
            for source in set(sources.values()):  # copying does not check what it copies
                verify(source)
            raise
        held = dict(_keys_of(temporary))
        missing = [keys.id for keys in videos if keys.name not in held]
        if missing:
            raise ValueError(f"{shard}: nothing was sealed for {', '.join(missing)}")


def holders(shards: Iterable[Path]) -> dict[str, Path]:
    """By key, the sealed shard that holds the row or failure. A damaged shard is set aside, and skipped."""
    found: dict[str, Path] = {}
    for shard in shards:
        try:
            found.update((key, shard) for key, _ in _keys_of(shard))
        except DamagedStore as error:
            warnings.warn(str(error), RuntimeWarning, stacklevel=2)
    return found


def write_index(index: Path, shards: Iterable[Path], provenance: Mapping[str, Any]) -> None:
    """One file beside the shards that links every row and failure of all of them."""
    with whole(index) as temporary, _new(temporary) as file:
        file.create_group("videos")
        file.create_group("failures")
        for shard in shards:
            for _, place in _keys_of(shard):
                file[place] = h5py.ExternalLink(shard.name, place)
        file.attrs["provenance"] = _json(provenance)


def provenance(path: Path) -> dict[str, Any]:
    """What a sealed file says of its origin."""
    try:
        with _open(path) as file:
            return dict(json.loads(file.attrs["provenance"]))
    except _DAMAGE as error:
        set_aside(path, error)


class Store:
    """Rows of one stage, read by video id from its index (or from one shard).

    Files open at first use, and anew in every process. Whatever is read from a file that is not whole raises
    DamagedStore, and the file is set aside.
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
        """One row, all its arrays or the named ones, in memory; of each array only ``part`` of its first axis.

        Raises KeyError where the store has no such row, InputError where the row has no such array.
        """
        place = _row_path(video, variant)
        shard = self._shard(place)
        with self._reading(shard) as file:
            group = file[place]
            held = list(group)
            read = {name: group[name][part] for name in held if arrays is None or name in arrays}
            attributes = attributes_of(group)
        if arrays is not None and (missing := set(arrays) - set(held)):
            raise InputError(f"{shard}: {place} has no {', '.join(sorted(missing))}; it has {', '.join(held)}")
        return Row(read, attributes)

    def partial(self, video: str, variant: int = 0) -> dict[str, Partial]:
        """One row's arrays, of which only the parts that are asked for are read.

        Raises KeyError where the store has no such row.
        """
        place = _row_path(video, variant)
        shard = self._shard(place)
        with self._reading(shard) as file:
            return {name: _StoredArray(self, shard, array) for name, array in file[place].items()}

    def rows(self, video: str, arrays: Sequence[str] | None = None) -> list[Row]:
        """All variants of a video, in order."""
        return [self.read(video, variant, arrays) for variant in range(self.variants(video))]

    def variants(self, video: str) -> int:
        """How many rows the video has."""
        with self._reading(self.index) as file:
            group = file.get(f"videos/{video}", {})
            return sum(RESERVED_NAME.fullmatch(name) is not None for name in group)

    def failures(self) -> dict[str, Failure]:
        """By video id, why it has no row."""
        found: dict[str, Failure] = {}
        for video in self._ids("failures"):
            with self._reading(self._shard(_failure_path(video))) as file:
                found[video] = failure_of(file[_failure_path(video)])
        return found

    def ids(self) -> list[str]:
        """All videos that have rows, sorted."""
        return self._ids("videos")

    def _ids(self, kind: str) -> list[str]:
        found: set[str] = set()

        def note(place: str, _: object) -> None:
            video, _, name = place.rpartition("/")
            if RESERVED_NAME.fullmatch(name):
                found.add(video)

        with self._reading(self.index) as file:
            if kind in file:
                file[kind].visititems_links(note)
        return sorted(found)

    def _shard(self, place: str) -> Path:
        """The file that holds a row or a failure. An index that links what its shard does not hold is set aside."""
        with self._reading(self.index) as file:
            link = file.get(place, getlink=True)
        if link is None:
            raise KeyError(f"{self.index} has no {place}: ids() lists the videos, failures() those without rows")
        if not isinstance(link, h5py.ExternalLink):
            return self.index
        shard: Path = self.index.parent / link.filename
        with self._reading(shard) as file:
            held = place in file
        if not held:
            set_aside(self.index, ValueError(f"it links {place}, which {shard.name} does not hold"))
        return shard

    @contextmanager
    def _reading(self, path: Path) -> Iterator[h5py.File]:
        if self._process != os.getpid():
            # Handles must not be shared over a fork, and closing them here would flush the parent's.
            self._files, self._process = {}, os.getpid()
        if path not in self._files:
            self._files[path] = (_open(path), path.stat().st_ino)
        file, inode = self._files[path]
        try:
            yield file
        except _DAMAGE as error:
            del self._files[path]
            file.close()
            if path.exists() and path.stat().st_ino == inode:
                set_aside(path, error)
            raise DamagedStore(f"{path} was damaged, and is being made anew by another: run again") from None


@dataclass(frozen=True, slots=True)
class _StoredArray:
    """Good for as long as its store's file is open in this process."""

    store: Store
    shard: Path
    array: h5py.Dataset

    def __getitem__(self, part: Any) -> np.ndarray:
        with self.store._reading(self.shard):
            return self.array[part]  # type: ignore[no-any-return]


def verify(path: Path) -> None:
    """Read every array of a sealed file. Raises DamagedStore, having set the file aside, where one is not whole."""
    try:
        _read_everything(path)
    except _DAMAGE as error:
        set_aside(path, error)


def _row_path(video: str, variant: int) -> str:
    return f"videos/{video}/variant-{variant}"


def _failure_path(video: str) -> str:
    return f"failures/{video}/reason"


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _write_row(group: h5py.Group, key: str, source_digest: str, row: Row) -> None:
    for name, array in row.arrays.items():
        array = np.asarray(array)
        rows = max(1, CHUNK_BYTES * len(array) // max(1, array.nbytes))
        # part by part: what lies in a file may be larger than the memory
        parts = (array[first : first + rows] for first in range(0, len(array), rows))
        if array.dtype.kind == "f" and not all(np.isfinite(part).all() for part in parts):
            reason = f"{name} came out as NaN or infinity, or too large for {array.dtype}"
            raise UnusableVideo(reason, int(row.attributes.get("frames", 0)))
        if array.size:
            group.create_dataset(name, data=array, chunks=(min(rows, len(array)), *array.shape[1:]), fletcher32=True)
        else:
            group.create_dataset(name, data=array)
    attributes = {**row.attributes, "key": key, "source_digest": source_digest}
    group.attrs.update({name: _text(value) if isinstance(value, str) else value for name, value in attributes.items()})


def _text(value: str) -> np.bytes_:
    """A string of fixed length: others lie in a heap, which has no checksum."""
    return np.bytes_(value.encode())


def attributes_of(group: h5py.Group) -> dict[str, float | int | str]:
    """The attributes of a row's group as they were written."""
    read = {name: value.item() if isinstance(value, np.generic) else value for name, value in group.attrs.items()}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in read.items()}


def failure_of(reason: h5py.Dataset) -> Failure:
    """What is noted of a video without rows."""
    return Failure(reason[0].decode(), int(reason.attrs["frames_decoded"]))


def _copy_video(source: Path, keys: Keys, target: h5py.File) -> None:
    """Copy a video's rows, or its failure, from a file that may know it under another id."""
    with _open(source) as file:
        places = dict(_places(file))
        for variant, key in enumerate(keys.variants):
            if key in places:
                failed = places[key].startswith("failures/")
                place = _failure_path(keys.id) if failed else _row_path(keys.id, variant)
                target.require_group(place.rpartition("/")[0])
                file.copy(places[key], target, name=place)


def _keys_of(path: Path) -> list[tuple[str, str]]:
    """Key and place of everything that a sealed file holds; copies of one file under two ids share their keys."""
    try:
        with _open(path) as file:
            return _places(file)
    except _DAMAGE as error:
        set_aside(path, error)


def _places(file: h5py.File) -> list[tuple[str, str]]:
    return [(item.attrs["key"].decode(), place) for place, item in items_of(file)]


def items_of(file: h5py.File) -> list[tuple[str, "h5py.Group | h5py.Dataset"]]:
    """Places of the rows and failures that a file itself holds, and these."""
    found: list[tuple[str, h5py.Group | h5py.Dataset]] = []

    def note(place: str, item: h5py.Group | h5py.Dataset) -> None:
        if "key" in item.attrs:
            found.append((place, item))

    file.visititems(note)
    return found


def _read_everything(path: Path) -> None:
    def read(_: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            item[()]

    with h5py.File(path, "r", locking=False) as file:
        file.visititems(read)


@contextmanager
def _new(path: Path) -> Iterator[h5py.File]:
    """A file to write to. Raises OSError at its end where the disk did not take all of it."""
    with LateErrors(path) as taking, h5py.File(taking, "w", **_FORMAT) as file:
        yield file


def _open(path: Path) -> h5py.File:
    """Open a sealed file. A file that is there but not whole is set aside."""
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        set_aside(path, error)
