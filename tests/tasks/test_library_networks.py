"""Experiments on networks of other libraries, from videos to a table."""

import json
from collections.abc import Iterator
from pathlib import Path

import luigi
import numpy as np
import pytest
from luigi.configuration import get_config

import tasks
from extractors.backbones.torchvision_models import models
from extractors.i3d.network import I3DNetwork
from pipeline.files import tensors
from pipeline.store import Store
from pipeline.video.encode import write
from tests.support.contracts import at_random

RECIPE = """
title = "networks of libraries"
fusion = {{ rule = "sum" }}
[dataset]
name = "folder"
root = "{folder}/files"
test_fraction = 0.5
[[streams]]
label = "clips"
extractor = {{ name = "clip3d", network = "mc3_18", weights = "{folder}/mc3.safetensors", window_frames = 8 }}
model = {{ name = "linear_svm" }}
[[streams]]
label = "inflated"
extractor = {{ name = "i3d", weights = "{folder}/i3d.safetensors", window_frames = 9 }}
model = {{ name = "linear_svm" }}
[[streams]]
label = "fine-tuned"
model = {{ name = "consensus" }}
[streams.extractor]
name = "tsn"
snippets = 2
crops = 1
short_side = 64
crop = 64
[streams.extractor.network]
backbone = "torchvision:shufflenet_v2_x0_5"
weights = "{folder}/shufflenet.safetensors"
fit = {{ epochs = 1, batch = 2 }}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    rng = np.random.default_rng(0)
    for label in "ab":
        for number in range(2):
            pictures = rng.integers(0, 256, (16, 32, 48, 3), np.uint8) // (1 if label == "a" else 3)
            write(tmp_path / "files" / label / f"{number}.mp4", pictures, 25)
    at_random(models.get_model("mc3_18"), tmp_path / "mc3.safetensors")
    at_random(I3DNetwork(), tmp_path / "i3d.safetensors")
    at_random(models.get_model("shufflenet_v2_x0_5"), tmp_path / "shufflenet.safetensors")
    get_config().set("kinescope", "store", str(tmp_path / "store"))
    yield tmp_path
    get_config().remove_section("kinescope")


@pytest.mark.slow
def test_from_videos_to_a_table(folder: Path) -> None:
    (folder / "recipe.toml").write_text(RECIPE.format(folder=folder))
    task = tasks.Evaluate(experiment=str(folder / "recipe.toml"))
    assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
    shapes = {}
    for stage in ("clip3d", "i3d", "tsn"):
        (index,) = folder.glob(f"store/*/{stage}-*/index.h5")
        store = Store(index)
        rows = [store.read(video) for video in store.ids()]
        assert len(rows) == 4
        shapes[stage] = {name: row[name].shape[1:] for row in rows for name in row.arrays}
    assert shapes["clip3d"] == {
        "features": (512,), "kinetics_scores": (400,), "start_frames": (), "times": (), "ends": ()
    }  # fmt: skip
    assert shapes["i3d"]["features"] == shapes["tsn"]["features"] == (1024,)
    assert shapes["tsn"]["scores"] == (2,)
    (network,) = folder.glob("store/*/tsn-fit-*/network.safetensors")
    assert "preprocessing" in tensors.read(network)[1]["provenance"]
    (figures,) = folder.glob("store/*/evaluate-*/metrics.json")
    assert [stream["name"] for stream in json.loads(figures.read_text())["rows"]] == [
        *("clips", "inflated", "fine-tuned", "fusion")
    ]
