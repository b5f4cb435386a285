"""Measures space-time interest points with HOF, against a plain version.

    python benchmarks/harris3d.py [--json]

Both read the same video of discs that swing before a textured wall, find the same points and describe them by the same
flow. The peer is written down from the papers: float64, SciPy's Gaussian filters over the whole clip, scale by scale,
and for each point the sums over its cells.
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter
from table import Comparison, fastest, options
from threadpoolctl import threadpool_limits

from extractors.base import Clip
from extractors.harris3d.config import Harris3D
from extractors.harris3d.hof import votes
from pipeline.video.decode import read
from pipeline.video.encode import write

CONFIG = Harris3D()
WIDTH, HEIGHT, DISCS = 160, 120, 12


def video(path: Path, frames: int) -> None:
    """Write a video of swinging discs, the same each time."""
    rng = np.random.default_rng(0)
    wall = cv2.GaussianBlur(rng.integers(60, 180, (HEIGHT, WIDTH), np.uint8), (5, 5), 1)
    centres = rng.uniform((30, 20), (WIDTH - 30, HEIGHT - 20), (DISCS, 2))
    periods, sizes = rng.uniform(10, 40, (DISCS, 2)), rng.integers(3, 9, DISCS)
    pictures = []
    for frame in range(frames):
        picture = wall.copy()
        places = (16 * (centres + 12 * np.sin(2 * np.pi * frame / periods))).astype(int)
        for number, (place, size) in enumerate(zip(places, sizes, strict=True)):
            cv2.circle(picture, place.tolist(), 16 * int(size), 230 * (number % 2), -1, cv2.LINE_AA, shift=4)
        pictures.append(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB))
    write(path, pictures, 25)


def ours(path: Path) -> int:
    """Detect and describe points by the extractor, and return their number."""
    return sum(len(row.arrays["features"]) for row in CONFIG.build("cpu")(Clip(path)))


def peer(path: Path) -> int:
    """Detect and describe points by the plain version, and return their number."""
    frames = read(path, colour="grey").frames
    given = np.array([votes(*frames[pair : pair + 2]) for pair in range(len(frames) - 1)], np.float64)
    points = [
        (x, y, t, sigma, tau)
        for sigma in CONFIG.sigmas
        for tau in CONFIG.taus
        for t, y, x in np.argwhere(maxima(frames, sigma, tau))
    ]
    return len([described(given, *point) for point in points])


def maxima(frames: np.ndarray, sigma: float, tau: float) -> np.ndarray:
    """Return a mask (time, height, width) of the local maxima of H above the threshold, at one scale."""
    scale = (tau, sigma, sigma)
    margins = [int(3 * deviation + 0.5) for deviation in scale]
    level = gaussian_filter(frames / 255, scale, truncate=3)[tuple(slice(m, -m) for m in margins)]
    inside = (slice(1, -1),) * 3
    lt, ly, lx = (unit * slope[inside] for unit, slope in zip(scale, np.gradient(level), strict=True))
    wider = [2**0.5 * deviation for deviation in scale]
    there = gaussian_filter(np.ones_like(lx), wider, truncate=3, mode="constant")
    xx, xy, xt, yy, yt, tt = (
        gaussian_filter(one * other, wider, truncate=3, mode="constant") / there
        for one, other in ((lx, lx), (lx, ly), (lx, lt), (ly, ly), (ly, lt), (lt, lt))
    )
    determinant = xx * (yy * tt - yt**2) - xy * (xy * tt - yt * xt) + xt * (xy * yt - yy * xt)
    response = determinant - CONFIG.k * (xx + yy + tt) ** 3
    highest = maximum_filter(response, 3, mode="constant", cval=np.inf)
    return np.pad((response == highest) & (response > CONFIG.threshold), [(m + 1, m + 1) for m in margins])


def described(given: np.ndarray, x: int, y: int, t: int, sigma: float, tau: float) -> np.ndarray:
    """Return the normalised votes of the flow in each cell around a point, (90,)."""
    inner, outer, deep = round(3 * sigma), round(9 * sigma), round(4 * tau)
    edges = (-outer, -inner, inner + 1, outer + 1)
    rows, columns, pairs = ([max(0, place + edge) for edge in sides] for place, sides in
                            ((y, edges), (x, edges), (t, (-deep, 0, deep))))  # fmt: skip
    cells = [
        given[pairs[i] : pairs[i + 1], rows[j] : rows[j + 1], columns[k] : columns[k + 1]].sum(axis=(0, 1, 2))
        for i in range(2)
        for j in range(3)
        for k in range(3)
    ]
    return np.concatenate([cell / cell.sum() for cell in cells])


def main() -> None:
    given, table = options(__doc__ or "", frames=120, rounds=3)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        path = Path(folder) / "discs.mp4"
        video(path, given.frames)
        points, plain = ours(path), peer(path)
        if points != plain:
            raise RuntimeError(f"the two sides found different numbers of points: {points} and {plain}")
        seconds = fastest(given.rounds, lambda: ours(path), lambda: peer(path))
    sizes = f"{given.frames} frames, {WIDTH}x{HEIGHT}, 12 scales, {points} points"
    rates = [given.frames / second for second in seconds]
    table.add(Comparison("Harris3D with HOF; SciPy in float64", *rates, "frames/s", sizes, 1))


if __name__ == "__main__":
    main()
