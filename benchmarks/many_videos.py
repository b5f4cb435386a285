"""Measures how time and memory grow with the number of videos.

    python benchmarks/many_videos.py [--json]

Data sets of UCF-101's and of FCVID's size go through everything that a run does for each video besides computing it:
index, keys of rows, shards, luigi's scheduling, and a rerun that has nothing to do. The videos are skeleton files of a
few contents under many names, so that luigi, tasks and store are the real ones, and rows are of few numbers.

A line sets a thousand videos among many against a thousand among few. What grows with the number of videos has a ratio
about 1, or above where there is a fixed cost; what grows with its square has that of the two numbers, 0.15 at the usual
sizes. Each step runs in a process of its own, as a user starts it. Its first line is in seconds of the clock; the
second is what the main process computes meanwhile, which is luigi's scheduling where another one makes the shards; the
third is that main process's peak of memory.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scheduling import CLASSES, RECIPE, make_files
from table import ROOT, Comparison, options

CONTENTS = 4 * CLASSES
FITTED_AT_ONCE = RECIPE.replace('"linear_svm"', '"linear_svm", C = 1e-5')
"""Recipe whose SVM converges soon on examples that are all there many times."""
STEP = """
import json, luigi, sys, tasks, time
from pathlib import Path
tasks.start()
{step}
peak_kib = next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith("VmHWM"))
print(json.dumps([time.process_time(), peak_kib / 1024]))
"""
LUIGI = 'assert luigi.run(["--module", "tasks", *sys.argv[1:]], detailed_summary=True).status.name == "SUCCESS"'
KEYS = """
stage = tasks.Extract.from_str_params(json.loads(sys.argv[1]))
assert len(stage.row_keys.keys) == {videos}
print(stage.path())
"""


class Cost(NamedTuple):
    """What a step takes: seconds of the clock, seconds that its main process computes, and that one's peak memory."""

    wall_s: float
    cpu_s: float
    memory_mib: float


def make_videos(root: Path, videos: int) -> None:
    """Write skeletons under as many names, which are links to a few files."""
    make_files(root, CONTENTS)
    files = sorted(root.glob("*/*.txt"), key=lambda path: path.name)
    for number in range(CONTENTS, videos):
        source = files[number % CONTENTS]
        source.with_name(f"video{number:05d}.txt").hardlink_to(source)


def cost(settings: Path, step: str, *arguments: str) -> Cost:
    """Take a step in a process of its own; exit where it fails."""
    began = time.perf_counter()
    command = [sys.executable, "-c", STEP.format(step=step), *arguments]
    environment = {**os.environ, "LUIGI_CONFIG_PATH": str(settings)}
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    if ended.returncode:
        sys.exit(f"{arguments} ended with {ended.returncode}:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    return Cost(time.perf_counter() - began, *json.loads(ended.stdout.splitlines()[-1]))


def costs(folder: Path, videos: int) -> Iterator[tuple[str, Cost]]:
    """Yield what each step takes with so many videos, by its name."""
    files, recipe, settings = folder / "files", folder / "recipe.toml", folder / "luigi.cfg"
    make_videos(files, videos)
    recipe.write_text(FITTED_AT_ONCE.format(root=files))
    settings.write_text(f"[core]\nworkers = 1\n[kinescope]\nstore = {folder}/store\ndevice = cpu\n")
    dataset, extractor = json.dumps({"name": "folder", "root": str(files)}), json.dumps({"name": "skeleton"})
    stage = json.dumps({"dataset": dataset, "extractor": extractor})
    evaluation = (LUIGI, "Evaluate", "--experiment", str(recipe))
    yield "index", cost(settings, LUIGI, "Index", "--dataset", dataset)
    yield "keys of rows", cost(settings, KEYS.format(videos=videos), stage)
    yield "shards", cost(settings, LUIGI, "Extract", "--dataset", dataset, "--extractor", extractor)
    yield "training, testing and report", cost(settings, *evaluation)
    yield "rerun with nothing to do", cost(settings, *evaluation)


def main() -> None:
    given, table = options(__doc__ or "", few=13_320, many=91_223)
    counts = (given.many, given.few)
    with tempfile.TemporaryDirectory() as name:
        steps = (costs(Path(name) / str(videos), videos) for videos in counts)
        for (step, many), (_, few) in zip(*steps, strict=True):
            for what, unit, *figures in (
                (step, "s", many.wall_s, few.wall_s),
                (f"{step}: main process", "s", many.cpu_s, few.cpu_s),
                (f"{step}: its memory", "MiB", many.memory_mib, few.memory_mib),
            ):
                ours, peer = (1000 * figure / videos for figure, videos in zip(figures, counts, strict=True))
                said = [f"{videos}: {figure:.4g} {unit}" for figure, videos in zip(figures, counts, strict=True)]
                table.add(Comparison(what, ours, peer, unit, f"a thousand videos of {'; of '.join(said)}", 1))


if __name__ == "__main__":
    main()
