"""TDN as an extractor: which clips it draws, what its rows hold, and which recipes it refuses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from extractors import EXTRACTORS
from extractors.base import Clip, Row
from extractors.frames import Frames
from extractors.tdn.config import TDN
from extractors.tdn.network import TDNNetwork
from extractors.tvl1.config import TVL1
from pipeline.config import one_of, parse
from pipeline.errors import InputError, UnusableVideo
from pipeline.training.random_state import seeded
from pipeline.video.decode import read
from tests.support import footage
from tests.support.equality import close
from tests.support.footage import film, flows

FIT = {"epochs": 1, "segments": 3}
TRAINED = {"backbone": "squeezenet1_0", "weights": "w", "fit": {"epochs": 1}}
START = {"name": "tsn", "modality": "flow", "network": TRAINED}


def tdn(modality: str = "rgb", *, network: Mapping[str, Any] = {}, **fields: Any) -> TDN:
    start = {"start": START} if modality == "flow" else {}
    table = {"backbone": "squeezenet1_0", "weights": "w", "fit": FIT, "joint": {"epochs": 1}, **start, **network}
    given = {"modality": modality, "short_side": 72, "crop": 64, "clips": 4, "network": table, **fields}
    parsed: TDN = parse(TDN, given)
    return parsed


def trained(folder: Path, modality: Any = "rgb", classes: int = 3) -> tuple[TDNNetwork, dict[str, Path]]:
    """A network of random weights, its classifiers of some size, and its file."""
    with seeded(0):
        network = TDNNetwork(
            "squeezenet1_0", modality, classes, layers="fire8", conv1_at="56", dropout=0.8, partial_bn=True
        ).eval()
        for name, tensor in network.state_dict().items():
            if "head" in name:
                torch.nn.init.normal_(tensor, std=0.1)
    save_file(network.state_dict(), folder / f"{modality}.safetensors")
    return network, {"0": folder / f"{modality}.safetensors"}


@pytest.mark.parametrize("length", [1, 2, 30, 400])
def test_a_clip_has_a_snippet_of_each_third(length: int) -> None:
    starts = tdn(clips=200).starts(length)
    assert starts.shape == (200, 3)
    assert (np.diff(starts[:, 0]) >= 0).all()
    for part in range(3):
        low = length * part // 3
        assert starts[:, part].min() >= low
        assert starts[:, part].max() < max(length * (part + 1) // 3, low + 1)
        if length == 30:
            assert set(starts[:, part]) == set(range(10 * part, 10 * part + 10))


def test_clips_repeat_with_the_seed_and_differ_without() -> None:
    config = tdn(clips=25)
    np.testing.assert_array_equal(config.starts(100), tdn(clips=25).starts(100))
    assert (config.starts(100) != tdn(clips=25, clip_seed=1).starts(100)).any()
    assert tdn().fitted == tdn(clip_seed=1, clips=9, crops=1).fitted  # other clips do not train a network anew


def test_rows_of_frames(tmp_path: Path) -> None:
    network, states = trained(tmp_path)
    clip, config = film(tmp_path, 30), tdn(crops=1)
    (row,) = config.build("cpu", states)(clip)
    frames, starts = torch.from_numpy(read(clip.path).frames[:, 4:68, 16:80].copy()), config.starts(30)
    with torch.no_grad():
        images, changes = network.branches(frames[torch.from_numpy(starts)])
        pooled = [part.unflatten(0, (4, -1)).mean(1) for part in network.pooled(frames[torch.from_numpy(starts)])]
    close(row.arrays["image_scores"], images)
    close(row.arrays["difference_scores"], changes)
    close(row.arrays["scores"], (images + changes) / 2)
    close(row.arrays["features"], torch.cat(pooled, dim=1))
    assert row.arrays["features"].shape == (4, 1024)
    np.testing.assert_array_equal(row.arrays["snippet_frames"], starts)
    np.testing.assert_array_equal(row.arrays["start_frames"], starts[:, 0])
    assert row.attributes.items() >= {"fps": 25.0, "frames": 30}.items()


def test_ten_crops_are_averaged_each_with_itself(tmp_path: Path) -> None:
    network, states = trained(tmp_path)
    clip, config = film(tmp_path, 12), tdn(crops=10, clips=2)
    (row,) = config.build("cpu", states)(clip)
    frames = torch.from_numpy(read(clip.path).frames)[torch.from_numpy(config.starts(12))]
    corners = [(0, 0), (0, 32), (8, 0), (8, 32), (4, 16)]
    crops = [frames[:, :, y : y + 64, x : x + 64] for y, x in corners]
    with torch.no_grad():
        every = [torch.stack(network.branches(crop)) for crop in (*crops, *(crop.flip(3) for crop in crops))]
    close(row.arrays["image_scores"], torch.stack(every).mean(0)[0])
    close(row.arrays["difference_scores"], torch.stack(every).mean(0)[1])


def test_rows_of_flow(tmp_path: Path) -> None:
    network, states = trained(tmp_path, "flow")
    source, config = flows(30), tdn("flow", crops=1, network={"fit": {**FIT, "segments": 2}})
    (row,) = config.build("cpu", states)([source])
    starts = config.starts(30)
    assert starts.max() <= 25
    stacks = [
        [[source.arrays[name][start + step][4:68, 16:80] for step in range(5) for name in "xy"] for start in clip]
        for clip in starts
    ]
    with torch.no_grad():
        images, changes = network.branches(torch.from_numpy(np.moveaxis(np.array(stacks), 2, -1)))
    close(row.arrays["image_scores"], images)
    close(row.arrays["difference_scores"], changes)


def test_a_video_without_motion_has_the_difference_scores_of_nothing(tmp_path: Path) -> None:
    network, states = trained(tmp_path)
    still = np.broadcast_to(np.random.default_rng(0).integers(0, 256, (1, 72, 96), np.uint8), (8, 72, 96))
    clip = Clip(footage.write(tmp_path / "still.avi", np.ascontiguousarray(still)))
    (row,) = tdn().build("cpu", states)(clip)
    with torch.no_grad():
        nothing = network.difference.head(network.difference.backbone.pooled(torch.zeros(1, 3, 64, 64)))
    np.testing.assert_allclose(row.arrays["difference_scores"], nothing.repeat(4, 1), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("flow", [False, True])
def test_short_videos(tmp_path: Path, flow: bool) -> None:
    modality = "flow" if flow else "rgb"
    _, states = trained(tmp_path, modality)
    built = tdn(modality, crops=1).build("cpu", states)
    (row,) = built([flows(5)] if flow else film(tmp_path, 1))
    assert row.arrays["scores"].shape == (4, 3)
    if flow:
        with pytest.raises(UnusableVideo, match="5 frames, which give 4 flows; at least 5 flows are needed"):
            next(built([flows(4)]))


def test_how_the_start_is_tested_changes_no_row_of_ours() -> None:
    start = {**START, "snippets": 3, "crops": 1}
    one, other = tdn("flow"), tdn("flow", network={"start": start})
    assert one.significant(str) == other.significant(str)
    retrained = {**START, "network": {**TRAINED, "fit": {"epochs": 2}}}
    assert one.significant(str) != tdn("flow", network={"start": retrained}).significant(str)


def test_what_is_fitted_and_on_what() -> None:
    rgb, flow = tdn(), tdn("flow", flow={"stride_frames": 2})
    assert (rgb.fitted.layers, rgb.fitted.conv1_at, rgb.fitted.crop) == ("fire8", "56", 64)
    assert rgb.fitted_on == Frames(short_side=72)
    assert flow.fitted_on == flow.upstream == TVL1(stride_frames=2)
    assert rgb.started_from is None
    assert flow.started_from is not None
    assert flow.started_from.network.fit is not None
    seeded = flow.seeded(2)
    assert seeded.fitted.seed == 2
    assert seeded.started_from is not None
    assert seeded.started_from.network.seed == 2
    assert flow.seeded(0) == flow


@pytest.mark.parametrize("modality", ["rgb", "flow"])
def test_a_configuration_is_its_canonical_json(modality: str) -> None:
    config = tdn(modality)
    assert TDN.model_validate_json(config.canonical()) == config
    assert parse(one_of(EXTRACTORS, "extractor"), config.model_dump(mode="json")) == config
    assert config.files() == ("w",)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"network": {"layers": "res3"}}, r"unknown layers of squeezenet1_0 'res3': .*conv1, fire4, fire8, input"),
        ({"network": {"backbone": "resnet50", "layers": "fire4"}}, "unknown layers of resnet50 'fire4'"),
        ({"network": {"backbone": "bn_inception"}}, "'resnet50' or 'squeezenet1_0'"),
        ({"network": {"backbone": ["resnet50"]}}, "'resnet50' or 'squeezenet1_0'"),
        ({"network": {"fit": {"epochs": 1, "segments": 1}}}, "one snippet has no difference"),
        ({"network": {"fit": None}}, "network.fit"),
        ({"network": {"joint": None}}, "network.joint"),
        ({"network": {"conv1_at": "28"}}, "'56' or '112'"),
        ({"modality": "rgb_diff"}, "'rgb' or 'flow'"),
        (
            {"modality": "flow", "network": {"start": None}},
            "the tsn of flow whose backbone the image network starts from",
        ),
        ({"network": {"start": START}}, "the same modality, rgb, not flow"),
        (
            {"network": {"start": {"name": "tsn", "network": {"backbone": "squeezenet1_0", "weights": "w"}}}},
            "must be fine-tuned",
        ),
        (
            {"network": {"start": {"name": "tsn", "network": {**TRAINED, "backbone": "resnet50"}}}},
            "the same backbone, squeezenet1_0, not resnet50",
        ),
        ({"crop": 73}, "a crop of 73 pixels needs a short_side"),
        ({"size_px": [60, 80], "short_side": None}, "a crop of 64 pixels needs size_px"),
        ({"modality": "flow", "every_s": 3}, "size_px and every_s are for frames"),
        ({"clips": 0}, "greater than or equal to 1"),
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tdn(**fields)


def test_a_network_that_is_not_there_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="what was fitted in one fold, not in 0"):
        tdn().build("cpu", {})
    _, states = trained(tmp_path)
    with pytest.raises(TypeError, match="a video file, not rows"):
        next(tdn().build("cpu", states)([Row({})]))
