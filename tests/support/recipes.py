"""A small data set, skeleton files and a small experiment that several tests run."""

from pathlib import Path

import numpy as np

from pipeline.results.sweeps import flat
from tasks.experiment import Experiment

SMALL = """
[dataset]
name = "stick_figures"
subjects = 2
scenarios = ["d1"]
repetitions = 1
train_subjects = 1
"""
SKELETONS = f"""
title = "a real run"
{SMALL}
[[streams]]
extractor = {{ name = "skeleton" }}
model = {{ name = "drnn", order = 0, state = 8, steps = 8, fit = {{ epochs = 2 }} }}
"""


def write_skeleton(path: Path, seed: int) -> None:
    """16 frames of 20 joints that walk at random."""
    rng = np.random.default_rng(seed)
    joints = rng.normal(size=(1, 20, 3)) + rng.normal(scale=0.05, size=(16, 20, 3)).cumsum(0)
    rows = np.concatenate([joints, np.ones((16, 20, 1))], axis=2).reshape(-1, 4)
    path.parent.mkdir(exist_ok=True)
    np.savetxt(path, rows, fmt="%.6f")


def differences(one: Experiment, other: Experiment) -> set[str]:
    """The dotted places in which two recipes differ."""
    first, second = (flat(each.model_dump(mode="json")) for each in (one, other))
    return {place for place in first.keys() | second.keys() if first.get(place, ...) != second.get(place, ...)}
