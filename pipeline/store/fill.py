"""Fill a shard with every video's rows, or the reason why it has none, each journaled as soon as it is known."""

import logging
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.errors import UnusableVideo
from pipeline.files.crash_notes import settle
from pipeline.files.progress import Bar
from pipeline.preparation.extraction import NetworkExtraction
from pipeline.preparation.preparers import PreparerDied, Preparers, preparers
from pipeline.preparation.timing import Timing
from pipeline.rows import Failure, Keys, Row
from pipeline.store.journal import Journal
from pipeline.store.seal import seal
from pipeline.training.child_process import format_end
from pipeline.training.prefetch import prefetch

Source = Callable[[str], AbstractContextManager[Any]]
Compute = Callable[[Any], Iterable[Row]]
"""Turns a video's source (a path, or rows) into its rows, one a variant."""
MAX_CRASHES = 2
"""Crashes after which a video is a failure."""
_Computed = Iterator[tuple[Keys, Callable[[], list[Row]]]]


def fill(
    shard: Path,
    videos: Sequence[Keys],
    source: Source,
    build: Callable[[], Compute],
    *,
    journal: Journal,
    earlier: Mapping[str, Path],
    provenance: Callable[[], Mapping[str, Any]],
    processes: int = 0,
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
        shard, and what was journaled stays. With ``processes`` it is pickled.
    build
        Returns the extractor; called only where something is left to compute. The extractor may raise as ``source``.
    journal
        Where finished videos are kept until the shard is sealed.
    earlier
        Sealed shards from which rows may be copied, by the rows' keys.
    provenance
        Returns what the shard says of its origin, JSON values, once all rows are there; the number of computed videos,
        the wall time and what it was spent on are added.
    processes
        Number of processes that prepare videos beside this one, where the extractor is a ``NetworkExtraction``. They
        change no number. One that crashes counts as this one would: its video is tried once more, then a failure.

    Raises
    ------
    DamagedStore
        Where the journal or an earlier shard cannot be read; the damaged file is quarantined.
    MemoryError, ChildProcessError
        Where a process that prepares ends, but not by a crash that may be the video's fault.
    """
    began = time.monotonic()
    settle(journal.folder)
    missing = [keys for keys in videos if keys.name not in earlier and keys not in journal]
    timing = Timing()
    if missing:
        with Bar(desc="extracting", unit="video", total=len(videos), initial=len(videos) - len(missing)) as bar:
            try:
                _Filling(source, build(), journal, timing, bar).compute(missing, processes)
            finally:
                journal.sync()
    sources = {keys.name: earlier.get(keys.name) or journal.path(keys) for keys in videos}
    wall_s = round(time.monotonic() - began, 3)
    computed = {"computed": len(missing), "wall_s": wall_s, "seconds": timing.seconds()}
    seal(shard, videos, sources, {**provenance(), **computed})
    journal.discard(videos)


@dataclass(frozen=True)
class _Filling:
    """Computes videos into a journal, in this process or with others that prepare."""

    source: Source
    extract: Compute
    journal: Journal
    timing: Timing
    bar: Bar

    def compute(self, videos: Sequence[Keys], processes: int) -> None:
        """Journal rows, or a failure, of each video."""
        if not processes or not isinstance(self.extract, NetworkExtraction):
            self._journal(self._here(videos))
            return
        distinct = list({keys.name: keys for keys in videos}.values())
        self.bar.update(len(videos) - len(distinct))  # copies of a file under other ids
        with preparers(processes) as beside:
            while distinct:
                distinct = self._journal(self._beside(distinct, self.extract, beside))

    def _journal(self, computed: _Computed) -> list[Keys]:
        """Journal each video; return those during which the process that prepared them crashed."""
        crashed = []
        for keys, rows in computed:
            try:
                with self.journal.attempt(keys) as crashes:
                    self._attempt(keys, rows, crashes)
            except PreparerDied as died:
                self._record(keys, died)
                crashed.append(keys)
            else:
                self.bar.update()
        return crashed

    def _attempt(self, keys: Keys, rows: Callable[[], list[Row]], crashes: list[str]) -> None:
        try:
            if len(crashes) >= MAX_CRASHES:
                raise UnusableVideo(f"the process that read it died {len(crashes)} times: {'; '.join(crashes)}")
            computed = rows()
            with self.timing.writing():
                self.journal.write(keys, computed)
        except UnusableVideo as error:
            with self.timing.writing():
                self.journal.fail(keys, Failure(error.reason, error.frames_decoded))

    def _here(self, videos: Sequence[Keys]) -> _Computed:
        for keys in videos:
            if keys in self.journal:
                self.bar.update()
                continue  # a copy of a file that another id of this shard has brought already
            yield keys, partial(self._computed_here, keys)

    def _computed_here(self, keys: Keys) -> list[Row]:
        with self.source(keys.id) as given:
            if isinstance(self.extract, NetworkExtraction):
                prepared = prefetch(self.extract.prepare(given))
                return self.timing.computed(self.extract.compute, prepared)
            return self.timing.computed(self.extract, given)

    def _beside(self, videos: Sequence[Keys], extraction: NetworkExtraction, beside: Preparers) -> _Computed:
        hopeless = [keys for keys in videos if len(self.journal.crashes(keys)) >= MAX_CRASHES]
        yield from ((keys, list) for keys in hopeless)
        rest = [keys for keys in videos if keys not in hopeless]
        for keys, prepared in self.timing.waited(beside.videos(extraction.prepare, self.source, rest)):
            yield keys, partial(self.timing.computed, extraction.compute, prepared)

    def _record(self, keys: Keys, died: PreparerDied) -> None:
        """Note a crash that may be the video's fault; raise where it was none."""
        crash = self.journal.record_crash(keys, died.last_words)
        if crash is not None:
            logging.getLogger("luigi-interface").warning(f"a process that prepared {keys.id} crashed: {crash}")
            return
        end = f"a process that prepared {keys.id} {format_end(died.exit_code)}"
        if died.exit_code == -signal.SIGKILL:
            raise MemoryError(f"{end}, as the system does when memory runs out")
        raise ChildProcessError(end)
