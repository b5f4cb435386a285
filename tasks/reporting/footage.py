"""Says in the report what videos are otherwise than usual, and what decoding did about it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from data.remarks import some_of
from pipeline.store import Store
from pipeline.video.notes import NOTES
from tasks.features import Extract


def remarks(stages: Sequence[Extract]) -> Iterator[str]:
    """Yield a sentence on each kind of footage that is out of the ordinary, by the attributes of the videos' rows."""
    found: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for stage in stages:
        store = Store(stage.path())
        for video in store.ids() if stage.extractor.reads == "video" else ():
            if video not in seen:
                seen.add(video)
                for name in NOTES.keys() & store.read(video, arrays=()).attributes.keys():
                    found[name].append(video)
    for name, says in NOTES.items():
        if videos := found[name]:
            yield f"{len(videos)} of {len(seen)} videos: {says} ({name}): {some_of(sorted(videos))}"
