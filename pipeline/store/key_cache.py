"""Remember which rows sealed shards hold, so that a row is found by its key without opening each of them."""

import os
import warnings
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel

from pipeline.errors import DamagedStore
from pipeline.files.records import read_record, write_record
from pipeline.store.sealed import sealed_table


class _Known(BaseModel):
    """Keys of one shard, as long as the file has this size in bytes, time in nanoseconds and inode."""

    stamp: tuple[int, int, int]
    keys: tuple[str, ...]


class _Cache(BaseModel):
    """Content of the cache's file, by the shards' absolute paths."""

    shards: dict[str, _Known] = {}


def shards_by_key(shards: Iterable[Path], cache: Path) -> dict[str, Path]:
    """Return, by key, a sealed shard that holds the row or failure; a damaged shard is quarantined and skipped.

    Parameters
    ----------
    shards
        The shards.
    cache
        A file in which their keys are kept, and which may be deleted at any time; where it is missing or damaged, or
        a shard is not as it was, the shards themselves are read.
    """
    shards = list(shards)
    known = _load(cache) if shards else {}
    found = {shard: entry for shard in shards if (entry := _entry(shard, known.get(str(shard)))) is not None}
    if any(known.get(str(shard)) is not entry for shard, entry in found.items()):
        current = known | {str(shard): entry for shard, entry in found.items()}
        present = {path: entry.model_dump() for path, entry in current.items() if os.path.exists(path)}
        write_record(cache, {"shards": present})
    return {key: shard for shard, entry in found.items() for key in entry.keys}


def _load(cache: Path) -> dict[str, _Known]:
    try:
        return _loaded(cache, _stamp(cache))
    except FileNotFoundError:
        return {}
    except DamagedStore as error:
        warnings.warn(str(error), RuntimeWarning, stacklevel=3)
        return {}


@lru_cache(maxsize=1)  # each shard of a run asks
def _loaded(cache: Path, _: tuple[int, int, int]) -> dict[str, _Known]:
    return read_record(cache, _Cache).shards


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _entry(shard: Path, known: _Known | None) -> _Known | None:
    """Return what is known of a shard where that is current, else what it holds; None where it is damaged or gone."""
    try:
        stamp = _stamp(shard)
        if known is not None and known.stamp == stamp:
            return known
        return _Known(stamp=stamp, keys=tuple(sealed_table(shard).keys))
    except FileNotFoundError:
        return None
    except DamagedStore as error:
        warnings.warn(str(error), RuntimeWarning, stacklevel=3)
        return None
