"""Holds an indexed data set: its videos, the digests of their files, and their distribution over shards."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from data.base import Listing, Video
from extractors.tvl1.precomputed import flow_pictures
from pipeline.files.digests import Digests
from pipeline.files.names import FileName
from pipeline.files.records import read_record, write_record
from tasks.quantities import format_count

MAX_NAMED = 3
"""Number of videos that are named."""


class _Video(BaseModel):
    """A video, as ``index.json`` holds it."""

    model_config = ConfigDict(extra="forbid")

    id: str
    files: dict[str, FileName]
    labels: tuple[int, ...]
    subject: str
    frames: tuple[int, int] | None
    span_s: tuple[float, float] | None = None
    fps: float | None = None

    def video(self) -> Video:
        """Return the video of the listing."""
        files = {modality: Path(path) for modality, path in self.files.items()}
        return Video(self.id, files, self.labels, self.subject, self.frames, self.span_s, self.fps)


_Entries = dict[FileName, tuple[int, int, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]]


class _Manifest(BaseModel):
    """Content of ``index.json``."""

    model_config = ConfigDict(extra="forbid")

    classes: tuple[str, ...]
    videos: tuple[_Video, ...]
    files: _Entries
    shards: PositiveInt
    remarks: tuple[str, ...] = ()
    flow: dict[str, _Entries] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for video in self.videos:
            if not all(0 <= label < len(self.classes) for label in video.labels):
                raise ValueError(f"{video.id} has a label that is none of the {len(self.classes)} classes")
            if unknown := [path for path in video.files.values() if path not in self.files]:  # a set less keys asks all
                raise ValueError(f"{video.id} has a file without digest: {min(unknown)}")
        return self


@dataclass(frozen=True, eq=False)
class Library:
    """Indexed data set.

    Attributes
    ----------
    listing : Listing
        Videos and classes.
    digests : Digests
        Digest, size and time of each file.
    shards : int
        Number of shards.
    flow : dict of str to Digests
        Digests of the pictures of flow that lie ready, by their pattern: of each clip, by its path.
    """

    listing: Listing
    digests: Digests
    shards: int
    flow: Mapping[str, Digests] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote. A damaged file is set aside, and DamagedStore raised."""
        table = read_record(path, _Manifest)
        videos = tuple(entry.video() for entry in table.videos)
        flow = {pattern: flow_digests(pattern, entries) for pattern, entries in table.flow.items()}
        return cls(Listing(table.classes, videos, table.remarks), Digests.of(table.files), table.shards, flow)

    def save(self, path: Path) -> None:
        """Write the manifest atomically."""
        named = [field.name for field in fields(Video)]  # asdict would copy each value
        videos = [
            {name: getattr(video, name) for name in named} | {"files": _names(video)} for video in self.listing.videos
        ]
        known = {"classes": self.listing.classes, "videos": videos, "remarks": self.listing.remarks}
        flow = {pattern: digests.entries for pattern, digests in self.flow.items()}
        more = {"flow": flow} if flow else {}
        write_record(path, {**known, "files": self.digests.entries, "shards": self.shards, **more})

    def shard(self, video: Video) -> int:
        """Return the number of a video's shard, by a hash of its id, so that an insertion moves no other video.

        The windows of a film lie in one shard, whose process decodes it once.
        """
        return int.from_bytes(hashlib.blake2b(video.whole.encode(), digest_size=8).digest()) % self.shards

    def flow_of(self, video: Video) -> dict[str, str]:
        """Return the digests of a video's pictures of flow by pattern, of those with which it is indexed."""
        known = {pattern: digests.entries.get(str(video.files.get("video"))) for pattern, digests in self.flow.items()}
        return {pattern: entry.digest for pattern, entry in known.items() if entry is not None}


def changes(old: Library, new: Library) -> Iterator[str]:
    """Yield what differs between two states of one data set, one sentence each."""
    contents = [_contents(old, new), _contents(new, old)]
    labels = [{video.id: video.labels for video in lib.listing.videos} for lib in (old, new)]
    moved = [video for video in labels[0].keys() & labels[1].keys() if labels[0][video] != labels[1][video]]
    found = [*video_changes(*contents), *([f"labels of {format_count(len(moved), 'video')} changed"] if moved else [])]
    found += [f"pictures of flow are indexed anew: {pattern}" for pattern in new.flow if pattern not in old.flow]
    found += [f"pictures of flow are there no more: {pattern}" for pattern in old.flow if pattern not in new.flow]
    yield from found or ["files were touched, moved or listed anew; their content is as it was"]


def _contents(indexed: Library, other: Library) -> dict[str, tuple[Any, ...]]:
    """Return what is known of each video by id: of its flow, by the patterns with which both states know it."""
    in_other = {video.id: other.flow_of(video).keys() for video in other.listing.videos}
    contents = {}
    for video in indexed.listing.videos:
        files = [indexed.digests[path] for path in video.files.values()]
        flow = indexed.flow_of(video)
        common = {pattern: flow[pattern] for pattern in flow.keys() & in_other.get(video.id, set())}
        contents[video.id] = files, video.part, video.fps, common
    return contents


def flow_digests(pattern: str, entries: Mapping[str, Any]) -> Digests:
    """Return digests of the pictures of flow that lie ready for clips, given as to ``Digests.of``."""
    return Digests.of(entries, partial(flow_pictures, pattern))


def video_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield which videos were added, removed and changed between two states by id."""
    kinds = {
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": sorted(video for video in new.keys() & old.keys() if new[video] != old[video]),
    }
    for what, videos in kinds.items():
        if videos:
            many = format_count(len(videos), "video") if len(videos) > 1 else "video"
            yield f"{many} {what}: {', '.join(videos[:MAX_NAMED])}{', …' if len(videos) > MAX_NAMED else ''}"


def _names(video: Video) -> dict[str, str]:
    return {modality: str(path) for modality, path in video.files.items()}
