"""Why: it names what changed and what follows from it, and touches nothing."""

import os
from pathlib import Path

import luigi
import numpy as np
import pytest
from safetensors.numpy import save_file

import tasks
from extractors.skeleton.config import Skeleton
from pipeline.video.encode import write
from tasks.commands.why import _nearest
from tests.support.small_experiment import Small


def test_why_names_the_field_that_changed_and_what_follows(small: Small) -> None:
    assert small.says("why", small.recipe) == ["nothing would run"]
    small.fields["order"] = 2
    lines = small.says("why", small.recipe)
    assert "would run: Train drnn: field model.order 1 -> 2" in lines
    assert "would run: Predict drnn (2 times): field model.order 1 -> 2; upstream drnn changed" in lines
    assert "would run: Fuse (2 times): upstream recurrent changed" in lines
    assert lines[-1].startswith("would run: Evaluate: field streams.0.model.order 1 -> 2; upstream ")
    assert len(lines) == 4
    small.fields |= {"order": 1, "rule": "product"}
    assert small.says("why", small.recipe)[0] == 'would run: Fuse (2 times): field rule "sum" -> "product"'
    small.fields |= {"rule": "sum", "dims": 2}
    lines = small.says("why", small.recipe)
    assert "would run: FitReducer pca: field reducer.dims 3 -> 2" in lines
    assert "would run: Train lstm: upstream pca changed" in lines
    small.fields |= {"dims": 3, "variant": "583"}
    count = len(list(small.rows().parent.parent.glob("*/skeleton-*/0*.h5")))
    lines = small.says("why", small.recipe)
    assert lines[0] == f'would run: Extract skeleton ({count} of {count} shards): field variant "472" -> "583"'
    assert "would run: Train drnn: upstream skeleton changed" in lines


def test_why_compares_no_first_run_with_another_experiments(small: Small) -> None:
    small.fields |= {"order": 2, "dims": 2, "variant": "583"}
    other = Path(small.recipe).with_name("other.toml")
    other.write_text(Path(small.recipe).read_text().replace('title = "small"', 'title = "other"'))
    lines = small.says("why", other)
    assert len(lines) > 4
    assert all(line.endswith(": never computed") for line in lines[:-1])
    assert "field" not in lines[-1]


def test_why_compares_what_reads_other_rows_with_nothing(small: Small) -> None:
    reducer = {"stage": "FitReducer", "components": {"reducer": {"dims": 3}}}
    (task,) = small.experiment().runs.predictions(0, 0)[1].reduction()
    dataset = task.path().parent.parent
    assert _nearest({**reducer, "upstream": {"skeleton": "0", "train videos": "1"}}, dataset, "pca")
    assert _nearest({**reducer, "upstream": {"hog3d": "0", "train videos": "1"}}, dataset, "pca") is None


STREAMS = """
title = "flow"
[dataset]
name = "folder"
root = "{root}"
[[streams]]
model = {{ name = "linear_svm" }}
[streams.extractor]
name = "tsn"
modality = "flow"
network = {{ backbone = "squeezenet1_0", weights = "{weights}" }}
"""


def test_why_names_the_flow_that_is_read_as_it_is(small: Small, tmp_path: Path) -> None:
    for number in range(4):
        write(
            tmp_path / "files" / "ab"[number % 2] / f"{number}.mp4", np.full((8, 32, 48, 3), 40 * number, np.uint8), 25
        )
    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "weights.safetensors")
    recipe = tmp_path / "flow.toml"
    recipe.write_text(STREAMS.format(root=tmp_path / "files", weights=tmp_path / "weights.safetensors"))
    luigi.build([tasks.Evaluate(experiment=str(recipe)).index], local_scheduler=True, log_level="ERROR")
    lines = small.says("why", recipe)
    assert lines[0].startswith("would run: Extract tvl1 (")
    assert lines[1].startswith("would run: Extract tsn (")


def test_why_says_that_a_root_is_not_there(small: Small, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(STREAMS.format(root=tmp_path / "nowhere", weights="w.safetensors"))
    assert small.refused("why", recipe) == f"error: the data root of 'folder' is no folder: {tmp_path / 'nowhere'}"


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
    assert f"{shard.name} was damaged and set aside as {shard.name}.damaged-1" in lines[0]
    small.run()
    assert small.says("why", small.recipe) == ["nothing would run"]


def test_why_before_anything_is_there(small: Small) -> None:
    manifest = next(small.store.glob("*/index.json"))
    manifest.unlink()
    lines = small.says("why", small.recipe)
    assert lines[0].endswith("it was never indexed")
    assert "did you mean 'stick-figures'" in small.refused("why", "stick-figure")


def test_why_tells_of_damaged_figures(small: Small) -> None:
    os.truncate(next(small.store.glob("*/evaluate-*/metrics.json")), 100)
    assert small.says("why", small.recipe) == ["would run: Evaluate: metrics.json is damaged"]
