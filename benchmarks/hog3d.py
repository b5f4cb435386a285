"""Measures dense HOG3D of KTH's size, 56 boxes × 1000 a frame, against NumPy.

    python benchmarks/hog3d.py [--json]

The peer is the float64 transcription that the tests compare with, one sub-block after another on one thread. It
describes a few of a frame's boxes, and its rate is for as many as a frame has. Ours takes frames that lie in memory, as
they are decoded in blocks, to descriptors that are left on the device. Both see the same frames.
"""

import runpy
from collections.abc import Callable

import numpy as np
import torch
from table import ROOT, Comparison, fastest, options

from extractors.hog3d.dense import Dense
from extractors.hog3d.grid import Descriptor, Grid

PLAIN = runpy.run_path(str(ROOT / "tests" / "support" / "plain_hog3d.py"))
HEIGHT, WIDTH, BLOCK_FRAMES = 120, 160, 32


def moving_texture(frames: int) -> np.ndarray:
    """Return grey frames uint8 (frames, 120, 160) in which every sub-block has a gradient."""
    texture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    return np.stack([np.roll(texture, 2 * number, axis=1) for number in range(frames)])


def ours(frames: np.ndarray, device: str) -> Callable[[], None]:
    """Return a function that computes all descriptors of the clip."""
    dense, blocks = (
        Dense(Descriptor(), Grid(), device),
        np.split(frames, range(BLOCK_FRAMES, len(frames), BLOCK_FRAMES)),
    )

    def describe() -> None:
        for _ in dense(blocks):
            pass
        if device == "cuda":
            torch.cuda.synchronize()

    return describe


def plain(frames: np.ndarray, boxes: int) -> Callable[[], None]:
    """Return a function that computes the descriptors of the first boxes of one frame position."""
    config, grid = Descriptor(), Grid()
    points = [
        np.array([left + side / 2, top + side / 2, 8, side / config.sigma_support, grid.tau_frames])
        for tops, lefts, side in grid.places(config, HEIGHT, WIDTH)
        for top in tops
        for left in lefts
    ]

    def describe() -> None:
        gradient = PLAIN["gradients"](frames[:17])
        for point in points[:boxes]:
            PLAIN["describe"](gradient, point, config)

    return describe


def main() -> None:
    given, table = options(__doc__ or "", frames=256, boxes=4, rounds=5, threads=2)
    torch.set_num_threads(given.threads)
    frames = moving_texture(given.frames)
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        seconds, peer = fastest(given.rounds, ours(frames, device), plain(frames, given.boxes))
        rates = given.frames / seconds, given.boxes / 56 / peer
        sizes = f"{given.frames} frames {WIDTH}x{HEIGHT}, 56 x 1000 each"
        threads = f"{given.threads}, peer 1"
        table.add(Comparison(f"dense HOG3D on {device}; plain NumPy", *rates, "frames/s", sizes, threads))


if __name__ == "__main__":
    main()
