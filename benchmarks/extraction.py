"""From videos to a sealed store, against its slower half alone: ``python benchmarks/extraction.py [--json]``.

TSN on SqueezeNet 1.0. Ours decodes, samples, scales, crops, computes, journals and seals. One peer decodes the same
videos and does no more; the other computes the same images, which lie in memory ready for it. Whatever the machinery
costs besides, and whatever of decoding and computing could overlap and does not, shows as a ratio below 1.
"""

import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from table import Comparison, clips, fastest, options, shared

from extractors.base import Clip
from extractors.networks.backbones import Describer
from extractors.tsn import TSN, Backbone
from pipeline.keys import Keys
from pipeline.shard import fill
from pipeline.store import Journal
from pipeline.video import decode

WEIGHTS = "squeezenet1_0-imagenet.safetensors"


def seen(config: TSN, device: str, paths: list[Path]) -> list[np.ndarray]:
    """The batches of images that the network computes for these videos."""
    batches: list[np.ndarray] = []

    class Recording(Describer):
        def __call__(self, images: np.ndarray) -> np.ndarray:
            batches.append(images)
            return super().__call__(images)

    with patch("extractors.networks.backbones.Describer", Recording):
        extraction = config.build(device)
    for path in paths:
        list(extraction(Clip(path)))
    return batches


def extract(config: TSN, device: str, paths: list[Path]) -> None:
    """As a task does it."""
    videos = [Keys(path.stem, "digest", (f"{number:032x}",)) for number, path in enumerate(paths)]
    by_id = {path.stem: Clip(path) for path in paths}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        journal = Journal(folder / "journal")
        fill(
            folder / "shard.h5",
            videos,
            by_id.__getitem__,
            lambda: config.build(device),
            journal=journal,
            earlier=(),
            provenance={},
        )


def main() -> None:
    given, table = options(__doc__ or "", clips=22, snippets=25, crops=1, rounds=2, threads=1, device="cpu")
    torch.set_num_threads(given.threads)
    paths = clips(given.clips)
    network = Backbone(backbone="squeezenet1_0", weights=str(shared() / "weights" / WEIGHTS))
    config = TSN(network=network, snippets=given.snippets, crops=given.crops)
    describe = Describer(network.backbone, Path(network.weights), given.device)
    batches = seen(config, given.device, paths)
    ours, decoding, computing = fastest(
        given.rounds,
        lambda: extract(config, given.device, paths),
        lambda: [len(block.frames) for path in paths for block in decode(path)],
        lambda: [describe(batch) for batch in batches],
    )
    sizes = f"{len(paths)} clips, {given.snippets} snippets, {given.crops} crops, on {given.device}"
    for what, peer in (("decoding alone", decoding), ("the network alone", computing)):
        rates = (len(paths) / ours, len(paths) / peer)
        table.add(Comparison(f"TSN to a sealed store; {what}", *rates, "videos/s", sizes, given.threads))


if __name__ == "__main__":
    main()
