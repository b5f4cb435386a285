"""Keys of a data set's rows, and the distribution of its videos over shards."""

from dataclasses import dataclass
from functools import cache

from data.base import Video
from pipeline.errors import InputError
from pipeline.fingerprint import row_key, short_digest
from pipeline.rows import Keys
from tasks.library import Library


@dataclass(frozen=True, eq=False)
class ExtractionKeys:
    """Fingerprint of an extraction, and the keys of its rows by video id, in the library's order."""

    fingerprint: str
    keys: dict[str, Keys]


@cache
def extraction_keys(
    indexed: Library, reads: str, variants: int, name: str, upstream: ExtractionKeys | None, flow: str | None = None
) -> ExtractionKeys:
    """Compute the keys of all rows of an extraction.

    Parameters
    ----------
    indexed : Library
        The indexed data set.
    reads : str
        Modality of the files that the extraction starts from: "video" or "skeleton".
    variants : int
        Number of rows of each video.
    name : str
        Fingerprint of the extraction.
    upstream : ExtractionKeys, optional
        Keys of the rows that it reads instead of files.
    flow : str, optional
        Pattern of the pictures of flow that it reads besides.

    Raises
    ------
    InputError
        Where a video has no file of that modality, or its pictures of flow are not indexed.
    """
    keys = {}
    for video in indexed.listing.videos:
        if reads not in video.files:
            raise InputError(f"{video.id} has no {reads} file, only {', '.join(video.files)}; choose another extractor")
        digest = indexed.digests[video.files[reads]]
        sources = upstream.keys[video.id].variants if upstream else ()
        sources += () if flow is None else (_flow_digest(indexed, flow, video),)
        timed = reads == "video" and video.fps is not None
        content = f"{digest}, {video.fps!r} a second" if timed else digest
        rows = tuple(row_key(name, sources, content, video.part, variant) for variant in range(variants))
        keys[video.id] = Keys(video.id, digest, rows)
    return ExtractionKeys(name, keys)


def _flow_digest(indexed: Library, pattern: str, video: Video) -> str:
    digest = indexed.flow_of(video).get(pattern)
    if digest is None:
        raise InputError(
            f"the pictures of flow {pattern} of {video.id} are not indexed yet; run Evaluate, which indexes first"
        )
    return digest


@cache
def videos_by_id(indexed: Library) -> dict[str, Video]:
    """Return the videos by id."""
    return {video.id: video for video in indexed.listing.videos}


@cache
def videos_by_shard(indexed: Library) -> dict[int, tuple[str, ...]]:
    """Return video ids by shard, for the shards that hold any."""
    shards: dict[int, list[str]] = {}
    for video in indexed.listing.videos:
        shards.setdefault(indexed.shard(video), []).append(video.id)
    return {number: tuple(ids) for number, ids in sorted(shards.items())}


@cache
def labels(indexed: Library) -> dict[str, tuple[int, ...]]:
    """Return class indices by video id."""
    return {video.id: video.labels for video in indexed.listing.videos}


@cache
def rows_digest(rows: ExtractionKeys, indexed: Library, ids: tuple[str, ...]) -> str:
    """Return a digest of rows and labels of some videos, 12 digits, for what is trained on them."""
    known = labels(indexed)
    return short_digest([indexed.listing.classes, [[rows.keys[video].variants, known[video]] for video in ids]])


@cache
def shard_digest(rows: ExtractionKeys, indexed: Library, number: int) -> str:
    """Return a digest of the rows that a shard holds, 12 digits."""
    return short_digest([[video, rows.keys[video].variants] for video in videos_by_shard(indexed)[number]])
