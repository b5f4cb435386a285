"""Measures what extractors of the same videos would gain from one decode pass.

    python benchmarks/shared_decode.py [--json]

Each pair is timed as it runs, every extractor decoding for itself, and with all decoded frames lying in memory for the
second one: the most that any way of sharing can save, since nothing is paid for holding or handing on frames. The last
pair has networks that cost nothing, as two on a GPU that never keeps them waiting.
"""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import torch
from table import Comparison, Table, clips, fastest, options, shared

import pipeline.video.decode
from extractors.base import Clip, Extraction, Extractor
from extractors.frames import Frames
from extractors.snippets.config import Backbone
from extractors.trajectories.config import Trajectories
from extractors.tsn.config import TSN
from extractors.tsn.inference import SnippetFeatureExtractor
from extractors.tvl1.config import TVL1
from pipeline.video.decode import Block, decode

WEIGHTS = "squeezenet1_0-imagenet.safetensors"


def pairs() -> Iterator[tuple[Extractor, Extractor]]:
    """Yield extractors that run on the same videos: those of a two-stream TSN, and trajectories beside its flow."""
    small = TVL1(size_px=(160, 120), stride_frames=5)
    yield Frames(), one_crop()
    yield Frames(), small
    yield one_crop(), small
    yield small, Trajectories(size_px=(160, 120))


def one_crop() -> TSN:
    """Return a TSN that looks at the centre alone."""
    network = Backbone(backbone="squeezenet1_0", weights=str(shared() / "weights" / WEIGHTS))
    return TSN(network=network, crops=1)


def no_network(_: SnippetFeatureExtractor, batch: np.ndarray) -> np.ndarray:
    """Stand in for a network."""
    return np.zeros((len(batch), 1), np.float32)


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


def compare(table: Table, one: Extractor, other: Extractor, held: Held, given: Namespace, networks: str = "") -> None:
    """Add the line of a pair to the table."""
    videos = clips(given.clips)
    first, second = one.build(given.device), other.build(given.device)

    def shared_pass() -> None:
        run(first, videos)
        with patch.object(pipeline.video.decode, "decode", held):
            run(second, videos)

    def separate() -> None:
        run(first, videos)
        run(second, videos)

    separate()  # compiles
    ours, peer = fastest(given.rounds, shared_pass, separate)
    names = f"{one.name} and {other.name}{networks}: one decode pass at best; two passes"
    table.add(Comparison(names, ours, peer, "s", f"{given.clips} videos, on {given.device}", given.threads))


def main() -> None:
    given, table = options(__doc__ or "", clips=6, rounds=2, threads=1, device="cpu")
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(given.threads)
    held = Held(clips(given.clips))
    for one, other in pairs():
        compare(table, one, other, held, given)
    with patch.object(SnippetFeatureExtractor, "__call__", no_network):
        compare(table, one_crop(), one_crop(), held, given, " without their networks")


if __name__ == "__main__":
    main()
