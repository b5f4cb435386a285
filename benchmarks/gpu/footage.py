"""Gives the parts clips of video: real ones where they are, else films that are made up."""

import os
from pathlib import Path

import numpy as np
import table

from pipeline.video.encode import write

COUNT = 24
HEIGHT, WIDTH, FRAMES, FPS = 240, 320, 100, 25.0


def clips(*, small: bool) -> tuple[str, list[Path]]:
    """Return where clips are from, in words, and the clips."""
    count = 2 if small else COUNT
    if sorted((table.shared() / "ucf101-11" / "videos").glob("*/*.mp4")):
        return "UCF-101", table.clips(count)
    folder = Path(os.environ["WORK"]) / "films"
    folder.mkdir(exist_ok=True)
    films = [folder / f"{number:02}.mp4" for number in range(count)]
    for number, film in enumerate(films):
        if not film.exists():
            write(film, _moving_texture(number), FPS)
    return "made up", films


def _moving_texture(number: int) -> np.ndarray:
    """Return RGB frames (time, height, width, 3) uint8 of a texture that moves by up to 3 pixels a frame."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    picture, motion = coarse.repeat(8, axis=0).repeat(8, axis=1), rng.integers(-3, 4, 2)
    return np.stack([np.roll(picture, time * motion, axis=(0, 1)) for time in range(FRAMES)])
