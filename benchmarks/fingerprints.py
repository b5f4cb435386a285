"""Fingerprints and row keys of 13,320 videos, with a warm index: ``python benchmarks/fingerprints.py [--json]``.

The peer hashes the same files anew, which is what a tool without an index of digests does.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from luigi.configuration import get_config

import tasks
from pipeline.content import Digests
from tasks.index import library

RECIPE = """
title = "many files"
[dataset]
name = "folder"
root = "{root}"
protocol = "stratified"
[[streams]]
extractor = {{ name = "skeleton" }}
model = {{ name = "drnn" }}
"""


def make_files(root: Path, videos: int, classes: int = 101) -> None:
    """Small skeleton files, all different, in one folder a class."""
    rng = np.random.default_rng(0)
    for number in range(videos):
        path = root / f"class{number % classes:03d}" / f"video{number:05d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = np.column_stack([rng.random((40, 3)), np.ones(40)])
        path.write_text("\n".join(" ".join(f"{value:.4f}" for value in row) for row in rows) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=13_320)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "files"
        make_files(root, arguments.videos)
        (Path(folder) / "recipe.toml").write_text(RECIPE.format(root=root))
        get_config().set("kinescope", "store", f"{folder}/store")
        task = tasks.Evaluate(experiment=f"{folder}/recipe.toml")
        task.index.run()

        began = time.perf_counter()
        warm = task.index.complete()
        indexed = time.perf_counter() - began
        fingerprint = task.fingerprint
        ours = time.perf_counter() - began

        began = time.perf_counter()
        Digests({}).refreshed([Path(path) for path in library(task.recipe.dataset).digests.entries])
        peer = time.perf_counter() - began
    assert warm
    result = {
        "name": "fingerprints and row keys; the peer hashes every file",
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "ratio": round(peer / ours, 2),
        "unit": "s",
        "sizes": f"{arguments.videos} files, of which checking the index {indexed:.2f} s",
        "threads": 1,
    }
    print(
        json.dumps(result)
        if arguments.json
        else "{name}: {ours} {unit}, {peer} {unit}, ratio {ratio} ({sizes})".format(**result)
    )
    assert fingerprint


if __name__ == "__main__":
    main()
