"""An experiment on videos of stripes that move across or downwards, and films spliced from such scenes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import luigi
import numpy as np

from pipeline.video.encode import write

FPS = 10
CLASSES = ("across", "down")
RECIPE = """
title = "stripes"
[dataset]
name = "folder"
root = "{root}"
[[streams]]
extractor = {{ name = "hog3d", dims = 6, sampled_frames = 4 }}
model = {{ name = "linear_svm" }}
"""


def splice(path: Path, scenes: Sequence[tuple[str, int]], shift: int = 0) -> Path:
    """Write scenes one after another: the class and number of frames of each."""
    write(path, _pictures(scenes, shift), FPS)
    return path


def _pictures(scenes: Sequence[tuple[str, int]], shift: int) -> Iterator[np.ndarray]:
    number = shift
    for name, frames in scenes:
        for _ in range(frames):
            places = np.indices((120, 160))[int(name == "across")] + 3 * number
            yield np.repeat((50 + 150 * (places // 9 % 2)).astype(np.uint8)[..., None], 3, axis=2)
            number += 1


def experiment(folder: Path, clips: int = 5) -> str:
    """Make clips of both classes, and return the path of a recipe for them."""
    for name in CLASSES:
        (folder / "clips" / name).mkdir(parents=True)
        for number in range(clips):
            splice(folder / "clips" / name / f"{number}.mp4", [(name, 24 + number)], shift=7 * number)
    path = folder / "stripes.toml"
    path.write_text(RECIPE.format(root=folder / "clips"))
    luigi.task_register.Register.clear_instance_cache()
    return str(path)
