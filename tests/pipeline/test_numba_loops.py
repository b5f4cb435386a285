"""Compiled loops compute the same bits whether this process compiled them or an earlier one."""

import errno
import importlib.util
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core.caching import IndexDataCacheFile

from pipeline.numba_loops import _warn_once
from tests.support.paths import ROOT

LOOPS = """
import numpy as np
from pipeline.numba_loops import compiled, inlined

@inlined
def horner(values, points):
    for n in range(points.size):
        total = np.float32(0)
        for k in range(values.size):
            total = total * points[n] + values[k]
        points[n] = total

@compiled
def twice(values, points):
    horner(values, points)
    horner(values, points[1:])
"""
DIGEST = "print(hashlib.sha256(b''.join(np.ascontiguousarray(part).tobytes() for part in found)).hexdigest())"
SCENE = """
import hashlib
import cv2, numpy as np
scene = cv2.normalize(cv2.GaussianBlur(np.random.default_rng(0).random((120, 140)), (0, 0), 2), None, 0, 255, 32)
first, second = (np.rint(scene[20 + y : 80 + y, 20 + x : 100 + x]).astype(np.uint8) for x, y in ((0, 0), (2, -3)))
"""
COMPUTED = {
    "tvl1": f"""
{SCENE}
from extractors.tvl1.cpu import CPUFlow
from extractors.tvl1.config import TVL1
pairs = np.stack([first, second])[None]
found = [CPUFlow(TVL1(epsilon=0.02, semantics=name).parameters)(pairs) for name in ("opencv-cpu", "opencv-cuda")]
""",
    "idt": f"""
{SCENE}
from extractors.trajectories.farneback import expansions, flows
from extractors.trajectories.descriptors import describe, integrals
sizes = [(60, 80), (42, 57)]
found = flows(expansions(first, sizes), expansions(second, sizes))
points, parts = np.random.default_rng(1).uniform(20, 40, (50, 2)).astype(np.float32), np.arange(50) % 3
sums = np.zeros((50, 3, 33 * 4), np.float32)
describe(sums, parts, points, integrals(first, found[0]), 32, 2)
found.append(sums)
""",
    "drnn": """
import hashlib
import numpy as np, torch
from tests.support.recurrences import SIZES, problem
from sequence_models.networks.recurrence import unroll
found = []
for sizes in SIZES:
    inputs, weights, gradient = problem(sizes, dtype=torch.float32)
    outputs = unroll(inputs, weights, "none")
    gradients = torch.autograd.grad(outputs, [inputs, *weights], gradient)
    found += [part.detach().numpy() for part in (outputs, *gradients)]
""",
}


def loaded(folder: Path) -> Any:
    """``LOOPS`` as a module of its own."""
    file = folder / "loops.py"
    file.write_text(LOOPS)
    spec: Any = importlib.util.spec_from_file_location("loops", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def computes_twice(loops: Any, kind: Any = np.float32) -> bool:
    """Whether ``twice`` does what it should."""
    values, points = np.array([1, -3, 2], kind), np.array([0, 1, 2, 3], kind)
    expected = np.polyval(values, points)
    expected[1:] = np.polyval(values, expected[1:])
    loops.twice(values, points)
    return np.array_equal(points, expected)


def test_what_is_called_becomes_part_of_its_caller(tmp_path: Path) -> None:
    loops = loaded(tmp_path)
    assert computes_twice(loops)
    (overload,) = loops.twice.overloads.values()
    names = [function.name for function in overload.library.get_defined_functions()]
    assert any("twice" in name for name in names)
    assert not any("horner" in name for name in names)


def test_where_nothing_can_be_written_loops_are_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)  # by which numba asks whether a folder can be written
    loops = loaded(tmp_path)
    assert loops.twice.stats.cache_path is None
    assert computes_twice(loops)


def test_a_full_disk_stops_no_loop_and_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "loops.nbc")

    monkeypatch.setattr(IndexDataCacheFile, "save", refuse)
    _warn_once.cache_clear()
    loops = loaded(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        assert computes_twice(loops)
        assert computes_twice(loops, np.float64)
    told = [str(warning.message) for warning in caught]
    assert told == ["compiled loops are not kept for later processes: No space left on device"]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPUTED)
def test_all_processes_compute_the_same_bits(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", f"{COMPUTED[name]}\n{DIGEST}"]

    def digest() -> str:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    compiling = digest()
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.nbc")}
    assert kept
    assert digest() == compiling
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.nbc")} == kept
