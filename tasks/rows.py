"""What the rows of a data set are known by, and how its videos are dealt to shards."""

from dataclasses import dataclass
from functools import cache

from pipeline.errors import InputError
from pipeline.fingerprint import row_key, short_digest
from pipeline.rows import Keys
from tasks.index import Library


@dataclass(frozen=True, eq=False)
class Keyed:
    """What an extraction makes: its fingerprint, and by video id the keys of the rows, in the library's order."""

    fingerprint: str
    keys: dict[str, Keys]


@cache
def keyed(indexed: Library, reads: str, variants: int, name: str, upstream: Keyed | None) -> Keyed:
    keys = {}
    for video in indexed.listing.videos:
        if reads not in video.files:
            raise InputError(f"{video.id} has no {reads} file, but {', '.join(video.files)}; choose another extractor")
        digest = indexed.digests[video.files[reads]]
        sources = upstream.keys[video.id].variants if upstream else ()
        rows = tuple(row_key(name, sources, digest, video.frames, variant) for variant in range(variants))
        keys[video.id] = Keys(video.id, digest, rows)
    return Keyed(name, keys)


@cache
def videos_by_shard(indexed: Library) -> dict[int, tuple[str, ...]]:
    """Video ids by shard, for the shards that hold any."""
    shards: dict[int, list[str]] = {}
    for video in indexed.listing.videos:
        shards.setdefault(indexed.shard(video.id), []).append(video.id)
    return {number: tuple(ids) for number, ids in sorted(shards.items())}


@cache
def labels(indexed: Library) -> dict[str, tuple[int, ...]]:
    """Class indices by video id."""
    return {video.id: video.labels for video in indexed.listing.videos}


@cache
def rows_digest(rows: Keyed, indexed: Library, ids: tuple[str, ...]) -> str:
    """12 digits for the rows and labels of some videos: what something that is trained on them depends on."""
    known = labels(indexed)
    return short_digest([indexed.listing.classes, [[rows.keys[video].variants, known[video]] for video in ids]])


@cache
def shard_digest(rows: Keyed, indexed: Library, number: int) -> str:
    """12 digits for the rows that a shard holds."""
    return short_digest([[video, rows.keys[video].variants] for video in videos_by_shard(indexed)[number]])
