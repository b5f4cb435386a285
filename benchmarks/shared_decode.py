"""Measures what extractors of the same videos would gain from one decode pass.

    python benchmarks/shared_decode.py [--json]

Each pair is timed as it runs, every extractor decoding for itself, and with all decoded frames lying in memory for the
second one: the most that any way of sharing can save, since nothing is paid for holding or handing on frames.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import torch
from table import Comparison, clips, fastest, options, shared

import pipeline.video.decode
from extractors.base import Clip, Extraction, Extractor
from extractors.frames import Frames
from extractors.snippets.config import Backbone
from extractors.trajectories.config import Trajectories
from extractors.tsn.config import TSN
from extractors.tvl1.config import TVL1
from pipeline.video.decode import Block, decode

WEIGHTS = "squeezenet1_0-imagenet.safetensors"


def pairs() -> Iterator[tuple[Extractor, Extractor]]:
    """Yield extractors that run on the same videos: those of a two-stream TSN, and trajectories beside its flow."""
    network = Backbone(backbone="squeezenet1_0", weights=str(shared() / "weights" / WEIGHTS))
    small = TVL1(size_px=(160, 120), stride_frames=5)
    yield Frames(), TSN(network=network, crops=1)
    yield Frames(), small
    yield TSN(network=network, crops=1), small
    yield small, Trajectories(size_px=(160, 120))


class Held:
    """Replacement of ``decode`` that yields frames decoded before."""

    def __init__(self, videos: list[Path]) -> None:
        self.blocks: dict[tuple[Path, str], list[Block]] = {
            (path, colour): list(decode(path, colour=colour)) for path in videos for colour in ("rgb", "grey")
        }

    def __call__(self, path: Path, *, colour: str = "rgb", **_: Any) -> Iterator[Block]:
        return iter(self.blocks[path, colour])


def run(extraction: Extraction, videos: list[Path]) -> None:
    for path in videos:
        for _ in extraction(Clip(path)):
            pass


def main() -> None:
    given, table = options(__doc__ or "", clips=6, rounds=2, threads=1, device="cpu")
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(given.threads)
    videos = clips(given.clips)
    held = Held(videos)
    for one, other in pairs():
        first, second = one.build(given.device), other.build(given.device)

        def shared_pass(first: Extraction = first, second: Extraction = second) -> None:
            run(first, videos)
            with patch.object(pipeline.video.decode, "decode", held):
                run(second, videos)

        def separate(first: Extraction = first, second: Extraction = second) -> None:
            run(first, videos)
            run(second, videos)

        separate()  # compiles
        ours, peer = fastest(given.rounds, shared_pass, separate)
        names = f"{one.name} and {other.name}: one decode pass at best; two passes"
        sizes = f"{given.clips} videos, on {given.device}"
        table.add(Comparison(names, ours, peer, "s", sizes, given.threads))


if __name__ == "__main__":
    main()
