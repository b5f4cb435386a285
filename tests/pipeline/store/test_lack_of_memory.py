"""A lack of memory is nobody's fault: the shard stops, nothing is sealed because of it, and the next run goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.video.encode import write
from tests.support.paths import ROOT
from tests.support.skeletons import text, walk

STARVED = """
import json, resource, sys
from contextlib import nullcontext
from pathlib import Path
import numpy as np
from extractors import EXTRACTORS
from extractors.base import Clip
from pipeline.rows import Keys
from pipeline.store.fill import fill
from pipeline.store import Store
from pipeline.store.journal import Journal

name, file, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
extractor = EXTRACTORS[name](**({"short_side": 64} if name == "frames" else {}))

def run(folder):
    videos = [Keys(f"v{n}", "digest", tuple(f"v{n}-{k}" for k in range(extractor.variants))) for n in range(2)]
    fill(folder / "shard.h5", videos, lambda _: nullcontext(Clip(file)), lambda: extractor.build("cpu"),
         journal=Journal(folder / "journal"), earlier={}, provenance=dict)
    store = Store(folder / "shard.h5")
    assert not store.failures(), store.failures()
    return [row.arrays for video in store.ids() for row in store.rows(video)]

expected, ended = run(folder / "plenty"), {}
for extra_kib in json.loads(sys.argv[4]):
    here = folder / str(extra_kib)
    size_kib = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1])
    resource.setrlimit(resource.RLIMIT_AS, (1024 * (size_kib + extra_kib), -1))
    try:
        run(here)
        ended[extra_kib] = ""
    except Exception as error:
        ended[extra_kib] = f"{type(error).__name__}: {error}"
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    found = run(here) if ended[extra_kib] else [
        row.arrays for video in Store(here / "shard.h5").ids() for row in Store(here / "shard.h5").rows(video)
    ]
    assert all(np.array_equal(one[name], other[name])
               for one, other in zip(expected, found, strict=True) for name in one), extra_kib
    assert not [path for path in here.rglob("*") if "damaged" in path.name or ".tmp" in path.name]
print(json.dumps(ended))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="a process's size is read from Linux's /proc")
@pytest.mark.parametrize("extractor", ["frames", "skeleton"])
def test_a_starved_process_seals_nothing(extractor: str, tmp_path: Path) -> None:
    file = tmp_path / "file.mp4"
    if extractor == "skeleton":
        file = tmp_path / "file.txt"
        file.write_text(text(walk(1500)))
    else:
        pictures = np.random.default_rng(0).integers(0, 256, (4, 480, 640, 3), np.uint8)
        write(file, (np.roll(pictures[0], 8 * n, axis=1) for n in range(24)), 25, crf=35)
    # With less than this Python itself waits for ever for a thread that could not begin.
    extras_kib = [2000, 3000, 6000, 9000, 12000, 17000, 25000, 40000, 70000]
    answer = subprocess.run(
        [sys.executable, "-c", STARVED, extractor, str(file), str(tmp_path), json.dumps(extras_kib)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert any(json.loads(answer.stdout.splitlines()[-1]).values()), "none of them was starved"
