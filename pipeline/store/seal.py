"""Seal shards of finished videos, and link them in an index."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py

from pipeline.errors import DamagedStore
from pipeline.files.atomic import atomic_path, quarantine
from pipeline.files.place import Contradiction
from pipeline.rows import Keys
from pipeline.store.layout import (
    DAMAGE,
    canonical_json,
    failure_path,
    keys_of,
    new_file,
    open_file,
    open_sealed,
    places_of,
    row_path,
)
from pipeline.store.links import linked_shard, links_in


def seal(shard: Path, videos: Sequence[Keys], sources: Mapping[str, Path], provenance: Mapping[str, Any]) -> None:
    """Assemble a shard from the files that hold its videos' rows, check it, and only then give it its name.

    Parameters
    ----------
    shard
        The file to seal.
    videos
        Keys of the shard's videos, in order.
    sources
        The journal file or earlier shard that holds each video, by ``Keys.name``.
    provenance
        What the shard says of its origin, JSON values.

    Raises
    ------
    DamagedStore
        Where a source is damaged; it is quarantined.
    ValueError
        Naming the videos that no source holds.
    """
    with atomic_path(shard) as temporary:
        try:
            with new_file(temporary) as file:
                for keys in videos:
                    _copy_video(sources[keys.name], keys, file)
                file.attrs["provenance"] = canonical_json(provenance)
            _read_everything(temporary)
        except DAMAGE:
            for source in set(sources.values()):  # copying does not check what it copies
                verify(source)
            raise
        sealed = dict(keys_of(temporary))
        missing = [keys.id for keys in videos if keys.name not in sealed]
        if missing:
            raise ValueError(f"{shard}: nothing was sealed for {', '.join(missing)}")


def shards_by_key(shards: Iterable[Path]) -> dict[str, Path]:
    """Return, by key, the sealed shard that holds the row or failure; a damaged shard is quarantined and skipped."""
    found: dict[str, Path] = {}
    for shard in shards:
        try:
            found.update((key, shard) for key, _ in keys_of(shard))
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
        file.create_group("videos")
        file.create_group("failures")
        for shard in shards:
            for _, place in keys_of(shard):
                file[place] = h5py.ExternalLink(shard.name, place)
        file.attrs["provenance"] = canonical_json(provenance)


def verify(path: Path) -> None:
    """Read every array of a sealed file.

    Raises DamagedStore where one is damaged, or the file belongs elsewhere, and quarantines it; otherwise as
    ``open_file``.
    """
    try:
        _read_everything(path)
    except DAMAGE as error:
        quarantine(path, error)


def _copy_video(source: Path, keys: Keys, target: h5py.File) -> None:
    """Copy a video's rows, or its failure, from a file that may know it under another id.

    A journal's file that lacks the key by which it is named is quarantined.
    """
    with open_sealed(source) as file:
        places = dict(places_of(file))
        if keys.name not in places and keys.name == source.stem:
            quarantine(source, Contradiction("it holds nothing of the key by which it is named"))
        for variant, key in enumerate(keys.variants):
            if key in places:
                failed = places[key].startswith("failures/")
                place = failure_path(keys.id) if failed else row_path(keys.id, variant)
                target.require_group(place.rpartition("/")[0])
                file.copy(places[key], target, name=place)


def _read_everything(path: Path) -> None:
    def read(_: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            item[()]

    with open_file(path) as file:
        for place, link in links_in(file):
            if not isinstance(link, h5py.HardLink):
                linked_shard(place, link)
        file.visititems(read)
