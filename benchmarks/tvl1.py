"""Measures TV-L1 flow of real pairs of frames, against OpenCV's on the CPU.

    python benchmarks/tvl1.py [--json]

Both compute the same flow from the same parameters and end their iterations by the same rule: the mean distance of
their end points is printed with the sizes. Both have the same number of threads; OpenCV spends them on one pair, ours
on several. Where there is a CUDA device it computes the pairs over and over, transfers included, beside OpenCV's CPU.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from table import Comparison, Table, clips, fastest, options

from extractors.tvl1.config import TVL1
from extractors.tvl1.cpu import CPUFlow
from pipeline.video.decode import read

SIZES = (320, 240), (160, 120)
_FIRST = 10


def pair(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Return two consecutive frames, (2, height, width) uint8."""
    frames = read(path, colour="grey", frames=(_FIRST, _FIRST + 2)).frames
    return np.stack([cv2.resize(frame, size) for frame in frames])


def opencv(pairs: np.ndarray) -> np.ndarray:
    """Compute OpenCV's flow (n, 2, height, width), one pair after another."""
    flows = [cv2.optflow.DualTVL1OpticalFlow_create().calc(first, second, None) for first, second in pairs]
    return np.stack(flows).transpose(0, 3, 1, 2)


def compare(
    table: Table, name: str, pairs: np.ndarray, times: int, threads: int, rounds: int, ours: Callable[..., np.ndarray]
) -> None:
    """Compare ours, on ``times`` copies of the pairs, with the peer on one."""
    many = np.concatenate([pairs] * times)
    apart = np.hypot(*np.moveaxis(ours(many)[: len(pairs)] - opencv(pairs), 1, 0)).mean()
    seconds = fastest(rounds, lambda: ours(many), lambda: opencv(pairs))
    rates = len(many) / seconds[0], len(pairs) / seconds[1]
    sizes = f"{len(pairs)} pairs, UCF-101, {pairs.shape[3]}x{pairs.shape[2]}, {apart:.3f} px apart"
    table.add(Comparison(name, *rates, "pairs/s", sizes, threads))


def main() -> None:
    given, table = options(__doc__ or "", clips=8, rounds=3, threads=2)
    cv2.setNumThreads(given.threads)
    shared = given.threads, given.rounds
    for size in SIZES:
        pairs, words = np.stack([pair(path, size) for path in clips(given.clips)]), f"{size[0]}x{size[1]}"
        compare(table, f"TV-L1 {words}; cv2.optflow.DualTVL1OpticalFlow", pairs, 1, *shared, CPUFlow(TVL1().parameters))
        if torch.cuda.is_available():
            from extractors.tvl1.cuda import CUDAFlow

            name = f"TV-L1 {words} on CUDA; cv2.optflow on the CPU"
            compare(table, name, pairs, 32, *shared, CUDAFlow(TVL1().parameters, "cuda"))


if __name__ == "__main__":
    main()
