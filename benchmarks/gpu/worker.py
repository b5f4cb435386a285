"""One process that extracts clips into sealed shards: ``worker.py EXTRACTOR DEVICE [--small]``.

It says when it is ready, and whether its extractor has a network that other processes can prepare for. For each number
of seconds, and of such processes, that it is told it extracts, shard after shard, and says how many time steps and
videos came out.
"""

import sys
import tempfile
import time
from contextlib import nullcontext
from functools import partial
from itertools import count
from pathlib import Path

import cv2
import torch
from configurations import extractor
from footage import clips

from extractors.base import Clip, Extraction
from pipeline.preparation.extraction import NetworkExtraction
from pipeline.rows import Keys
from pipeline.store import Store
from pipeline.store.fill import fill
from pipeline.store.journal import Journal

VIDEOS = 4
"""Videos of a shard for each process that prepares: few, since the last one ends late."""


def clip(clips: dict[str, Clip], video: str) -> nullcontext[Clip]:
    """Return what an extractor reads, as ``fill`` asks for it."""
    return nullcontext(clips[video])


def shard(path: Path, extract: Extraction, videos: list[Path], processes: int) -> int:
    """Extract videos into a sealed shard, and return the number of time steps."""
    by_id = {f"{number}": Clip(video) for number, video in enumerate(videos)}
    keys = [Keys(name, "digest", (f"{number:032x}",)) for number, name in enumerate(by_id)]
    fill(
        path,
        keys,
        partial(clip, by_id),
        lambda: extract,
        journal=Journal(path.with_suffix(".journal")),
        earlier={},
        provenance=dict,
        processes=processes,
    )
    store = Store(path)
    return sum(len(row.arrays["start_frames"]) for name in by_id for row in store.rows(name))


def main(name: str, device: str, *options: str) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    small = "--small" in options
    config, (_, videos) = extractor(name, small=small), clips(small=small)
    extract = config.build(device)
    with tempfile.TemporaryDirectory() as folder:
        shard(Path(folder) / "first.h5", extract, videos[:1], 0)  # whatever is slow once
        print("network" if isinstance(extract, NetworkExtraction) else "alone", flush=True)
        numbers = count()
        for line in sys.stdin:
            seconds, processes = line.split()
            size = 1 if small else VIDEOS * max(1, int(processes))
            end, done, time_steps = time.monotonic() + float(seconds), 0, 0
            while time.monotonic() < end or not done:
                number = next(numbers)
                taken = [videos[(number * size + place) % len(videos)] for place in range(size)]
                time_steps += shard(Path(folder) / f"{number}.h5", extract, taken, int(processes))
                done += size
            print(time_steps, done, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
