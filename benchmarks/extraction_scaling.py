"""Measures how extraction scales with the processes that prepare, beside a network of known cost.

    python benchmarks/extraction_scaling.py [--json]

TSN's snippets of real clips, to a sealed store. A stand-in takes the network's place: it sleeps for a fixed time a
batch, which leaves the cores to others, as a GPU does. Each line sets the frames a second beside those of a model:
the smaller of what the network alone could take and what the processes could prepare, each as fast as one of them
alone with a network that costs nothing. The network's utilisation is the share of the time in which it computes. For
more processes than are measured, people are told what the model says.
"""

import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from table import Comparison, clips, options, shared

from extractors.base import Clip, NetworkExtraction
from extractors.snippets.config import Backbone
from extractors.tsn.config import TSN
from pipeline.preparation.preparers import end
from pipeline.rows import Keys
from pipeline.store import provenance
from pipeline.store.fill import fill
from pipeline.store.journal import Journal

WEIGHTS = "squeezenet1_0-imagenet.safetensors"
DIM = 512


@dataclass(frozen=True)
class Files:
    """Context of each video's clip, by its id."""

    paths: dict[str, Path]

    def __call__(self, video: str) -> Any:
        return nullcontext(Clip(self.paths[video]))


@dataclass(frozen=True)
class Sleeping:
    """Stand-in for a network: takes ``batch_s`` seconds a batch, and leaves the cores to others."""

    batch_s: float

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        time.sleep(self.batch_s)
        return np.zeros((len(batch), DIM), np.float32)


def measured(extraction: NetworkExtraction, batch_ms: float, files: Files, processes: int) -> tuple[float, float]:
    """Extract all videos; return the seconds, and the network's utilisation."""
    stand_in = replace(extraction, network=Sleeping(batch_ms / 1000))
    keys = [Keys(name, name, (f"{number:032x}",)) for number, name in enumerate(files.paths)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shard, journal = folder / "shard.h5", Journal(folder / "journal")
        began = time.perf_counter()
        fill(shard, keys, files, lambda: stand_in, journal=journal, earlier={}, provenance=dict, processes=processes)
        took_s = time.perf_counter() - began
        return took_s, provenance(shard)["seconds"]["computing"] / took_s


def main() -> None:
    given, table = options(__doc__ or "", clips=22, crops=10, batch_ms=20.0, rounds=2, most=8)
    paths = {path.stem: path for path in clips(given.clips)}
    network = Backbone(backbone="squeezenet1_0", weights=str(shared() / "weights" / WEIGHTS))
    config = TSN(network=network, crops=given.crops)
    extraction = config.build("cpu")
    assert isinstance(extraction, NetworkExtraction)
    prepared = [item for path in paths.values() for item in extraction.prepare(Clip(path))]
    frames = sum(int(item.attributes["frames"]) for item in prepared if not isinstance(item, np.ndarray))
    batches = sum(isinstance(item, np.ndarray) for item in prepared)
    del prepared
    files, sizes = Files(paths), f"{len(paths)} videos, {given.crops} crops, {given.batch_ms:g} ms a batch"
    measured(extraction, 0, files, 1)  # starts the process
    alone = frames / min(measured(extraction, 0, files, 1)[0] for _ in range(given.rounds))
    bound = frames / (batches * given.batch_ms / 1000) if given.batch_ms else float("inf")
    for processes in (0, 1, 2):
        if processes:
            measured(extraction, 0, files, processes)
        took_s, busy = min(measured(extraction, given.batch_ms, files, processes) for _ in range(given.rounds))
        model = min(bound, max(processes, 1) * alone)
        name = f"TSN, {processes} preparing; network busy {busy:.0%}; model"
        table.add(Comparison(name, frames / took_s, model, "frames/s", sizes, max(processes, 1)))
    end()
    for processes in () if given.json else range(4, given.most + 1, 4):
        model = min(bound, processes * alone)
        print(f"the model for {processes} preparing: {model:.0f} frames/s, network busy {model / bound:.0%}")


if __name__ == "__main__":
    main()
