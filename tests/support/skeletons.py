"""Bodies that wander, and the skeleton files of them."""

import numpy as np

from extractors.skeleton.config import Skeleton

SIZES = {"position": 60, "angle": 136, "offset": 54, "velocity": 162, "pairwise": 171}


PLACES = dict(zip(SIZES, np.split(np.arange(583), np.cumsum(list(SIZES.values()))[:-1]), strict=True))
"""Columns of the features by block."""


def walk(time=12, seed=0):
    """A random body, (time, 20, 3), whose joints wander."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(20, 3)) + np.cumsum(rng.normal(scale=0.05, size=(time, 20, 3)), axis=0) + (0, 0, 3)


def text(joints, confidence=1.0):
    rows = np.asarray(joints, float).reshape(-1, 3)
    return "".join(f"{x!r} {y!r} {z!r} {confidence}\n" for x, y, z in rows.tolist())


def extract(clip, **fields):
    return list(Skeleton(**fields).build("cpu")(clip))
