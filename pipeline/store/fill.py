"""Fill a shard with every video's rows, or the reason why it has none, each journaled as soon as it is known."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pipeline.errors import UnusableVideo
from pipeline.files.crash_notes import settle
from pipeline.files.progress import Bar
from pipeline.rows import Failure, Keys, Row
from pipeline.store.journal import Journal
from pipeline.store.seal import seal

Compute = Callable[[Any], Iterable[Row]]
"""Turns a video's source (a path, or rows) into its rows, one a variant."""
MAX_CRASHES = 2
"""Crashes after which a video is a failure."""


def fill(
    shard: Path,
    videos: Sequence[Keys],
    source: Callable[[str], AbstractContextManager[Any]],
    build: Callable[[], Compute],
    *,
    journal: Journal,
    earlier: Mapping[str, Path],
    provenance: Callable[[], Mapping[str, Any]],
) -> None:
    """Compute the rows, or the failure, of each video that has none yet, and seal all of them in ``shard``.

    Rows that the journal or an earlier shard holds under the same key are copied.

    Parameters
    ----------
    shard
        The file to seal.
    videos
        Keys of the shard's videos, in order.
    source
        Returns, by video id, a context of what the extractor reads, which the video's rows are computed in: where it
        raises at the end, they are not kept. UnusableVideo makes the video a failure; any other exception stops the
        shard, and what was journaled stays.
    build
        Returns the extractor; called only where something is left to compute. The extractor may raise as ``source``.
    journal
        Where finished videos are kept until the shard is sealed.
    earlier
        Sealed shards from which rows may be copied, by the rows' keys.
    provenance
        Returns what the shard says of its origin, JSON values, once all rows are there; the number of computed videos
        and the wall time are added.

    Raises
    ------
    DamagedStore
        Where the journal or an earlier shard cannot be read; the damaged file is quarantined.
    """
    began = time.monotonic()
    settle(journal.folder)
    missing = [keys for keys in videos if keys.name not in earlier and keys not in journal]
    if missing:
        with Bar(desc="extracting", unit="video", total=len(videos), initial=len(videos) - len(missing)) as bar:
            try:
                _compute(missing, source, build(), journal, bar)
            finally:
                journal.sync()
    sources = {keys.name: earlier.get(keys.name) or journal.path(keys) for keys in videos}
    computed = {"computed": len(missing), "wall_s": round(time.monotonic() - began, 3)}
    seal(shard, videos, sources, {**provenance(), **computed})
    journal.discard(videos)


def _compute(
    videos: Sequence[Keys],
    source: Callable[[str], AbstractContextManager[Any]],
    compute: Compute,
    journal: Journal,
    bar: Bar,
) -> None:
    for keys in videos:
        if keys in journal:
            bar.update()
            continue  # a copy of a file that another id of this shard has brought already
        with journal.attempt(keys) as crashes:
            try:
                if len(crashes) >= MAX_CRASHES:
                    raise UnusableVideo(f"the process that read it died {len(crashes)} times: {'; '.join(crashes)}")
                with source(keys.id) as given:
                    rows = list(compute(given))
                journal.write(keys, rows)
            except UnusableVideo as error:
                journal.fail(keys, Failure(error.reason, error.frames_decoded))
        bar.update()
