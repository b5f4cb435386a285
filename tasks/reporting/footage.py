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
    found: dict[str, list[str]] = defaultdict(list)
    seen: dict[str, set[str]] = {"video": set(), "skeleton": set()}
    for stage in stages:
        notes, those = _notes(stage.extractor), seen[stage.extractor.reads]
        store = Store(stage.path())
        for video in store.ids() if notes else ():
            if video not in those:
                those.add(video)
                for name in notes.keys() & store.read(video, arrays=()).attributes.keys():
                    found[name].append(video)
    for reads, notes in (("video", videos.NOTES), ("skeleton", skeletons.NOTES)):
        for name, says in notes.items():
            if noted := found[name]:
                yield f"{len(noted)} of {len(seen[reads])} videos: {says} ({name}): {some_of(sorted(noted))}"


def _notes(extractor: Extractor) -> Mapping[str, str]:
    """Return what rows may note; nothing for MSR Action3D's layout, whose rows of before note nothing."""
    if isinstance(extractor, Skeleton):
        return {} if extractor.layout == "kinect_v1" else skeletons.NOTES
    return videos.NOTES if extractor.reads == "video" else {}
