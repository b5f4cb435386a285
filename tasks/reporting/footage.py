"""Says in the report what videos and skeleton files are otherwise than usual, and what reading did about it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from data.remarks import some_of
from extractors.base import Extractor
from extractors.skeleton import notes as skeletons
from extractors.skeleton.config import Skeleton
from pipeline.store import Store
from pipeline.video import notes as videos
from tasks.features import Extract


def remarks(stages: Sequence[Extract]) -> Iterator[str]:
    """Yield a sentence on each kind of footage that is out of the ordinary, by the attributes of the videos' rows."""
    found: dict[str, set[str]] = defaultdict(set)
    seen: dict[tuple[str, str | None], set[str]] = defaultdict(set)  # decoding notes the same every time
    for stage in stages:
        extractor, store = stage.extractor, Store(stage.path())
        notes, lies_ready = _notes(extractor), (extractor.upstream or extractor).flow_pictures
        known = seen[extractor.reads, lies_ready]
        for video in store.ids() if notes else ():
            if video not in known:
                known.add(video)
                for name in notes.keys() & store.read(video, arrays=()).attributes.keys():
                    found[name].add(video)
    for reads, notes in (("video", videos.NOTES), ("skeleton", skeletons.NOTES)):
        total = len(set().union(*(ids for (of, _), ids in seen.items() if of == reads)))
        for name, says in notes.items():
            if noted := found[name]:
                yield f"{len(noted)} of {total} videos: {says} ({name}): {some_of(sorted(noted))}"


def _notes(extractor: Extractor) -> Mapping[str, str]:
    """Return what rows may note; nothing for MSR Action3D's layout, whose rows of before note nothing."""
    if isinstance(extractor, Skeleton):
        return {} if extractor.layout == "kinect_v1" else skeletons.NOTES
    return videos.NOTES if extractor.reads == "video" else {}
