"""What the console script's commands say of a small store that a real run made, and what they do to it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import luigi
import numpy as np
import pytest
from luigi.configuration import get_config
from typer.testing import CliRunner, Result

import tasks
from extractors.skeleton.config import Skeleton
from pipeline.store import Store
from tasks.commands.app import app
from tasks.runs import Runs
from tests.support.paths import ROOT

RECIPE = """
title = "small"
[dataset]
name = "folder"
root = "{root}"
protocol = "split_column"
[[streams]]
label = "recurrent"
extractor = {{ name = "skeleton", variant = "{variant}" }}
model = {{ name = "drnn", order = {order}, state = 4, fit = {{ epochs = {epochs}, batch = 4 }} }}
[[streams]]
label = "reduced"
extractor = {{ name = "skeleton", variant = "{variant}" }}
reducer = {{ dims = {dims} }}
model = {{ name = "lstm", hidden = 4, fit = {{ epochs = 1, batch = 4 }} }}
[fusion]
rule = "{rule}"
"""
BROKEN = "video05"


class Small:
    """An experiment on eight skeleton files, one of them broken, and the console script on its store."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.store = folder, folder / "files", folder / "store"
        self.fields: dict[str, object] = {"variant": "472", "order": 1, "epochs": 1, "dims": 3, "rule": "sum"}

    def fill(self) -> "Small":
        """Make the files."""
        self.root.mkdir()
        (self.root / "manifest.csv").write_text("path,label,split\n")
        for number in range(8):
            self.add(f"video{number:02d}", "ab"[number % 2], "train" if number < 6 else "test", seed=number)
        (self.root / f"{BROKEN}.txt").write_text("1 2 3 nonsense\n")
        return self

    def add(self, name: str, label: str, half: str, seed: int) -> None:
        """A skeleton file, 20 joints drifting at random, and its line in the manifest."""
        self.write(name, seed)
        with (self.root / "manifest.csv").open("a") as file:
            file.write(f"{name}.txt,{label},{half}\n")

    def write(self, name: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        joints = rng.normal(size=(1, 20, 3)) + rng.normal(scale=0.05, size=(16, 20, 3)).cumsum(0)
        rows = np.concatenate([joints, np.ones((16, 20, 1))], axis=2).reshape(-1, 4)
        np.savetxt(self.root / f"{name}.txt", rows, fmt="%.6f")

    @property
    def recipe(self) -> str:
        path = self.folder / "small.toml"
        path.write_text(RECIPE.format(root=self.root, **self.fields))
        luigi.task_register.Register.clear_instance_cache()
        return str(path)

    def experiment(self) -> tasks.Evaluate:
        return tasks.Evaluate(experiment=self.recipe)

    def run(self) -> None:
        assert luigi.build([self.experiment()], local_scheduler=True, workers=1, log_level="ERROR")
        assert self.experiment().complete()

    def rows(self) -> Path:
        """The folder of the features."""
        return self.experiment().runs.predictions(0, 0)[0].features[0].folder

    def rest(self) -> None:
        """As if nothing had been written for two hours."""
        for path in self.store.glob("*/*-*/**/*"):
            os.utime(path, (time.time() - 7200,) * 2, follow_symlinks=False)

    def __call__(self, *arguments: str | Path) -> Result:
        luigi.task_register.Register.clear_instance_cache()
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    def says(self, *arguments: str | Path) -> list[str]:
        """The lines of a command that ends well."""
        answer = self(*arguments)
        assert answer.exit_code == 0, answer.output
        return list(answer.stdout.splitlines())

    def refused(self, *arguments: str | Path) -> str:
        """The one sentence of a command that meets a mistake."""
        answer = self(*arguments)
        assert answer.exit_code == 2, answer.output
        (sentence,) = answer.stderr.splitlines()
        return str(sentence)

    def files(self) -> set[Path]:
        return {path.relative_to(self.store) for path in self.store.rglob("*") if not path.is_dir()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a finished run, which takes its time."""
    folder = tmp_path_factory.mktemp("made")
    settings = {"store": folder / "now" / "store", "shard_size": 3, "device": "cpu", "max_failed_videos": 1}
    for key, value in settings.items():
        get_config().set("kinescope", key, str(value))
    (folder / "now").mkdir()
    Small(folder / "now").fill().run()
    (folder / "now").rename(folder / "kept")
    yield folder
    get_config().remove_section("kinescope")


@pytest.fixture
def small(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Small]:
    """The finished run as it was, at its own place."""
    monkeypatch.chdir(ROOT)  # whose luigi.cfg is the project's: the settings stay as they are
    shutil.copytree(made / "kept", made / "now", symlinks=True)
    yield Small(made / "now")
    shutil.rmtree(made / "now")
    luigi.task_register.Register.clear_instance_cache()


def test_why_names_the_field_that_changed_and_what_follows(small: Small) -> None:
    assert small.says("why", small.recipe) == ["nothing would run"]
    small.fields["order"] = 2
    lines = small.says("why", small.recipe)
    assert "would run: Train drnn: field model.order 1 -> 2" in lines
    assert "would run: Predict drnn: field model.order 1 -> 2; upstream drnn changed" in lines
    assert "would run: Fuse: upstream recurrent changed" in lines
    assert lines[-1].startswith("would run: Evaluate: field streams.0.model.order 1 -> 2; upstream ")
    assert len(lines) == 4
    small.fields |= {"order": 1, "rule": "product"}
    assert small.says("why", small.recipe)[0] == 'would run: Fuse: field rule "sum" -> "product"'
    small.fields |= {"rule": "sum", "dims": 2}
    lines = small.says("why", small.recipe)
    assert "would run: FitReducer pca: field reducer.dims 3 -> 2" in lines
    assert "would run: Train lstm: upstream pca changed" in lines
    small.fields |= {"dims": 3, "variant": "583"}
    count = len(list(small.rows().parent.parent.glob("*/skeleton-*/0*.h5")))
    lines = small.says("why", small.recipe)
    assert lines[0] == f'would run: Extract skeleton ({count} of {count} shards): field variant "472" -> "583"'
    assert "would run: Train drnn: upstream skeleton changed" in lines


def test_why_names_a_raised_version(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Skeleton, "version", Skeleton.version + 1)
    lines = small.says("why", small.recipe)
    assert lines[0].endswith(f": version {Skeleton.version - 1} -> {Skeleton.version}")


def test_why_names_videos_that_were_changed_added_and_removed(small: Small) -> None:
    before = small.files()
    small.write("video03", seed=99)
    lines = small.says("why", small.recipe)
    assert lines[0].endswith("video changed: video03")
    assert lines[0].startswith("would run: Index ")
    assert lines[1].startswith("would run: Extract skeleton (1 of ")
    assert lines[1].endswith(" shards): video changed: video03")
    assert any(line.startswith("would run: Train drnn: train videos or their labels changed") for line in lines)
    small.add("video08", "a", "test", seed=8)
    manifest = small.root / "manifest.csv"
    manifest.write_text("".join(line for line in manifest.open() if "video01" not in line))
    told = small.says("why", small.recipe)[0].partition(": Index ")[2]
    assert "video added: video08; video removed: video01; video changed: video03" in told
    assert small.files() == before  # it only tells
    assert small.says("inspect", small.rows(), "video01")


def test_why_tells_a_touched_file_from_a_changed_one(small: Small) -> None:
    os.utime(small.root / "video04.txt", ns=(1, 1))
    (line,) = small.says("why", small.recipe)
    assert line.startswith("would run: Index ")
    assert line.endswith("their content is as it was")


def test_why_names_what_is_missing_or_was_damaged(small: Small) -> None:
    (training,) = small.experiment().runs.predictions(0, 0)[0].training()
    training.path().unlink()
    assert small.says("why", small.recipe) == ["nothing would run"]  # the report is there, and current
    small.experiment().output().remove()
    lines = small.says("why", small.recipe)
    assert lines[0] == "would run: Train drnn: network.safetensors is missing"
    assert lines[-1].startswith("would run: Evaluate: ")
    shard = next(small.rows().glob("0*.h5"))
    shard.rename(shard.with_name(f"{shard.name}.damaged-1"))
    lines = small.says("why", small.recipe)
    assert f"{shard.name} was damaged, and set aside as {shard.name}.damaged-1" in lines[0]
    small.run()
    assert small.says("why", small.recipe) == ["nothing would run"]


def test_why_before_anything_is_there(small: Small) -> None:
    manifest = next(small.store.glob("*/index.json"))
    manifest.unlink()
    lines = small.says("why", small.recipe)
    assert lines[0].endswith("it was never indexed")
    assert "did you mean 'stick-figures'" in small.refused("why", "stick-figure")


def test_inspect_tells_the_tree_its_sizes_and_where_it_comes_from(small: Small) -> None:
    store = Store(small.rows() / "index.h5")
    text = "\n".join(small.says("inspect", small.rows()))
    assert f"{len(store.ids())} ids, {len(store.ids())} rows" in text
    stored = sum(store.read(video).arrays["features"].nbytes for video in store.ids())
    assert f"features      float32  (16, 472)  {len(store.ids())} rows  {stored} bytes" in text
    assert "components.variant " in text
    assert "versions.numpy " in text
    assert "computed on cpu in " in text
    assert BROKEN in text
    whole = "\n".join(small.says("inspect"))
    for folder in small.store.glob("*/*-*"):
        assert folder.name in whole
    for kind, expected in {"drnn": "tensors: ", "scores": "2 videos × 2 classes", "evaluate": "report: "}.items():
        text = "\n".join(small.says("inspect", next(small.store.glob(f"*/{kind}-*"))))
        assert expected in text
        assert "components." in text


def test_inspect_tells_the_numbers_of_one_video(small: Small) -> None:
    features = Store(small.rows() / "index.h5").read("video02").arrays["features"]
    lines = small.says("inspect", small.rows(), "video02")
    (line,) = [line.split() for line in lines if line.strip().startswith("features")]
    assert line[1:4] == ["float32", "(16,", "472)"]
    exact = features.astype(np.float64)
    assert line[4:8] == [*(f"{value:.4g}" for value in (exact.min(), exact.mean(), exact.max())), "0"]
    assert any("source_digest" in line for line in lines)
    assert "nonsense" in "\n".join(small.says("inspect", small.rows(), BROKEN))
    assert "did you mean 'video02'?" in small.refused("inspect", small.rows(), "vidoe02")


def test_failures_are_listed_by_experiment_and_by_store(small: Small) -> None:
    for where in ([], [small.recipe], [small.rows()]):
        header, line = small.says("failures", *where)
        assert header.split() == ["video", "stage", "frames", "decoded", "reason"]
        assert line.split()[:3] == [BROKEN, small.rows().name, "0"]
        assert "nonsense" in line


def test_a_mistyped_place_is_answered_by_the_nearest(small: Small) -> None:
    folder = small.rows()
    assert f"did you mean {folder}?" in small.refused("inspect", folder.with_name("skeletn"))
    near = folder.with_name(folder.name[:-1])
    assert f"did you mean {folder}?" in small.refused("verify", near)
    assert "did you mean" in small.refused("export", folder.parent.name[:-1], small.folder / "out", "--npy")
    assert "no file of a store" in small.refused("inspect", small.root / "video02.txt")
    (small.store / "stick_figures-0123456789ab").mkdir()
    assert "no such experiment or store: stick-figure; did you mean stick-figures?" in small.refused(
        "failures", "stick-figure"
    )


@pytest.mark.parametrize("kind", ["skeleton-*/0*.h5", "drnn-*/network.safetensors", "scores-*/scores.npz"])
def test_verify_sets_damaged_files_aside_and_the_next_run_makes_them_again(small: Small, kind: str) -> None:
    count = len(small.says("why", small.recipe))
    assert small.says("verify")[-1].endswith(" files read, 0 damaged")
    path = next(small.store.glob(f"*/{kind}"))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    answer = small("verify")
    assert answer.exit_code == 1
    damaged, summary = answer.stdout.splitlines()
    assert str(path) in damaged
    assert summary.endswith("1 damaged: the next run makes them again")
    assert not path.exists()
    small.experiment().output().remove()
    small.run()
    assert path.exists()
    assert len(small.says("why", small.recipe)) == count


@pytest.mark.parametrize("kind", ["drnn-*/network", "pca-*/reducer"])
def test_verify_finds_a_flipped_bit_of_what_was_trained(small: Small, kind: str) -> None:
    path = next(small.store.glob(f"*/{kind}.safetensors"))
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert small("verify").exit_code == 1
    assert not path.exists()


def test_why_tells_of_damaged_figures(small: Small) -> None:
    os.truncate(next(small.store.glob("*/evaluate-*/metrics.json")), 100)
    assert small.says("why", small.recipe) == ["would run: Evaluate: metrics.json is damaged"]


def test_verify_finds_an_index_that_links_what_its_shard_does_not_hold(small: Small) -> None:
    index = (small.rows() / "index.h5").resolve()
    one, other, *_ = small.rows().glob("0*.h5")
    shutil.copy(other, one)
    answer = small("verify")
    assert answer.exit_code == 1
    assert f"{index} is damaged (it links " in answer.stdout
    assert not index.exists()


def test_verify_finds_an_altered_number(small: Small) -> None:
    path = next(small.rows().glob("0*.h5"))
    row = Store(path).read(Store(path).ids()[0]).arrays["features"].tobytes()
    path.write_bytes(path.read_bytes().replace(row[:64], bytes(64)))
    assert small("verify", path).exit_code == 1


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
    assert lines[-1].endswith("would be freed: --delete does it")
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
    journal = small.rows().parent / "skeleton-0123456789ab" / "journal-000-of-001"
    journal.mkdir(parents=True)
    row = journal / "row.h5"
    row.write_bytes(b"x" * 100)
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
    rows = [
        small.rows() / name / "row.h5" for name in ("journal-000-of-999", f"journal-{shard.stem.rpartition('-')[0]}")
    ]
    for row in rows:
        row.parent.mkdir()
        row.write_bytes(b"x" * 100)
    shard.unlink()
    small.rest()
    small.says("gc", small.recipe, "--delete")
    assert [row.exists() for row in rows] == [False, True]


def test_gc_takes_nothing_while_a_report_is_gathered(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.reporting import results

    gather, answers = results.gather, []

    def slowly(runs: Runs) -> object:
        command = [sys.executable, "-c", "from tasks.commands.app import app; app()", "gc", small.recipe, "--delete"]
        environment = {**os.environ, "LUIGI_CONFIG_PATH": str(small.folder / "luigi.cfg")}
        answers.append(subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment))
        return gather(runs)

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


def test_export_writes_every_array_once(small: Small, tmp_path: Path) -> None:
    out = tmp_path / "out"
    store = Store(small.rows() / "index.h5")
    assert small.says("export", small.rows(), out, "--npy")[0].startswith(f"{len(store.ids())} rows written")
    for video in store.ids():
        row = store.read(video)
        for name, array in row.arrays.items():
            np.testing.assert_array_equal(np.load(out / video / "0" / f"{name}.npy"), array)
        assert json.loads((out / video / "0" / "attributes.json").read_text()) == row.attributes
    assert json.loads((out / "failures.json").read_text()).keys() == {BROKEN}
    listed = json.loads((out / "labels.json").read_text())
    assert listed["classes"] == ["a", "b"]
    assert listed["labels"]["video03"] == [1]
    assert json.loads((out / "provenance.json").read_text())["components"]["name"] == "skeleton"
    (out / "video02" / "0" / "attributes.json").unlink()  # as if it had been interrupted there
    assert small.says("export", small.rows(), out, "--npy")[0].startswith("1 rows written, and all")
    small.fields["variant"] = "583"
    small.run()
    assert "another stage" in small.refused("export", small.rows(), out, "--npy")
    assert "--npy" in small.refused("export", small.rows(), tmp_path / "other")


def test_export_removes_rows_that_the_store_has_no_more(small: Small, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (small.root / "extra").mkdir()
    small.add("extra/video08", "a", "train", seed=8)
    small.run()
    small.says("export", small.rows(), out, "--npy")
    (row,) = [path.parent for path in out.rglob("attributes.json") if "video08" in str(path)]
    mine = [out / "video01" / "notes" / "attributes.json", out / "video01" / "0" / "notes.txt"]
    mine[0].parent.mkdir()
    for file in mine:
        file.write_text("{}")
    manifest = small.root / "manifest.csv"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if "video01" not in line and "video08" not in line))
    small.run()
    (line,) = small.says("export", small.rows(), out, "--npy")
    assert "0 rows written, 2 removed" in line
    assert not row.exists()
    assert not (out / "extra").exists()
    assert [path for path in (out / "video01").rglob("*") if path.is_file()] == sorted(mine, reverse=True)


def test_help_loads_nothing_heavy() -> None:
    heavy = ["torch", "cv2", "av", "h5py", "sklearn", "matplotlib", "safetensors"]
    code = f"import sys, tasks.commands.app; print([name for name in {heavy} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert answer.stdout.strip() == "[]"
