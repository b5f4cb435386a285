"""HOG3D in float64 as it is defined, one sub-block after another: an independent transcription, slow and obvious."""

from typing import Any

import numpy as np

PHI = (1 + np.sqrt(5)) / 2
ICOSAHEDRON = [
    *[(1, 1, 1), (-1, -1, 1), (-1, 1, 1), (1, -1, 1)],
    *[(0, 1 / PHI, PHI), (0, -1 / PHI, PHI), (1 / PHI, PHI, 0), (1 / PHI, -PHI, 0), (PHI, 0, 1 / PHI)],
    (-PHI, 0, 1 / PHI),
]
DODECAHEDRON = [(0, 1, PHI), (0, -1, PHI), (1, PHI, 0), (-1, PHI, 0), (PHI, 0, 1), (PHI, 0, -1)]


def gradients(frames: np.ndarray) -> np.ndarray:
    """Forward differences (3, time, height, width) of grey frames, in x, y and t."""
    grey = frames / 255
    result = np.zeros((3, *grey.shape))
    result[0, :, :, :-1] = grey[:, :, 1:] - grey[:, :, :-1]
    result[1, :, :-1] = grey[:, 1:] - grey[:, :-1]
    result[2, :-1] = grey[1:] - grey[:-1]
    return result


def rounded(number: float) -> int:
    """To the nearest integer, halves away from zero."""
    return int(np.sign(number) * np.floor(abs(number) + 0.5))


def histogram(vector: np.ndarray, config: Any) -> np.ndarray:
    """(bins,) of one vector."""
    length = np.linalg.norm(vector)
    if config.solid == "icosahedron":
        projected, threshold = np.array(ICOSAHEDRON) @ vector, 1.290994 * length
    else:
        projected, threshold = np.array(DODECAHEDRON) @ vector, 0.447214 * np.sqrt(1 + PHI**2) * length
    projected = np.abs(projected) if config.orientation == "half" else np.concatenate((projected, -projected))
    shares = np.maximum(projected - threshold, 0)
    return shares * length / shares.sum() if length else shares


def describe(gradient: np.ndarray, point: np.ndarray, config: Any) -> np.ndarray:
    """(dims,) of the box around x, y, t with scales σ, τ."""
    x, y, t, sigma, tau = point
    cells, slabs, parts = config.cells_xy, config.cells_t, config.sub_blocks
    side, duration = max(parts * cells, config.sigma_support * sigma), max(parts * slabs, config.tau_support * tau)
    left, top, start = x - side / 2, y - side / 2, t - duration / 2
    _, _, height, width = gradient.shape
    found = np.zeros((cells, cells, slabs, len(histogram(np.zeros(3), config))))
    for ix, iy, it in np.ndindex(cells, cells, slabs):
        for i, j, k in np.ndindex(parts, parts, parts):
            x0, x1 = (rounded(left + (ix * parts + i + far) * side / (cells * parts)) for far in (0, 1))
            y0, y1 = (rounded(top + (iy * parts + j + far) * side / (cells * parts)) for far in (0, 1))
            t0, t1 = (rounded(start + (it * parts + k + far) * duration / (slabs * parts)) for far in (0, 1))
            block = gradient[:, t0:t1, max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
            found[ix, iy, it] += histogram(block.sum(axis=(1, 2, 3)), config)
    norms = np.linalg.norm(found, axis=-1, keepdims=True)
    if norms.sum() < 0.1:
        return np.zeros(found.size)
    if config.normalisation == "cell":
        return (found / (norms + 0.02 * parts**3)).ravel()
    clipped = np.minimum(found / np.linalg.norm(found), 0.25)
    return (clipped / np.linalg.norm(clipped)).ravel()
