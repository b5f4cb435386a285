"""Commands on stores of this format and of a newer one; and files beside the rows, which hold what is documented."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file
from typer.testing import CliRunner

from pipeline.store import inspection
from tasks.commands.app import app
from tests.support.small_experiment import Small
from tests.support.store_format import newer_store, table


def test_files_of_a_store_hold_what_its_document_names(small: Small) -> None:
    kinds = {
        "shard": list(small.rows().glob("0*.h5")),
        "index": [small.rows() / "index.h5"],
        "network": list(small.store.glob("*/*-*/network.safetensors")),
        "reducer": list(small.store.glob("*/*-*/reducer.safetensors")),
        "scores": list(small.store.glob("*/scores-*/scores.npz")),
        "fused scores": list(small.store.glob("*/fused-*/scores.npz")),
    }
    chosen = {"choice"}  # of a fusion whose weights are chosen; this one has none
    documented = {name: where for name, where, _ in table("key")}
    metadata_of = {name: where.split(", ") for name, where, _ in table("entry")}
    tensors_of = {name: (dtype, axes) for name, dtype, axes in table("tensor of a reducer")}
    members = {name: (dtype, axes) for name, dtype, axes in table("member")}
    for kind, paths in kinds.items():
        assert paths
        named = {key for key, where in documented.items() if where == "all" or kind in where.split(", ")}
        for path in paths:
            assert inspection.provenance(path).keys() == named - chosen, kind
            if path.suffix == ".safetensors":
                with safe_open(path, "numpy") as file:
                    assert file.metadata().keys() == {name for name, where in metadata_of.items() if kind in where}
            if kind == "reducer":
                arrays = load_file(path)
                assert {name: str(array.dtype) for name, array in arrays.items()} == {
                    name: dtype for name, (dtype, _) in tensors_of.items()
                }
                assert [arrays[name].ndim for name in tensors_of] == [1, 2, 1, 0]
            if path.suffix == ".npz":
                with np.load(path) as archive:
                    assert set(archive.files) == members.keys()
                    for name, (dtype, _) in members.items():
                        assert archive[name].dtype.kind == {"float64": "f", "string": "U"}[dtype]
    assert chosen <= documented.keys()
    assert "format: kinescope-store/2" in small.says("inspect", small.rows())


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    return newer_store(tmp_path)


@pytest.mark.parametrize("command", [["inspect"], ["verify"], ["compare", "."], ["export", "out", "--npy"]])
def test_commands_say_which_version_reads_a_newer_file_and_leave_it(
    newer: Path, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set" / "skeleton-0123456789ab"
    folder.mkdir(parents=True)
    for path in (newer, newer.with_name("index.h5")):
        path.rename(folder / path.name)
    (folder / "index.h5").rename(folder / "index-0123456789ab.h5")
    (folder / "index.h5").symlink_to("index-0123456789ab.h5")
    (tmp_path / "set" / "index.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    name, *rest = command
    rest = [str(folder) if argument == "." else argument for argument in rest]
    answer = CliRunner().invoke(app, [name, str(folder), *rest])
    assert answer.exit_code == 2, answer.output
    assert "has the format kinescope-store/3" in answer.stderr
    assert sorted(path.name for path in folder.iterdir()) == [
        "000-of-001-0123456789ab.h5",
        "index-0123456789ab.h5",
        "index.h5",
    ]


def test_a_file_of_other_making_may_call_something_its_format(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "theirs.h5", "w") as file:
        file["a"] = np.zeros((2, 3), np.float32)
        file.attrs["format"] = 3
    answer = CliRunner().invoke(app, ["compare", str(tmp_path / "theirs.h5"), str(tmp_path / "theirs.h5")])
    assert answer.exit_code == 0, answer.output
