"""The benchmarks run, at sizes that say nothing of speed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

ON_REAL_DATA = {
    "decode": ["--clips", "1", "--rounds", "1"],
    "extraction": ["--clips", "1", "--snippets", "1", "--c3d-frames", "16", "--rounds", "1"],
    "extraction_scaling": ["--clips", "2", "--crops", "1", "--batch-ms", "1", "--rounds", "1"],
    "shared_decode": ["--clips", "1", "--rounds", "1"],
    "tdn_training": ["--clips", "2", "--crop", "48", "--batch", "2", "--epochs", "1", "--rounds", "1"],
    "tsn_training": ["--clips", "2", "--crop", "48", "--batch", "2", "--epochs", "1", "--rounds", "1"],
    "tvl1": ["--clips", "1", "--rounds", "1"],
}
ON_THEIR_OWN = {
    "fingerprints": ["--videos", "40"],
    "harris3d": ["--frames", "40", "--rounds", "1"],
    "hog3d": ["--frames", "20", "--boxes", "1", "--rounds", "1"],
    "idt": ["--frames", "20", "--rounds", "1"],
    "many_videos": ["--few", "40", "--many", "80"],
    "pca": ["--rows", "256", "--dim", "8200", "--dims", "5"],
    "recurrent": ["--rounds", "1"],
    "scheduling": ["--videos", "40"],
    "store": ["--rows", "3", "--long-rows", "1", "--long-steps", "40", "--width", "8", "--rounds", "1"],
    "training": ["--rows", "40", "--width", "8", "--rounds", "1"],
}


def run(name: str, *options: str) -> str:
    """What the benchmark prints."""
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *options]
    # started tasks let no script find the modules beside it, and the tests' process has started
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    ended = subprocess.run(command, capture_output=True, text=True, env={**inherited, "PYTHONPATH": str(ROOT)})
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def check(name: str, options: list[str]) -> None:
    lines = [json.loads(line) for line in run(name, *options, "--json").splitlines()]
    assert lines
    for line in lines:
        assert line.keys() == {"name", "ours", "peer", "ratio", "unit", "sizes", "threads"}
        ratio = line["peer"] / line["ours"] if line["unit"] in ("s", "ms", "MiB") else line["ours"] / line["peer"]
        assert line["ratio"] == pytest.approx(ratio, rel=2e-3)
        assert ratio > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_THEIR_OWN)
def test_each_benchmark_prints_its_lines(name: str) -> None:
    check(name, ON_THEIR_OWN[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_REAL_DATA)
def test_each_benchmark_on_real_data_prints_its_lines(name: str, shared: Path) -> None:
    check(name, ON_REAL_DATA[name])


@pytest.mark.slow
def test_the_table_for_people_has_a_header_and_the_same_lines() -> None:
    header, *rows = run("store", *ON_THEIR_OWN["store"]).splitlines()
    assert header.split()[:3] == ["ours", "peer", "ratio"]
    assert len(rows) == 7 * 3  # of as many sizes
    assert all(" 1; " in row and "float32" in row for row in rows)


def test_every_benchmark_is_tried() -> None:
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert scripts - {"table"} == {*ON_REAL_DATA, *ON_THEIR_OWN}
