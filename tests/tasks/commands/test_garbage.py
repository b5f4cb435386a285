"""Collecting garbage: it frees what no experiment reaches, and nothing that anyone needs."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import luigi
import numpy as np
import pytest

import tasks
from pipeline.rows import Keys, Row
from pipeline.store.journal import Journal
from tests.support.paths import ROOT
from tests.support.small_experiment import Small


def journaled(folder: Path) -> Path:
    """A row in the journal of an interrupted run."""
    journal, keys = Journal(folder), Keys("video99", "digest", (32 * "a",))
    journal.write(keys, [Row({"features": np.zeros((2, 3), np.float32)}, {"frames": 2})])
    return journal.path(keys)


def test_gc_frees_what_is_not_reached_and_nothing_else(small: Small) -> None:
    first = small.files()
    mine = next(small.store.glob("*/index.json")).with_name("notes.txt")
    mine.write_text("the user's own")
    (small.store / "tables").mkdir(exist_ok=True)
    outside = small.folder / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (mine.parent / "linked-0123456789ab").symlink_to(outside)
    small.fields["order"] = 2
    small.run()
    both = small.files()
    small.rest()
    lines = small.says("gc", small.recipe)
    assert all(line.startswith("would free ") for line in lines[:-1])
    assert lines[-1].endswith("would be freed; --delete frees it")
    assert small.files() == both
    small.says("gc", small.recipe, "--delete")
    freed = {path.parent.name.partition("-")[0] for path in both - small.files()}
    assert freed == {"drnn", "scores", "fused", "evaluate"}
    assert mine.exists()
    assert (outside / "precious").exists()
    assert small.says("why", small.recipe) == ["nothing would run"]
    small.fields["order"] = 1
    small.run()
    assert small.files() >= first


def test_gc_frees_superseded_shards_only_when_their_rows_were_taken_over(small: Small) -> None:
    small.write("video03", seed=99)
    old = set(small.rows().glob("0*.h5"))
    small.rest()
    small.says("gc", small.recipe, "--delete")
    assert set(small.rows().glob("0*.h5")) == old
    small.run()
    damaged = small.rows() / "000-of-009-0123456789ab.h5.damaged-1"
    damaged.write_text("damaged")
    small.rest()
    small.says("gc", small.recipe, "--delete")
    assert len(old - set(small.rows().glob("0*.h5"))) == 1
    assert not damaged.exists()
    assert small.says("verify")[-1].endswith(" 0 damaged")
    assert small.says("why", small.recipe) == ["nothing would run"]


def test_gc_leaves_a_run_that_is_alive_alone(small: Small) -> None:
    row = journaled(small.rows().parent / "skeleton-0123456789ab" / "journal-000-of-001")
    assert any("a run may be at work" in line for line in small.says("gc", small.recipe, "--delete"))
    assert row.exists()
    os.utime(row, (time.time() - 7200,) * 2)
    small.says("gc", small.recipe, "--delete")
    assert not row.exists()


def test_gc_leaves_alone_what_was_written_to_of_late(small: Small) -> None:
    small.rest()
    small.fields["order"] = 2
    small.run()
    (fresh,) = [
        path for path in small.store.glob("*/drnn-*/network.safetensors") if time.time() - path.stat().st_mtime < 3600
    ]
    small.fields["order"] = 1
    lines = small.says("gc", small.recipe, "--delete")
    assert any(
        line.startswith("kept, as it was written to within the hour") and str(fresh.parent) in line for line in lines
    )
    assert fresh.exists()
    small.rest()
    small.says("gc", small.recipe, "--delete")
    assert not fresh.exists()


def test_gc_frees_journals_of_another_state_of_the_data_and_keeps_those_that_a_run_goes_on_from(small: Small) -> None:
    shard = next(small.rows().glob("0*.h5"))
    names = ("journal-000-of-999", f"journal-{shard.stem.rpartition('-')[0]}")
    rows = [journaled(small.rows() / name) for name in names]
    shard.unlink()
    small.rest()
    small.says("gc", small.recipe, "--delete")
    assert [row.exists() for row in rows] == [False, True]


def test_gc_takes_nothing_while_a_report_is_gathered(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.reporting import results

    gather, answers = results.gather, []

    def slowly(*given: object) -> object:
        command = [sys.executable, "-c", "from tasks.commands.app import app; app()", "gc", small.recipe, "--delete"]
        environment = {**os.environ, "LUIGI_CONFIG_PATH": str(small.folder / "luigi.cfg")}
        answers.append(subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment))
        return gather(*given)

    (small.folder / "luigi.cfg").write_text(f"[kinescope]\nstore = {small.store}\n")
    monkeypatch.setattr(results, "gather", slowly)
    small.experiment().output().remove()
    small.run()
    (answer,) = answers
    assert answer.returncode == 2
    assert "a run is at work" in answer.stderr


def test_gc_waits_for_nobody_and_takes_nothing_from_a_run(small: Small) -> None:
    code = f"""
from pathlib import Path
from pipeline.files.lock import exclusive
with exclusive(Path("anything"), Path("{small.store / ".lock"}")):
    print("at work", flush=True)
    input()
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdout
        assert run.stdout.readline() == "at work\n"
        assert "a run is at work" in small.refused("gc", small.recipe, "--delete")
        assert small.says("gc", small.recipe)
        run.communicate("\n")
    assert small.says("gc", small.recipe, "--delete")


def test_gc_keeps_everything_of_a_data_set_it_knows_too_little_of(small: Small) -> None:
    before = small.files()
    small.root.rename(small.folder / "moved")
    assert any("kept, as its data set is not indexed" in line for line in small.says("gc", small.recipe, "--delete"))
    assert small.files() == before
    assert "name experiments to keep" in small.refused("gc")
    assert small.files() == before


def test_gc_deletes_what_says_itself_that_it_is_the_stages_and_nothing_else(small: Small) -> None:
    """Copies that a user made beside the stages, and files that a user put into them, stay as they are."""
    dataset = small.rows().parent
    (old,) = dataset.glob("drnn-*")
    copies = [dataset / "backup-0123456789ab", dataset / "drnn-old-0123456789ab", dataset / f"skeleton-{'ab' * 6}"]
    for copy, original in zip(copies, (old, old, small.rows()), strict=True):
        shutil.copytree(original, copy, symlinks=True)
    mine = [old / "notes.txt", old / "checkpoint-best.pt", old / "network.h5", small.rows() / "999-of-999.csv"]
    for file in mine:
        file.write_text("the user's own")
    (dataset / "backup-ba9876543210").mkdir()
    (dataset / "backup-ba9876543210" / "thesis.tex").write_text("the user's own")
    before = small.files()
    small.fields["order"] = 2
    small.run()
    small.rest()
    lines = small.says("gc", small.recipe, "--delete")
    gone = before - small.files()
    assert old / "network.safetensors" not in (small.store / name for name in small.files())
    assert not [name for name in gone if any((small.store / name).is_relative_to(copy) for copy in copies)]
    assert all(file.read_text() == "the user's own" for file in mine)
    assert (dataset / "backup-ba9876543210" / "thesis.tex").exists()
    told = [line for line in lines if line.startswith("kept, as kinescope did not make it")]
    assert any(str(old / "notes.txt") in line for line in told)
    assert any(str(copies[0]) in line for line in told)


def test_gc_frees_recognizers_that_no_named_experiment_led_to(small: Small) -> None:
    def asked() -> tasks.Classify:
        task = tasks.Classify(experiment=small.recipe, videos=(str(small.root / "video06.txt"),))
        assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
        return task

    first = asked().recognizer
    small.fields["order"] = 2
    second = asked().recognizer
    assert first != second
    small.rest()
    said = small.says("gc", small.recipe)
    assert any(str(first) in line for line in said)
    assert not any(str(second) in line for line in said)
    small.says("gc", small.recipe, "--delete")
    assert not first.exists()
    assert len(list((small.store / "recognizers").glob("of-*"))) == 1
    assert asked().recognizer == second
    assert (second / "recognizer.json").exists()
