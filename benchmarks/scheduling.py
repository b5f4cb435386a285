"""Measures what the machinery costs on many small files.

    python benchmarks/scheduling.py [--json] [--videos 3000,13320]

``Evaluate`` over a ``folder`` of so many small skeleton files, as a user starts it, each time in a process of its own;
against a script that does the same work without it: a loop over the files that extracts and ``np.save``s, then the
same SVM. The difference of the two is what journal, digests, shards, luigi and the report cost. A rerun that has
nothing to do is set against hashing all files anew, which is what a tool without an index of digests does.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from table import ROOT, Comparison, Table, options

CLASSES = 8
JOINTS = 20
FRAMES = 5
RECIPE = """
title = "many small files"
[dataset]
name = "folder"
root = "{root}"
protocol = "stratified"
[[streams]]
extractor = {{ name = "skeleton" }}
model = {{ name = "linear_svm" }}
"""
SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from extractors.base import Clip
from extractors.skeleton.config import Skeleton
files, out = sorted(Path(sys.argv[1]).glob("*/*.txt")), Path(sys.argv[2])
extraction = Skeleton().build("cpu")
for number, file in enumerate(files):
    (row,) = extraction(Clip(file))
    np.save(out / f"{number}.npy", row.arrays["features"])
pooled = np.stack([np.load(out / f"{number}.npy").mean(axis=0) for number in range(len(files))])
labels, test = np.unique([file.parent.name for file in files], return_inverse=True)[1], np.arange(len(files)) % 10 < 3
scaler = StandardScaler().fit(pooled[~test])
machine = LinearSVC(max_iter=50_000, random_state=0).fit(scaler.transform(pooled[~test]), labels[~test])
print((machine.predict(scaler.transform(pooled[test])) == labels[test]).mean())
"""
HASHING = """
import hashlib, sys
from pathlib import Path
for file in Path(sys.argv[1]).glob("*/*.txt"):
    hashlib.file_digest(file.open("rb"), "sha256")
"""


def make_files(root: Path, videos: int) -> None:
    """Write skeletons that move at random about a pose of their class, in one folder for each class."""
    rng = np.random.default_rng(0)
    poses = rng.normal(size=(CLASSES, 1, JOINTS, 3))
    for number in range(videos):
        path = root / f"class{number % CLASSES}" / f"video{number:05d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        joints = poses[number % CLASSES] + rng.normal(scale=0.1, size=(FRAMES, JOINTS, 3))
        rows = np.concatenate([joints, np.ones((FRAMES, JOINTS, 1))], axis=-1).reshape(-1, 4)
        path.write_text("\n".join(" ".join(f"{value:.4f}" for value in row) for row in rows) + "\n")


def seconds(*command: str) -> float:
    """Time a Python command in a process of its own, in the project's root; exit where it fails."""
    began = time.perf_counter()
    ended = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"{command[:2]} ended with {ended.returncode}:\n{ended.stderr[-2000:]}")
    return time.perf_counter() - began


def compare(table: Table, folder: Path, videos: int) -> None:
    """Add the lines for so many videos to the table."""
    files = folder / "files"
    make_files(files, videos)
    (folder / "recipe.toml").write_text(RECIPE.format(root=files))
    (folder / "arrays").mkdir()
    (folder / "luigi.cfg").write_text(f"[core]\nworkers = 1\n[kinescope]\nstore = {folder}/store\ndevice = cpu\n")
    os.environ["LUIGI_CONFIG_PATH"] = f"{folder}/luigi.cfg"
    run = ("-m", "luigi", "--module", "tasks", "Evaluate", "--experiment", f"{folder}/recipe.toml")
    sizes = f"{videos} files of {FRAMES} frames, {CLASSES} classes"
    peer = seconds("-c", SCRIPT, str(files), f"{folder}/arrays")
    table.add(Comparison("first run; a script without the machinery", seconds(*run), peer, "s", sizes, 1))
    peer = seconds("-c", HASHING, str(files))
    table.add(Comparison("rerun with nothing to do; hashing every file", seconds(*run), peer, "s", sizes, 1))


def main() -> None:
    given, table = options(__doc__ or "", videos="3000,13320")
    for videos in map(int, given.videos.split(",")):
        with tempfile.TemporaryDirectory() as name:
            compare(table, Path(name), videos)


if __name__ == "__main__":
    main()
