"""The experiments of Lakhal et al., *Residual Stacked RNNs for Action Recognition* (ECCVW 2018), and their twins.

Twins run on a part of UCF-101 and with networks that two cores carry: they differ from the paper's in named places.
"""

import re
from typing import Any

import pytest

from pipeline.results.sweeps import flat
from tasks.experiment import JoinedStream, load_experiment
from tasks.recipes import bundled
from tests.support.recipes import differences

RULES = ("mid-sum", "mid-product", "late-sum", "late-product", "late-weighted")


TWO_STREAMS = ("rgb", "flow", *RULES, "idt", "late-product-idt")


STEPS, DEPTHS, WIDTHS = (5, 15, 25, 35), (2, 3, 4), (256, 512, 1024, 2048)


PAPER = {
    "ucf101-c3d-t05": ("table 1", 77.9),
    "ucf101-c3d-t15": ("table 1", 79.9),
    "ucf101-c3d-t25": ("table 1", 79.5),
    "ucf101-c3d-t35": ("table 1", 80.9),
    "hmdb51-c3d-t05": ("table 1", 59.5),
    "hmdb51-c3d-t15": ("table 1", 60.2),
    "hmdb51-c3d-t25": ("table 1", 61.5),
    "hmdb51-c3d-t35": ("table 1", 61.4),
    "hmdb51-mid-sum": ("table 2", 59.3),
    "hmdb51-mid-product": ("table 2", 56.5),
    "hmdb51-late-sum": ("table 2", 65.2),
    "hmdb51-late-product": ("table 2", 68.0),
    "hmdb51-late-weighted": ("table 2", 63.3),
    "ucf101-late-product": ("table 4", 92.5),
    "ucf101-late-product-idt": ("table 4", 93.0),
    "hmdb51-late-product-idt": ("table 4", 76.9),
}
"""Where the paper prints which figure, in percent."""


TITLE = "UCF-101, 11 classes, clips c01–c03: "


TOLD = r"title|table|reported|notes\.\d+|seeds\.\d+"


OTHERWISE = {
    "dense": r"dataset\.(classes|clips)\.\d+|streams\.0\.(label|extractor\..+|reducer\.dims|model\.fit\.epochs)",
    "streams": r"dataset\.(classes|clips)\.\d+|streams\.\d\.(inputs\.\d\.)?("
    r"extractor\.(short_side|crop|crops|flow\.(size_px\.\d|size_px|stride_frames)|trajectories\.size_px(\.\d)?)"
    r"|extractor\.network\.(backbone|weights|fit\.(optimiser|lr|dropout|batch|iterations|milestones(\.\d)?))|model\.fit\.epochs)",
    "hmdb51": r"dataset\..+|streams\.\d\.(inputs\.\d\.)?extractor\.network\.fit\.(iterations|milestones\.\d)",
}
"""Where twins, and the experiments on HMDB-51, may differ from those on UCF-101."""


def sweep(stem: str, part: int = 1) -> list[str]:
    """The experiments on steps, depth and width; part: of the paper's width each has."""
    depths = [f"depth{layers}{plain}" for layers in DEPTHS for plain in ("", "-plain")]
    widths = [f"h{width // part:04}{kind}" for width in WIDTHS for kind in ("", "-plain", "-lstm")]
    return [f"{stem}-{name}" for name in (*(f"t{steps:02}" for steps in STEPS), *depths, *widths)]


C3D = [*sweep("ucf101-c3d"), *sweep("hmdb51-c3d")]


DENSE = sweep("ucf101-11-dense", 4)


FUSED = [f"{stem}-{name}" for stem in ("ucf101", "hmdb51") for name in TWO_STREAMS]


TWINS = [f"ucf101-11-{name}" for name in TWO_STREAMS]


def allowed(places: set[str], kind: str) -> bool:
    return all(re.fullmatch(f"{TOLD}|{OTHERWISE[kind]}", place) for place in places)


def original(twin: str) -> str:
    """The paper's experiment that a twin stands for."""
    name = twin.replace("ucf101-11-dense", "ucf101-c3d").replace("ucf101-11", "ucf101")
    return re.sub(r"-h(\d+)", lambda match: f"-h{4 * int(match[1]):04}", name)


OTHERS = {"ucf101-i3d-res-lstm", "hmdb51-i3d-res-lstm"}
"""Recipes of features that the paper names, and reports no figure of."""


def test_every_row_has_its_experiments() -> None:
    known = set(bundled())
    assert {*C3D, *DENSE, *FUSED, *TWINS, *OTHERS} <= known
    assert all(load_experiment(name).reported is None for name in OTHERS)
    of_hmdb51 = {name for name in known if name.startswith("hmdb51") and not re.search(r"-t[sd]n($|-)", name)}
    assert of_hmdb51 - OTHERS == {name for name in (*C3D, *FUSED) if "hmdb" in name}


def test_only_the_papers_own_recipes_report_its_figures() -> None:
    for name in (*C3D, *DENSE, *FUSED, *TWINS):
        recipe = load_experiment(name)
        table, figure = PAPER.get(name, ("figure 3" if name in C3D else "", None))
        assert recipe.reported == figure, name
        assert recipe.table == (f"Res-LSTM {table}" if table else ""), name
        assert all(stream.reported is None for stream in recipe.streams)


@pytest.mark.parametrize("name", [*C3D, *DENSE])
def test_steps_depth_and_width_are_as_the_name_says(name: str) -> None:
    recipe = load_experiment(name)
    (stream,) = recipe.streams
    model = stream.model
    part = 4 if name in DENSE else 1
    steps, layers, width = (re.search(pattern, name) for pattern in (r"-t(\d+)", r"-depth(\d)", r"-h(\d+)"))
    assert model.steps == (int(steps[1]) if steps else 25)
    assert model.layers == (int(layers[1]) if layers else 1 if name.endswith("-lstm") else 2)
    assert model.residual == (not name.endswith(("-plain", "-lstm")))
    assert stream.reducer.dims == (int(width[1]) if width else 1024 // part)
    assert model.hidden is None  # as wide as what it is given
    assert (model.classify, model.fit.optimiser, model.fit.lr) == ("m", "rmsprop", 1e-3)
    assert recipe.dataset.split == 1
    if name in C3D:
        extractor = stream.extractor
        assert (extractor.name, extractor.layer, extractor.stride_frames) == ("c3d", "fc6", 8)
        assert recipe.dataset.name == name.split("-")[0]
    for said, what in ((steps, "steps"), (layers, "layers"), (width, "cells")):
        assert not said or f"{int(said[1])} {what}" in recipe.title


@pytest.mark.parametrize("name", [*DENSE, *TWINS])
def test_a_twin_differs_where_it_says_so(name: str) -> None:
    twin, paper = load_experiment(name), load_experiment(original(name))
    places = differences(twin, paper)
    assert allowed(places, "dense" if name in DENSE else "streams"), places
    assert {"dataset.classes.10", "dataset.clips.2"} <= places
    assert twin.title.startswith(TITLE)
    assert twin.table == ""
    notes = " ".join(twin.notes)
    assert "no figure of the paper compares" in notes
    networks = {str(part) for part in flat(twin.model_dump(mode="json")).values()}
    for word, said in (
        ("squeezenet1_0", "SqueezeNet 1.0"),
        ("tvl1", "every fifth frame"),
        ("trajectories", "Trajectories"),
    ):
        assert word not in networks or said in notes, word
    if name in DENSE:
        assert 4 * twin.streams[0].reducer.dims == paper.streams[0].reducer.dims
        assert twin.streams[0].extractor.stride_frames == paper.streams[0].extractor.stride_frames


@pytest.mark.parametrize("name", [name for name in (*C3D, *FUSED) if name.startswith("hmdb51")])
def test_hmdb51_differs_in_the_data_and_the_schedule(name: str) -> None:
    places = differences(load_experiment(name), load_experiment(name.replace("hmdb51", "ucf101")))
    assert allowed(places, "hmdb51"), places


@pytest.mark.parametrize("stem", ["ucf101", "hmdb51", "ucf101-11"])
def test_all_fusions_read_the_same_streams(stem: str) -> None:
    recipes = {name: load_experiment(f"{stem}-{name}") for name in TWO_STREAMS}
    rgb, flow, idt = (recipes[name].streams[0] for name in ("rgb", "flow", "idt"))
    assert rgb.model == flow.model
    for rule in RULES:
        when, _, how = rule.partition("-")
        streams, fusion = recipes[rule].streams, recipes[rule].fusion
        if when == "mid":
            (joined,) = streams
            assert isinstance(joined, JoinedStream)
            assert fusion is None
            assert (joined.join, joined.model) == (how, rgb.model)
            assert joined.inputs == (*rgb.inputs, *flow.inputs)
        else:
            assert streams == (rgb, flow)
            assert fusion is not None
            assert (fusion.rule, fusion.weights) == (how, (1, 1.5) if how == "weighted" else None)
    last = recipes["late-product-idt"]
    assert last.streams == (rgb, flow, idt)
    assert last.fusion == recipes["late-product"].fusion
    assert {recipe.dataset for recipe in recipes.values()} == {recipes["rgb"].dataset}


SCHEDULES: dict[str, tuple[Any, ...]] = {
    "ucf101-rgb": (1e-3, (1500, 3000), 3500, 40, 0.8, (1, 0.875, 0.75, 0.66)),
    "ucf101-flow": (5e-3, (10_000, 16_000), 18_000, 20, 0.7, (1, 0.875, 0.75)),
    "hmdb51-rgb": (1e-3, (1000, 2000), 2500, 40, 0.8, (1, 0.875, 0.75, 0.66)),
    "hmdb51-flow": (5e-3, (4000, 6000), 7000, 20, 0.7, (1, 0.875, 0.75)),
}
"""Of Wang et al., *Temporal Segment Networks* (ECCV 2016), section 5.1, and their code."""


@pytest.mark.parametrize("name", SCHEDULES)
def test_networks_are_fine_tuned_as_their_authors_do(name: str) -> None:
    (stream,) = load_experiment(name).streams
    extractor, fit = stream.extractor, stream.extractor.network.fit
    schedule = (fit.lr, fit.milestones, fit.iterations, fit.clip_norm, fit.dropout, fit.jitter_scales)
    assert schedule == SCHEDULES[name]
    assert (fit.optimiser, fit.momentum, fit.weight_decay, fit.batch, fit.segments, fit.gamma) == (
        *("sgd", 0.9, 5e-4, 128),
        *(3, 0.1),
    )
    assert (extractor.network.backbone, extractor.snippets, extractor.crops) == ("bn_inception", 25, 10)
    assert (extractor.short_side, extractor.crop, extractor.modality) == (256, 224, name.split("-")[1])
    assert stream.model.steps == 25
    assert stream.reducer is None


def test_trajectories_are_classified_as_their_authors_do() -> None:
    (stream,) = load_experiment("ucf101-idt").streams
    assert (stream.model.C, stream.model.scaling, stream.extractor.gaussians) == (100, "none", 256)
