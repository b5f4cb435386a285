"""Data that change while a run is at work: no result is kept under another state's name."""

import json
import os
import signal
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from pipeline.scoring.scores import Scores
from pipeline.store import Store
from pipeline.video.encode import write
from tests.support.recipes import write_skeleton
from tests.support.runs import Runs, until

RECIPE = """
title = "changing"
[dataset]
name = "folder"
root = "{root}"
protocol = "split_column"
[[streams]]
extractor = {{ name = "skeleton" }}
model = {{ name = "drnn", state = 4, fit = {{ epochs = {epochs}, batch = 4 }} }}
"""


def videos(root: Path, labels: str) -> None:
    """Skeleton files with one label each, the last four for the test."""
    for number in range(len(labels)):
        write_skeleton(root / f"video{number:02d}.txt", seed=number)
    relabel(root, labels)


def relabel(root: Path, labels: str) -> None:
    """Write the manifest anew."""
    halves = ["train"] * (len(labels) - 4) + ["test"] * 4
    lines = [f"video{n:02d}.txt,{label},{half}" for n, (label, half) in enumerate(zip(labels, halves, strict=True))]
    (root / "manifest.csv").write_text("\n".join(["path,label,split", *lines, ""]))


def scores(runs: Runs) -> list[np.ndarray]:
    """The scores of all predictions in a store."""
    return [Scores.load(path).values for path in sorted(runs.store.glob("*/scores-*/scores.npz"))]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    """Whether two lists hold the same numbers, of test videos and of training videos."""
    return len(one) == len(other) > 0 and all(map(np.array_equal, one, other))


MSR = """name = "msr_action3d"
train_subjects = [1, 2]
present_only = true"""
BEFORE, AFTER = "abababababab", "aabbaabbabba"
LONG = 60
"""Epochs of a training that can be stopped between two of them, seconds before its end."""


def send(runs: Runs, number: signal.Signals) -> None:
    """Send a signal to all processes of the run in this folder but its main one."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            ours = str(runs.folder).encode() in (process / "environ").read_bytes()
            if ours and b"forkserver" in (process / "cmdline").read_bytes():
                os.kill(int(process.name), number)
        except OSError:  # it is another user's, or has gone
            continue


def stop_between_epochs(runs: Runs) -> None:
    """Wait until a training has finished an epoch, and stop it there."""
    until(lambda: any(runs.store.glob("*/drnn-*/checkpoint.pt")))
    send(runs, signal.SIGSTOP)
    assert not any(runs.store.glob("*/drnn-*/network.safetensors"))


def test_labels_that_change_between_two_epochs(tmp_path: Path) -> None:
    root = tmp_path / "files"
    videos(root, BEFORE)
    runs = Runs(tmp_path / "runs", RECIPE.format(root=root, epochs=LONG))
    first = runs.start()
    stop_between_epochs(runs)
    relabel(root, AFTER)
    second = Runs(tmp_path / "second", RECIPE.format(root=root, epochs=LONG), store=runs.store)
    again = second.start()
    until(lambda: len(list(runs.store.glob("*/drnn-*"))) == 2 or again.poll() is not None)
    send(runs, signal.SIGCONT)
    said, _ = first.communicate(timeout=200)
    assert first.returncode == 0, said
    assert "changed meanwhile (labels of 6 videos changed)" in said
    assert again.communicate(timeout=200)[0]
    assert again.returncode == 0
    clean = Runs(tmp_path / "clean", RECIPE.format(root=root, epochs=LONG))
    clean.to_the_end()
    assert same(scores(runs), scores(clean))
    relabel(root, BEFORE)
    runs.to_the_end()
    old = Runs(tmp_path / "old", RECIPE.format(root=root, epochs=LONG))
    old.to_the_end()
    assert all(any(np.array_equal(found, expected) for found in scores(runs)) for expected in scores(old))


@pytest.mark.slow
def test_labels_that_change_twice_end_the_run_with_what_changed(tmp_path: Path) -> None:
    root = tmp_path / "files"
    videos(root, BEFORE)
    runs = Runs(tmp_path / "runs", RECIPE.format(root=root, epochs=LONG))
    index = Runs(tmp_path / "index", "", store=runs.store, task=["Index", "--dataset", _dataset(root)])
    run = runs.start()
    for number, labels in enumerate((AFTER, AFTER.swapcase()), start=1):
        until(lambda number=number: len(list(runs.store.glob("*/drnn-*/checkpoint.pt"))) == number)
        send(runs, signal.SIGSTOP)
        relabel(root, labels)
        index.to_the_end()
        send(runs, signal.SIGCONT)
    said, _ = run.communicate(timeout=200)
    assert run.returncode == 30, said
    assert "labels of" in said
    assert "again; leave the data as they are while a run is at work" in said
    assert "Traceback" not in said
    assert not list(runs.store.glob("*/drnn-*/network.safetensors"))
    runs.to_the_end()
    assert len(scores(runs)) == 2  # of test videos, and of training videos


def _dataset(root: Path) -> str:
    return json.dumps({"name": "folder", "root": str(root), "protocol": "split_column"})


@pytest.mark.slow
def test_two_roots_of_one_data_set_at_once(tmp_path: Path) -> None:
    """Each has an index of its own, and they share the rows of files that are the same."""
    recipe = RECIPE.replace('name = "folder"\nroot = "{root}"\nprotocol = "split_column"', MSR).format(epochs=2)
    roots = {name: tmp_path / name for name in ("one", "other")}
    for name, root in roots.items():
        for action, subject, example in product((1, 2, 3), range(1, 5), (1, 2)):
            seed = 100 * action + 10 * subject + example + (1000 if name == "other" and subject == 4 else 0)
            write_skeleton(root / f"a{action:02d}_s{subject:02d}_e{example:02d}_skeleton3D.txt", seed)
    setting = 'data_roots = {{"msr_action3d": "{}"}}\n'
    runs = {
        name: Runs(tmp_path / f"run {name}", recipe, store=tmp_path / "store", more=setting.format(root))
        for name, root in roots.items()
    }
    processes = {name: each.start() for name, each in runs.items()}
    for process in processes.values():
        said, _ = process.communicate(timeout=200)
        assert process.returncode == 0, said
    assert len(list((tmp_path / "store").glob("msr_action3d-*/index.json"))) == 2
    for name, root in roots.items():
        alone = Runs(tmp_path / f"alone {name}", recipe, more=setting.format(root))
        alone.to_the_end()
        (table,) = alone.store.glob("*/evaluate-*/predictions.csv")
        (found,) = tmp_path.glob(f"store/{table.parent.parent.name}/evaluate-*/predictions.csv")
        assert found.read_text() == table.read_text()


def test_a_video_that_changes_while_it_is_decoded(tmp_path: Path) -> None:
    root, rng = tmp_path / "files", np.random.default_rng(0)
    pictures = rng.integers(0, 255, (60, 240, 320, 3), np.uint8)
    for label in "ab":
        (root / label).mkdir(parents=True)
        write(root / label / f"{label}.mp4", pictures, 25)
    long = root / "b" / "b.mp4"
    write(long, [pictures[n % 60] for n in range(500)], 25)
    given = {"name": "folder", "root": str(root)}
    runs = Runs(tmp_path / "runs", "", shard_size=1, task=["Decode", "--dataset", json.dumps(given)])
    run = runs.start()
    until(lambda: any(note.read_text().startswith("b/b") for note in runs.store.glob("*/frames-*/journal-*/*.started")))
    send(runs, signal.SIGSTOP)
    write(tmp_path / "shorter.mp4", [pictures[n % 60] for n in range(499)], 25)
    long.write_bytes((tmp_path / "shorter.mp4").read_bytes())
    send(runs, signal.SIGCONT)
    said, _ = run.communicate(timeout=300)
    assert run.returncode == 30, said
    assert "b.mp4 has changed since it was indexed; run again" in said
    runs.to_the_end()
    (index,) = runs.store.glob("*/frames-*/index.h5")
    assert Store(index).read("b/b", arrays=()).attributes["frames"] == 499


def test_a_run_sweeps_only_what_is_marked_as_its_own(tmp_path: Path) -> None:
    root = tmp_path / "files"
    videos(root, BEFORE)
    runs = Runs(tmp_path / "runs", RECIPE.format(root=root, epochs=1))
    elsewhere = tmp_path / "elsewhere"
    day = time.time() - 3 * 24 * 3600
    foreign = [
        runs.store / "theirs" / "training" / "network.safetensors",
        runs.store / "theirs" / "training" / "checkpoint.pt",
        runs.store / "theirs" / "resnet-0123456789ab" / "network.safetensors",
        runs.store / "theirs" / "resnet-0123456789ab" / "checkpoint.pt",
        runs.store / "theirs" / "index.json",
        elsewhere / "resnet" / "network.safetensors",
        elsewhere / "resnet" / "checkpoint.pt",
        runs.store / ".upload.another-host-4026531836-1.tmp.h5",
        runs.store / "theirs" / ".document.kinescope-elsewhere-4026531836-1.tmp",
    ]
    for path in foreign:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("the user's own")
        os.utime(path, (day, day))
    (runs.store / "link").symlink_to(elsewhere)
    (runs.store / "theirs" / "linked-0123456789ab").symlink_to(elsewhere / "resnet")
    runs.to_the_end()
    assert [path for path in foreign if not path.exists()] == []
    (network,) = runs.store.glob("folder-*/drnn-*/network.safetensors")
    left = network.with_name("checkpoint.pt")
    mine = network.with_name("checkpoint-best.pt")
    for path in (left, mine):
        path.write_text("x")
    next(runs.store.glob("folder-*/evaluate-*/report.html")).unlink()
    runs.to_the_end()
    assert not left.exists()
    assert mine.exists()
