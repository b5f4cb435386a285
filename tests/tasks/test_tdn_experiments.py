"""The experiments of Ng and Davis, *Temporal Difference Networks for Video Action Recognition* (WACV 2018).

Beside them their twins on a part of UCF-101, with networks that two cores carry: they differ in named places.
"""

import re

import pytest

from extractors.tdn.difference_places import LAYERS
from tasks.experiment import Experiment, load_experiment
from tasks.recipes import bundled
from tests.support.recipes import differences

PAPER = {
    "hmdb51-tsn-rgb": 51.1,
    "hmdb51-tsn-flow": 64.6,
    "hmdb51-tsn": 69.6,
    "hmdb51-tdn-rgb": 55.5,
    "hmdb51-tdn-flow": 64.8,
    "hmdb51-tdn": 70.4,
    "act-tsn-rgb": 72.0,
    "act-tsn-flow": 76.1,
    "act-tsn": 84.3,
    "act-tdn-rgb": 75.9,
    "act-tdn-flow": 77.0,
    "act-tdn": 85.1,
    "fcvid-tsn": 81.8,
    "fcvid-tdn": 83.7,
    "fcvid-tdn-input": 82.7,
    "fcvid-tdn-conv1": 82.9,
    "fcvid-tdn-res2": 83.3,
    "fcvid-tdn-res3": 83.8,
    "fcvid-tdn-res4": 83.7,
}
"""What the paper prints, in percent."""
KINDS = [f"{network}{stream}" for network in ("tsn", "tdn") for stream in ("-rgb", "-flow", "")]
ABLATION = [f"ucf101-11-tdn-{layers}" for layers in LAYERS["squeezenet1_0"]]
TWINS = [*(f"ucf101-11-{kind}" for kind in KINDS), *ABLATION]
SNIPPETS = {"hmdb51": 2, "act": 3, "fcvid": 3, "ucf101": 3}
TOLD = r"title|table|metric|reported|notes\.\d+|seeds(\.\d+)?|streams\.\d\.reported"
NETWORK = r"network\.(start\.network\.)?(backbone|weights|layers|(fit|joint)\.(optimiser|lr|dropout|batch|iterations|segments|colour_jitter|milestones(\.\d)?))"  # noqa: E501
PICTURES = (
    r"(network\.start\.)?(short_side|crop|crops|clips|snippets|flow\.(size_px\.\d|size_px|stride_frames|semantics))"
)
TWIN = rf"{TOLD}|dataset\..+|streams\.\d\.extractor\.({PICTURES}|{NETWORK})"


def networks(recipe: Experiment) -> list[dict[str, object]]:
    return [stream.extractor.network.fit.model_dump() for stream in recipe.streams]


def test_every_row_has_its_experiment() -> None:
    named = {name for name in bundled() if re.search(r"-t[sd]n($|-)", name)}
    assert named == {*PAPER, *TWINS}


@pytest.mark.parametrize("name", PAPER)
def test_figures_are_the_papers(name: str) -> None:
    recipe = load_experiment(name)
    assert recipe.reported == PAPER[name]
    data = {"hmdb51": "HMDB-51", "act": "ACT", "fcvid": "FCVID"}[name.split("-")[0]]
    assert recipe.table == ("TDN table 4" if name.startswith("fcvid-tdn-") else f"TDN, {data}")
    assert recipe.dataset.name == name.split("-")[0]
    assert recipe.metric == ("mAP" if name.startswith("fcvid") else "accuracy")
    single = [PAPER[f"{name}-{stream}"] for stream in ("rgb", "flow")] if recipe.fusion else [None]
    assert [stream.reported for stream in recipe.streams] == single
    assert getattr(recipe.dataset, "split", "all") == "all"


@pytest.mark.parametrize("name", PAPER)
def test_networks_are_trained_and_tested_as_the_paper_does(name: str) -> None:
    recipe = load_experiment(name)
    flow = {"rgb": [False], "flow": [True]}.get(name.split("-")[-1], [False, True] if recipe.fusion else [False])
    assert [stream.extractor.modality == "flow" for stream in recipe.streams] == flow
    for stream in recipe.streams:
        extractor, fit = stream.extractor, stream.extractor.network.fit
        assert stream.model.name == "consensus"
        assert (extractor.network.backbone, extractor.network.weights) == ("resnet50", "imagenet-resnet50")
        assert (extractor.crops, extractor.crop) == (10, 224)
        assert (fit.optimiser, fit.momentum, fit.batch, fit.gamma) == ("sgd", 0.9, 128, 0.1)
        if extractor.flow:
            assert extractor.flow.semantics == "opencv-cuda"
        if name.startswith("fcvid"):
            assert (extractor.every_s, extractor.size_px) == (3, (256, 256))
            assert (fit.dropout, fit.corner_crop, fit.partial_bn, fit.weight_decay) == (0, False, False, 1e-4)
            assert (fit.lr, fit.milestones, fit.iterations) == (0.01, (10_000, 20_000), 30_000)
        else:
            assert (fit.corner_crop, fit.partial_bn, fit.weight_decay) == (True, True, 5e-4)
            assert fit.colour_jitter == (0 if extractor.flow else 0.5)
        if extractor.name == "tsn":
            assert extractor.snippets == 25
            continue
        assert (extractor.clips, fit.segments) == (25, SNIPPETS[recipe.dataset.name])
        assert fit.dropout == (0 if name.startswith("fcvid") else 0.8)
        joint = extractor.network.joint.after(fit)
        assert joint.lr == pytest.approx(fit.lr / 100)
        assert joint.iterations == round(fit.iterations / 3)
        assert (extractor.network.start is not None) == (extractor.modality == "flow")


@pytest.mark.parametrize("data", ["hmdb51", "act", "ucf101-11"])
@pytest.mark.parametrize("network", ["tsn", "tdn"])
def test_two_streams_are_the_single_ones_by_l1_norms(data: str, network: str) -> None:
    both, rgb, flow = (load_experiment(f"{data}-{network}{stream}") for stream in ("", "-rgb", "-flow"))
    assert both.fusion is not None
    assert (both.fusion.rule, both.fusion.weights) == ("l1", (1, 1.5))
    alone = [stream.model_copy(update={"reported": None}) for stream in both.streams]
    assert alone == [*rgb.streams, *flow.streams]
    assert both.dataset == rgb.dataset == flow.dataset
    assert both.seeds == rgb.seeds == flow.seeds


@pytest.mark.parametrize("data", ["hmdb51", "act", "ucf101-11"])
def test_flow_starts_from_its_temporal_segment_network(data: str) -> None:
    tdn, tsn = (load_experiment(f"{data}-{network}-flow").streams[0].extractor for network in ("tdn", "tsn"))
    assert tdn.started_from == tsn


@pytest.mark.parametrize("backbone", LAYERS)
def test_the_ablation_differs_in_layers_alone(backbone: str) -> None:
    stem = {"resnet50": "fcvid-tdn", "squeezenet1_0": "ucf101-11-tdn"}[backbone]
    whole = load_experiment("fcvid-tdn" if backbone == "resnet50" else "ucf101-11-tdn-rgb")
    for layers in LAYERS[backbone]:
        part = load_experiment(f"{stem}-{layers}")
        assert part.streams[0].extractor.network.layers == layers
        places = {place for place in differences(part, whole) if not re.fullmatch(TOLD, place)}
        assert places <= {"streams.0.extractor.network.layers"}
        assert layers in part.title or layers == "input"


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_differs_where_it_says_so(name: str) -> None:
    twin = load_experiment(name)
    paper = load_experiment(name.replace("ucf101-11", "hmdb51") if name not in ABLATION else "hmdb51-tdn-rgb")
    places = [place for place in differences(twin, paper) if not re.fullmatch(TWIN, place)]
    assert not places
    assert twin.title.startswith("UCF-101, 11 classes, clips c01–c03: ")
    assert (twin.table, twin.reported) == ("", None)
    assert (len(twin.dataset.classes), twin.dataset.clips) == (11, (1, 2, 3))
    notes = " ".join(twin.notes)
    assert "no figure of the paper compares" in notes
    assert "SqueezeNet 1.0" in notes
    for stream in twin.streams:
        assert stream.extractor.network.backbone == "squeezenet1_0"
        looked_at = stream.extractor.snippets if stream.extractor.name == "tsn" else 3 * stream.extractor.clips
        assert looked_at == 15


@pytest.mark.parametrize("modality", ["rgb", "flow"])
def test_twins_have_one_budget(modality: str) -> None:
    """As many examples of as many snippets, by the same optimiser."""
    tsn, tdn = (load_experiment(f"ucf101-11-{network}-{modality}").streams[0].extractor for network in ("tsn", "tdn"))
    second = tdn.network.joint.after(tdn.network.fit)
    assert tdn.network.fit.iterations + second.iterations == tsn.network.fit.iterations
    left = {"iterations", "milestones"}
    assert tdn.network.fit.model_dump(exclude=left) == tsn.network.fit.model_dump(exclude=left)
    assert (tdn.short_side, tdn.crop, tdn.crops, tdn.flow) == (tsn.short_side, tsn.crop, tsn.crops, tsn.flow)
