"""Measures improved dense trajectories, beside OpenCV's flow alone.

    python benchmarks/idt.py [--json]

Ours are all of it, from decoding to descriptors, and with ``--camera-motion 0`` what is left without the removal of the
camera's motion. The peer computes no more than two of OpenCV's Farnebäck flows a frame, with the same parameters over
as many scales: what the authors' program needs at the least, for it takes each frame pair's flow twice. It gives the
finest scale's flow alone. Then what each part of ours takes, in milliseconds a frame, against the whole.
"""

import cProfile
import pstats
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from table import Comparison, Table, fastest, options

from extractors.base import Clip
from extractors.trajectories import camera_motion, descriptors, farneback
from extractors.trajectories.config import Trajectories
from pipeline.video.decode import read
from pipeline.video.encode import write

WIDTH, HEIGHT = 160, 120
PARTS = {
    "flow": (farneback.expansions, farneback.flows),
    "camera motion": (camera_motion.CameraMotion.steadied,),
    "descriptors": (descriptors.integrals, descriptors.describe),
}


def video(path: Path, frames: int) -> None:
    """Write a video of a camera that pans over a texture with others moving before it, the same each time."""
    rng = np.random.default_rng(0)
    noise = sum(sigma * cv2.GaussianBlur(rng.standard_normal((400, 600)), (0, 0), sigma) for sigma in (1.5, 3, 6))
    wall = cv2.normalize(np.asarray(noise), np.empty(0), 20, 235, cv2.NORM_MINMAX).astype(np.uint8)
    pictures = []
    for frame in range(frames):
        place = 100 + 60 * np.sin(frame / 40)
        picture = seen(wall, place, 100)
        for number in range(4):
            left, top = 20 + 30 * number + 12 * np.sin(frame / (5 + number)), 30 + 25 * np.cos(frame / (7 + number))
            picture[int(top) :][:35, int(left) :][:, :25] = seen(wall, 300 + left, 200 + top)[:35, :25]
        pictures.append(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB))
    write(path, pictures, 25)


def seen(wall: np.ndarray, x: float, y: float) -> np.ndarray:
    """Cut a frame out of the wall, with its corner at (x, y)."""
    shift = np.array([[1, 0, x], [0, 1, y]], np.float64)
    return np.asarray(cv2.warpAffine(wall, shift, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))


def ours(path: Path, config: Trajectories) -> int:
    """Compute all trajectories, and return their number."""
    return sum(len(row.arrays["features"]) for row in config.build("cpu")(Clip(path)))


def peer(path: Path) -> None:
    """Compute two flows for each frame."""
    frames, unknown = read(path, colour="grey").frames, np.empty(0)
    levels = len(Trajectories().layout.sizes(HEIGHT, WIDTH)) - 1
    for before, after in pairwise(frames):
        for _ in range(2):
            cv2.calcOpticalFlowFarneback(
                before, after, unknown, 2**-0.5, levels, 10, 2, 7, 1.5, cv2.OPTFLOW_FARNEBACK_GAUSSIAN
            )


def shares(path: Path, frames: int, table: Table) -> None:
    """Add lines with the milliseconds that each part takes for a frame, beside the whole."""
    profile = cProfile.Profile()
    profile.runcall(ours, path, Trajectories())
    measured: Any = pstats.Stats(profile)
    for part, functions in PARTS.items():
        codes = [function.__code__ for function in functions]
        places = [(code.co_filename, code.co_firstlineno, code.co_name) for code in codes]
        seconds = sum(measured.stats[place][3] for place in places)
        times = 1000 * seconds / frames, 1000 * measured.total_tt / frames
        table.add(Comparison(f"{part}; of the whole", *times, "ms", "a frame, profiled", 1))


def main() -> None:
    given, table = options(__doc__ or "", frames=200, rounds=3)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pan.mp4"
        video(path, given.frames)
        for config, name in ((Trajectories(), "IDT"), (Trajectories(camera_motion=False), "IDT without camera motion")):
            found = ours(path, config)
            seconds = fastest(given.rounds, lambda config=config: ours(path, config), lambda: peer(path))
            rates = [given.frames / second for second in seconds]
            sizes = f"{given.frames} frames {WIDTH}x{HEIGHT}, {found} trajectories"
            table.add(Comparison(f"{name}; OpenCV's flow alone, twice", *rates, "frames/s", sizes, 1))
        shares(path, given.frames, table)


if __name__ == "__main__":
    main()
