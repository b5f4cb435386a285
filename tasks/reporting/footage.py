"""Says in the report what videos are otherwise than usual, and what decoding did about it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from data.remarks import some_of
from pipeline.store import Store
from pipeline.video.notes import NOTES
from tasks.features import Extract


def remarks(stages: Sequence[Extract]) -> Iterator[str]:
    """Yield a sentence on each kind of footage that is out of the ordinary, by the attributes of the videos' rows."""
    found: dict[str, set[str]] = defaultdict(set)
    seen: dict[str | None, set[str]] = defaultdict(set)  # by where flow lies ready: decoding notes the same every time
    for stage in stages:
        store, source = Store(stage.path()), stage.extractor.upstream or stage.extractor
        known = seen[source.flow_pictures]
        for video in store.ids() if stage.extractor.reads == "video" else ():
            if video not in known:
                known.add(video)
                for name in NOTES.keys() & store.read(video, arrays=()).attributes.keys():
                    found[name].add(video)
    total = len(set().union(*seen.values()))
    for name, says in NOTES.items():
        if videos := found[name]:
            yield f"{len(videos)} of {total} videos: {says} ({name}): {some_of(sorted(videos))}"
