"""Measures extraction from videos to a sealed store, against its slower half alone.

    python benchmarks/extraction.py [--json]

TSN on SqueezeNet 1.0, and C3D with random weights. Ours decodes, samples, scales, crops, computes, journals and seals.
One peer decodes the same frames and does no more; the other computes the same clips, which lie in memory ready for it.
The goal is 0.9 of the slower of the two: whatever the machinery costs besides, and whatever of decoding and computing
could overlap and does not, shows as a ratio below 1.
TSN is measured with one crop and with ten once more, beside decoding, with a network that costs nothing: so fast are
clips prepared for a GPU that never keeps them waiting.
"""

import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from safetensors.torch import save_file
from table import Comparison, Table, clips, fastest, options, shared

from extractors.base import Clip, Extractor
from extractors.c3d.config import C3D
from extractors.c3d.network import C3DNetwork, ClipFeatureExtractor
from extractors.snippets.config import Backbone
from extractors.tsn.config import TSN
from extractors.tsn.inference import SnippetFeatureExtractor
from pipeline.rows import Keys
from pipeline.store.fill import fill
from pipeline.store.journal import Journal
from pipeline.video.decode import decode

WEIGHTS = "squeezenet1_0-imagenet.safetensors"


def computed(
    config: Extractor,
    feature_extractor: type[SnippetFeatureExtractor | ClipFeatureExtractor],
    device: str,
    videos: list[Clip],
) -> tuple[Callable[[], object], int]:
    """Return a function that computes what the network alone does for these videos, and the number of clips."""
    calls: list[Callable[[], object]] = []
    compute, starts = feature_extractor.__call__, 0

    def record(self: SnippetFeatureExtractor | ClipFeatureExtractor, batch: np.ndarray) -> np.ndarray:
        calls.append(partial(compute, self, batch))
        return compute(self, batch)

    with patch.object(feature_extractor, "__call__", record):
        extraction = config.build(device)
        for video in videos:
            (row,) = extraction(video)
            starts += len(row.arrays["start_frames"])
    return lambda: [call() for call in calls], starts


def extract(config: Extractor, device: str, videos: list[Clip]) -> None:
    """Extract the videos into a sealed shard, as a task does."""
    keys = [Keys(video.path.stem, "digest", (f"{number:032x}",)) for number, video in enumerate(videos)]
    by_id = {video.path.stem: video for video in videos}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        journal = Journal(folder / "journal")
        fill(
            folder / "shard.h5",
            keys,
            lambda video: nullcontext(by_id[video]),
            lambda: config.build(device),
            journal=journal,
            earlier={},
            provenance=dict,
        )


def compare(
    table: Table,
    config: Extractor,
    feature_extractor: type[SnippetFeatureExtractor | ClipFeatureExtractor],
    *,
    videos: list[Clip],
    rounds: int,
    device: str,
    threads: int,
) -> None:
    """Add two lines to the table, of which the one against the slower peer counts."""
    compute, count = computed(config, feature_extractor, device, videos)
    ours, *peers = fastest(
        rounds,
        lambda: extract(config, device, videos),
        lambda: decode_all(videos),
        compute,
    )
    sizes = f"{len(videos)} videos, {count} clips, on {device}"
    for what, peer in zip(("decoding", "the network"), peers, strict=True):
        slower = ", the slower" if peer == max(peers) else ""
        name = f"{config.name.upper()} to a sealed store; {what} alone{slower}"
        table.add(Comparison(name, count / ours, count / peer, "clips/s", sizes, threads))


def compare_prepared(table: Table, config: TSN, *, videos: list[Clip], rounds: int, device: str, threads: int) -> None:
    """Add the line of a network that costs nothing, beside decoding alone."""

    def nothing(_: SnippetFeatureExtractor, batch: np.ndarray) -> np.ndarray:
        return np.zeros((len(batch), 1), np.float32)

    with patch.object(SnippetFeatureExtractor, "__call__", nothing):
        ours, peer = fastest(rounds, lambda: extract(config, device, videos), lambda: decode_all(videos))
    frames = decode_all(videos)
    name = f"TSN, crops: {config.crops}, no network, to a sealed store; decoding alone"
    table.add(Comparison(name, frames / ours, frames / peer, "frames/s", f"{len(videos)} videos", threads))


def decode_all(videos: list[Clip]) -> int:
    """Decode the videos to RGB, and return the number of frames."""
    return sum(len(block.frames) for video in videos for block in decode(video.path, frames=video.frames))


def random_weights(folder: Path) -> Path:
    """Save random weights of C3D, and return their file."""
    file = folder / "c3d.safetensors"
    network = C3DNetwork()
    save_file(network.state_dict(), file)
    return file


def main() -> None:
    given, table = options(
        __doc__ or "", clips=22, snippets=25, crops=1, c3d_frames=32, rounds=2, threads=1, device="cpu"
    )
    torch.set_num_threads(given.threads)
    paths = clips(given.clips)
    measured = {"rounds": given.rounds, "device": given.device, "threads": given.threads}
    network = Backbone(backbone="squeezenet1_0", weights=str(shared() / "weights" / WEIGHTS))
    tsn = TSN(network=network, snippets=given.snippets, crops=given.crops)
    whole = [Clip(path) for path in paths]
    compare(table, tsn, SnippetFeatureExtractor, videos=whole, **measured)
    for crops in (1, 10):
        compare_prepared(table, tsn.model_copy(update={"crops": crops}), videos=whole, **measured)
    with tempfile.TemporaryDirectory() as folder:
        c3d = C3D(weights=str(random_weights(Path(folder))))
        beginnings = [Clip(path, (0, given.c3d_frames)) for path in paths]
        compare(table, c3d, ClipFeatureExtractor, videos=beginnings, **measured)


if __name__ == "__main__":
    main()
