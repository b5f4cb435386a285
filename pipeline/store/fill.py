"""Fill a shard: every video's rows, or the reason why there are none, each kept as soon as it is there."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.errors import UnusableVideo
from pipeline.files.crash_notes import forget_the_killed
from pipeline.rows import Failure, Keys, Row
from pipeline.store.journal import Journal
from pipeline.store.seal import seal, shards_by_key

Compute = Callable[[Any], Iterable[Row]]
DEATHS = 2
"""A video whose processes died so many times is a failure."""


def fill(
    shard: Path,
    videos: Sequence[Keys],
    source: Callable[[str], Any],
    build: Callable[[], Compute],
    *,
    journal: Journal,
    earlier: Iterable[Path],
    provenance: Mapping[str, Any],
) -> None:
    """Seal ``shard`` with the rows, or the failure, of each of the videos.

    source: by video id, what the extractor that ``build`` returns is given; both may raise UnusableVideo, and
    whatever else they raise stops the shard: what was journaled stays. Rows that the journal or an earlier shard
    holds under the same key are taken over; ``build`` is called only where something is left to compute.
    """
    began = time.monotonic()
    forget_the_killed(journal.folder)
    held = shards_by_key(earlier)
    missing = [keys for keys in videos if keys.name not in held and keys not in journal]
    if missing:
        _compute(missing, source, build(), journal, description=shard.parent.name)
    sources = {keys.name: held.get(keys.name, journal.path(keys)) for keys in videos}
    computed = {"computed": len(missing), "wall_s": round(time.monotonic() - began, 3)}
    seal(shard, videos, sources, {**provenance, **computed})
    journal.discard(videos)


def _compute(
    videos: Sequence[Keys], source: Callable[[str], Any], compute: Compute, journal: Journal, description: str
) -> None:
    for keys in tqdm(videos, desc=description, unit="video", disable=None):
        if keys in journal:
            continue  # a copy of a file that another id of this shard has brought already
        with journal.attempt(keys) as deaths:
            try:
                if len(deaths) >= DEATHS:
                    raise UnusableVideo(f"the process that read it died {len(deaths)} times: {'; '.join(deaths)}")
                journal.write(keys, compute(source(keys.id)))
            except UnusableVideo as error:
                journal.fail(keys, Failure(error.reason, error.frames_decoded))
