"""Measures fingerprints and row keys of 13,320 videos, with a warm index.

    python benchmarks/fingerprints.py [--json]

The peer hashes the same files anew, which is what a tool without an index of digests does.
"""

import tempfile
import time
from pathlib import Path

from luigi.configuration import get_config
from scheduling import RECIPE, make_files
from table import Comparison, options

import tasks
from pipeline.files.digests import Digests
from tasks.index import library


def main() -> None:
    given, table = options(__doc__ or "", videos=13_320)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "files"
        make_files(root, given.videos)
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
    if not (warm and fingerprint):
        raise RuntimeError("the index is not complete after it was made")
    sizes = f"{given.videos} files, of which checking the index {indexed:.2f} s"
    table.add(Comparison("fingerprints and row keys; hashing every file", ours, peer, "s", sizes, 1))


if __name__ == "__main__":
    main()
