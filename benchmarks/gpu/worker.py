"""One process that extracts clips into sealed shards: ``worker.py EXTRACTOR DEVICE [--small]``.

It says when it is ready. For each number of seconds that it is told it extracts, shard after shard, and says how many
time steps and videos came out.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import torch
from configurations import extractor
from footage import clips

from extractors.base import Clip, Extraction
from pipeline.rows import Keys, Row
from pipeline.store.fill import fill
from pipeline.store.journal import Journal

VIDEOS = 4
"""Videos of a shard: few, since the last one ends late."""


def shard(path: Path, extract: Extraction, videos: list[Path]) -> None:
    """Extract videos into a sealed shard."""
    by_id = {f"{number}": Clip(video) for number, video in enumerate(videos)}
    keys = [Keys(name, "digest", (f"{number:032x}",)) for number, name in enumerate(by_id)]
    fill(
        path,
        keys,
        lambda video: nullcontext(by_id[video]),
        lambda: extract,
        journal=Journal(path.with_suffix(".journal")),
        earlier={},
        provenance=dict,
    )


class Counting:
    """An extraction that counts the time steps of its rows."""

    def __init__(self, extract: Extraction) -> None:
        self.extract, self.time_steps = extract, 0

    def __call__(self, source: Any) -> Iterator[Row]:
        for row in self.extract(source):
            self.time_steps += len(row.arrays["start_frames"])
            yield row


def main(name: str, device: str, *options: str) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    small = "--small" in options
    config, (_, videos) = extractor(name, small=small), clips(small=small)
    extract, size = Counting(config.build(device)), 1 if small else VIDEOS
    with tempfile.TemporaryDirectory() as folder:
        shard(Path(folder) / "first.h5", extract, videos[:1])  # whatever is slow once
        print("ready", flush=True)
        numbers = count()
        for line in sys.stdin:
            end, done, extract.time_steps = time.monotonic() + float(line), 0, 0
            while time.monotonic() < end or not done:
                number = next(numbers)
                taken = [videos[(number * size + place) % len(videos)] for place in range(size)]
                shard(Path(folder) / f"{number}.h5", extract, taken)
                done += size
            print(extract.time_steps, done, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
