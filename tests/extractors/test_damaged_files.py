"""Damaged files end as rows or as failures with reasons: never as a crash, a hang or a silent row."""

import codecs
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.files.crash_notes import notes
from pipeline.store import Store
from tests.support.mutations import SKELETON, VIDEO, Mutation, mutated
from tests.support.paths import ROOT

DEADLINE_S = 600
FILL = """
import json, sys
from contextlib import nullcontext
from pathlib import Path
from extractors import EXTRACTORS
from extractors.base import Clip
from pipeline.rows import Keys
from pipeline.store.fill import fill
from pipeline.store.journal import Journal

given = json.load(sys.stdin)
extractor = EXTRACTORS[given["extractor"].pop("name")](**given["extractor"])
files = {Path(path).stem: Path(path) for path in given["files"]}
fill(
    Path(given["shard"]),
    [Keys(name, "digest", tuple(f"{name}-{n}" for n in range(extractor.variants))) for name in files],
    lambda name: nullcontext(Clip(files[name])),
    lambda: extractor.build("cpu"),
    journal=Journal(Path(given["journal"])),
    earlier={},
    provenance=dict,
)
"""


def filled(folder: Path, files: Sequence[Path], **extractor: object) -> Store:
    """A shard of the files, made in a process of its own, whose death or delay names the file in hand."""
    shard, journal = folder / f"{extractor['name']}.h5", folder / "journal"
    given = {"extractor": extractor, "files": [str(file) for file in files], "shard": str(shard)}
    told = json.dumps({**given, "journal": str(journal)})
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    try:
        answer = subprocess.run(
            [sys.executable, "-c", FILL],
            input=told,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=DEADLINE_S,
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"{list(notes(journal))} took too long")
    assert answer.returncode == 0, f"{list(notes(journal))} ended the process: {answer.stderr[-3000:]}"
    return Store(shard)


def written(folder: Path, sources: Sequence[Path], mutations: dict[str, Mutation], seeds: range) -> list[Path]:
    """A mutated file a seed, each of another source; the name tells mutation, seed and source."""
    paths = []
    for seed in seeds:
        source = sources[seed // len(mutations) % len(sources)]
        name, content = mutated(source.read_bytes(), mutations, seed)
        paths.append(folder / f"{seed:03d} {name} {source.stem}{source.suffix}".replace(" ", "_"))
        paths[-1].write_bytes(content)
    return paths


def explained(store: Store, names: set[str]) -> dict[str, int]:
    """Every name has rows or a reason, which is one sentence; the frames that decoded, by failed name."""
    failures = store.failures()
    assert failures.keys() | set(store.ids()) == names
    assert not failures.keys() & set(store.ids())
    for name, failure in failures.items():
        assert failure.reason.strip(), name
        assert "\n" not in failure.reason, name
        assert "Traceback" not in failure.reason, name
        assert len(failure.reason) < 300, (name, failure.reason)
        assert failure.frames_decoded >= 0, name
    return {name: failure.frames_decoded for name, failure in failures.items()}


@pytest.mark.parametrize(
    "seeds",
    [
        range(200),
        pytest.param(range(200, 1000), marks=pytest.mark.slow),
        pytest.param(range(1000, 5000), marks=pytest.mark.torture),
    ],
)
def test_mutated_skeleton_files(shared: Path, tmp_path: Path, seeds: range) -> None:
    sources = sorted((shared / "msr-action3d").glob("a*_skeleton3D.txt"))[::23]
    files = {path.stem: path for path in written(tmp_path, sources, SKELETON, seeds)}
    store = filled(tmp_path, list(files.values()), name="skeleton")
    failed = explained(store, set(files))
    assert len(seeds) / 4 < len(failed) < len(seeds) * 7 / 8
    for name in store.ids():
        joints = _joints(files[name].read_bytes().removeprefix(codecs.BOM_UTF8))
        row = store.read(name)
        assert row.arrays["features"].shape == (len(joints), 583), name
        assert np.isfinite(row.arrays["features"]).all(), name
        assert np.isfinite(joints).all(), name
        assert abs(joints).max() <= 1e6, name
        assert row.attributes["frames"] == len(joints)
    for name, frames in failed.items():
        assert frames <= files[name].read_bytes().count(b"\n") // 20 + 1, name


def _joints(content: bytes) -> np.ndarray:
    """(time, 20, 4), by numpy: raises ValueError where the lines are no numbers, or no whole frames."""
    rows = np.loadtxt(content.decode("ascii").splitlines(), ndmin=2)
    return rows.reshape(-1, 20, 4)


VIDEOS = (
    "kth/person09_running_d1_uncomp.avi",
    "clips/h265.mp4",
    "clips/v_ApplyEyeMakeup_g01_c01.avi",
    "clips/non-zero-start.mp4",
    "clips/av1.mkv",
    "clips/rotated-90.mov",
    "clips/odd-size-444.mp4",
    "clips/no-first-keyframe.mp4",
    "ucf101-11/videos/HorseRace/v_HorseRace_g01_c01.mp4",
)


@pytest.mark.parametrize(
    "seeds",
    [
        range(100),
        pytest.param(range(100, 600), marks=pytest.mark.slow),
        pytest.param(range(600, 1500), marks=pytest.mark.torture),
    ],
)
def test_mutated_videos(shared: Path, tmp_path: Path, seeds: range) -> None:
    files = {path.stem: path for path in written(tmp_path, [shared / name for name in VIDEOS], VIDEO, seeds)}
    store = filled(tmp_path, list(files.values()), name="frames", short_side=24)
    failed = explained(store, set(files))
    assert len(seeds) / 4 < len(failed) < len(seeds) * 3 / 4
    for name in store.ids():
        row = store.read(name)
        assert (
            row.attributes["frames"] == len(row.arrays["start_frames"]) == len(row.arrays["frames_offsets"]) - 1 > 0
        ), name
        assert row.arrays["frames_offsets"][-1] == len(row.arrays["frames"]), name
        assert row.attributes["fps"] > 0, name


def test_every_file_of_the_clips_is_a_row_or_a_failure_as_its_readme_says(shared: Path, tmp_path: Path) -> None:
    decoded = {"Golf": 89, "KOREAN": 430, "av1": 125, "h265": 10, "long-test": 300, "no-first-keyframe": 25}
    decoded |= {"non-zero-start": 12, "odd-size-444": 25, "rotated-90": 3, "v_ApplyEyeMakeup": 164}
    files = {path.stem: path for path in sorted((shared / "clips").iterdir())}
    store = filled(tmp_path, list(files.values()), name="frames", short_side=24)
    failures = store.failures()
    assert failures.pop("corrupted").frames_decoded == 28
    if failures and "no decoder" in failures["av1"].reason:  # not every libav has one
        del failures["av1"], decoded["av1"]
    assert not failures
    rows = {name: store.read(name).attributes["frames"] for name in store.ids()}
    assert rows == {name: decoded[start] for start in decoded for name in files if name.startswith(start)}
