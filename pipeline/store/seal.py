"""Seal shards of finished videos, and link them in an index."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import DamagedStore
from pipeline.files.atomic import atomic_path
from pipeline.files.place import Contradiction
from pipeline.rows import Keys
from pipeline.store.hdf5_rows import NewRows
from pipeline.store.layout import failure_path, new_file, row_path, state_provenance
from pipeline.store.open_files import OpenFile
from pipeline.store.sealed import read_all, sealed_table


def seal(shard: Path, videos: Sequence[Keys], sources: Mapping[str, Path], provenance: Mapping[str, Any]) -> None:
    """Assemble a shard from the files that hold its videos' rows, check it, and only then give it its name.

    Parameters
    ----------
    shard
        The file to seal.
    videos
        Keys of the shard's videos, in order.
    sources
        The journal's file or earlier shard that holds each video, by ``Keys.name``.
    provenance
        What the shard says of its origin, JSON values.

    Raises
    ------
    DamagedStore
        Where a source is damaged; it is quarantined.
    ValueError
        Naming the videos that no source holds.
    """
    files = {path: OpenFile(path) for path in set(sources.values())}
    with atomic_path(shard) as temporary:
        with new_file(temporary) as file:
            rows = NewRows(file)
            for keys in videos:
                _copy_video(files[sources[keys.name]], keys, rows)
            rows.close()
            state_provenance(file, provenance)
        sealed = set(rows.table.keys)
        missing = [keys.id for keys in videos if keys.name not in sealed]
        if missing:
            raise ValueError(f"{shard}: nothing was sealed for {', '.join(missing)}")
        read_all(temporary)


def shards_by_key(shards: Iterable[Path]) -> dict[str, Path]:
    """Return, by key, the sealed shard that holds the row or failure; a damaged shard is quarantined and skipped."""
    found: dict[str, Path] = {}
    for shard in shards:
        try:
            found.update((key, shard) for key in sealed_table(shard).keys)
        except DamagedStore as error:
            warnings.warn(str(error), RuntimeWarning, stacklevel=2)
    return found


def write_index(index: Path, shards: Iterable[Path], provenance: Mapping[str, Any]) -> None:
    """Write an index beside the shards, which links every row and failure in them.

    Parameters
    ----------
    index
        The file to write, in the shards' folder.
    shards
        Sealed shards.
    provenance
        What the index says of its origin, JSON values.
    """
    with atomic_path(index) as temporary, new_file(temporary) as file:
        rows = NewRows(file)
        for shard in shards:
            for place in sealed_table(shard).places:
                rows.link(place, shard.name)
        rows.close()
        state_provenance(file, provenance)


def _copy_video(source: OpenFile, keys: Keys, target: NewRows) -> None:
    """Copy a video's rows, or its failure, from a file that may know it under another id.

    A file of one video that lacks the key by which it is named is quarantined.
    """
    with source as opened:
        items = opened.table.by_key
        if keys.name not in items and keys.name == source.path.stem:
            raise Contradiction("it holds nothing of the key by which it is named")
        for variant, key in enumerate(keys.variants):
            if key in items:
                place = row_path(keys.id, variant) if items[key].reason is None else failure_path(keys.id)
                target.add(place, items[key], opened.file)
