"""Training a temporal difference network: two phases, that it learns, repeats, and survives being killed in either."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import pipeline.training.loop
from extractors.backbones.registry import BACKBONES
from extractors.base import Labelled
from extractors.snippets.finetuning import Finetuning
from extractors.snippets.training_data import TrainingSnippets
from extractors.tdn.training import FittedTDN, JointFinetuning
from pipeline.config import parse
from pipeline.errors import InputError
from pipeline.training.curves import Curves
from pipeline.training.loop import fit
from pipeline.training.random_state import seeded
from tests.support.contracts import squeezenet
from tests.support.equality import same_tensors
from tests.support.moving_stripes import CLIPS, FLOWS, SIDE, labelled, stripes

STILL: dict[str, Any] = {"dropout": 0, "jitter_scales": (1,), "mirror": False}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of SqueezeNet, at random."""
    return Path(squeezenet(tmp_path_factory.mktemp("weights")))


def config(weights: Path, modality: str = "rgb", joint: dict[str, Any] | None = None, **fit: Any) -> FittedTDN:
    table = {"epochs": 1, "lr": 0.01, "batch": 4, "dropout": 0.1, "jitter_scales": (1, 0.8), "segments": 2, **fit}
    network = {
        **{"modality": modality, "backbone": "squeezenet1_0", "weights": str(weights), "crop": SIDE, "fit": table},
        **{"layers": "fire8", "conv1_at": "56", "joint": joint or {"epochs": 1}},
    }
    fitted: FittedTDN = parse(FittedTDN, network)
    return fitted


def train(fitted: FittedTDN, folder: Path, clips: Labelled = CLIPS) -> tuple[Mapping[str, torch.Tensor], Curves]:
    return fitted.train(clips, device="cpu", checkpoint=folder / "checkpoint.pt")


@pytest.mark.parametrize("modality", ["rgb", "flow"])
def test_it_learns_eight_clips(modality: str, weights: Path, tmp_path: Path) -> None:
    adam = {"optimiser": "adam", "lr": 5e-4, "batch": 8, **STILL}
    state, curves = train(
        config(weights, modality, {"epochs": 15}, epochs=10, **adam), tmp_path, FLOWS if modality == "flow" else CLIPS
    )
    assert len(curves) == 25
    assert curves.accuracy[-1] == 1
    assert curves.loss[-1] < 0.6 < curves.loss[0]
    assert state["image.head.weight"].shape == state["difference.head.weight"].shape == (2, 512)


def test_phase_1_leaves_the_image_network_as_it_came(weights: Path, tmp_path: Path) -> None:
    """With nothing to do in phase 2."""
    from extractors.weights.state_dicts import load

    state, _ = train(config(weights, joint={"epochs": 1, "lr": 1e-30}), tmp_path)
    given = load(weights)
    for part, learns in (("image", False), ("difference", True)):
        moved = [
            float((state[f"{part}.backbone.{key}"] - given[key]).abs().max()) > 1e-9
            for key in given
            if "features" in key
        ]
        assert all(moved) if learns else not any(moved)
    changed, _ = train(config(weights, joint={"epochs": 1}), tmp_path / "joint")
    assert not torch.equal(changed["image.backbone.features.0.weight"], given["features.0.weight"])


def test_a_network_that_was_trained_before_is_where_images_start(weights: Path, tmp_path: Path) -> None:
    with seeded(5):
        backbone = BACKBONES["squeezenet1_0"](10)
    state = {f"backbone.{key}": tensor for key, tensor in backbone.state_dict().items()}
    save_file(state | {"head.weight": torch.ones(2, 512), "head.bias": torch.ones(2)}, tmp_path / "tsn.safetensors")
    clips = Labelled(FLOWS.rows, FLOWS.labels, 2, FLOWS.videos, tmp_path / "tsn.safetensors")
    found, _ = train(config(weights, "flow", {"epochs": 1, "lr": 1e-30}), tmp_path, clips)
    for key, tensor in backbone.state_dict().items():
        torch.testing.assert_close(found[f"image.backbone.{key}"], tensor, rtol=0, atol=1e-9)


@pytest.mark.parametrize("draws", [5, 8 + 5])
def test_a_training_killed_in_either_phase_ends_with_the_same_bits(
    draws: int, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight examples are drawn in each phase."""
    monkeypatch.setattr(pipeline.training.loop, "CHECKPOINT_S", 0)
    fitted = config(weights, batch=3, colour_jitter=0.3)
    state, curves = train(fitted, tmp_path / "whole")
    draw, drawn = TrainingSnippets.draw, 0

    def dying(examples: TrainingSnippets, index: int, rng: np.random.Generator) -> Any:
        nonlocal drawn
        drawn += 1
        if drawn == draws:
            raise KeyboardInterrupt
        return draw(examples, index, rng)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingSnippets, "draw", dying)
        with pytest.raises(KeyboardInterrupt):
            train(fitted, tmp_path)
    assert (tmp_path / "checkpoint-phase-1.pt").exists()
    again, other = train(fitted, tmp_path)
    assert other == curves
    assert same_tensors(again, state)


def test_a_seed_repeats_and_another_differs(weights: Path, tmp_path: Path) -> None:
    one, again = (train(config(weights), tmp_path / name)[0] for name in "ab")
    assert same_tensors(one, again)
    assert not same_tensors(one, train(config(weights).model_copy(update={"seed": 1}), tmp_path / "c")[0])


def test_videos_with_several_labels_are_trained_on(weights: Path, tmp_path: Path) -> None:
    marks = [np.array(mark, np.float32) for mark in ([1, 0, 0], [0, 1, 1])] * 4
    rows = [stripes(number % 2, 12) for number in range(8)]
    clips = Labelled(rows, marks, 3, [str(number) for number in range(8)])
    adam = {"optimiser": "adam", "lr": 5e-4, "batch": 8, **STILL}
    state, curves = train(config(weights, joint={"epochs": 15}, epochs=10, **adam), tmp_path, clips)
    assert curves.accuracy[-1] == 1
    assert curves.loss[-1] < curves.loss[0] / 2
    assert state["image.head.weight"].shape == (3, 512)


def test_phase_2_is_as_phase_1_but_for_its_schedule() -> None:
    first = Finetuning(iterations=30_000, lr=0.01, milestones=(10_000, 20_000), weight_decay=1e-4, segments=3)
    second = JointFinetuning(iterations=10_000).after(first)
    assert second.lr == pytest.approx(1e-4)
    assert (second.iterations, second.epochs, second.milestones) == (10_000, None, ())
    early = first.model_copy(update={"iterations": 15_000})
    assert JointFinetuning(iterations=1).after(early).lr == pytest.approx(1e-3)  # its second milestone is never reached
    left = {"lr", "iterations", "epochs", "milestones"}
    assert second.model_dump(exclude=left) == first.model_dump(exclude=left)
    assert JointFinetuning(epochs=3, lr=0.5, milestones=(1, 2)).after(first).model_dump(include=left) == {
        **{"lr": 0.5, "iterations": None, "epochs": 3, "milestones": (1, 2)}
    }


@pytest.mark.parametrize(
    ("joint", "sentence"),
    [
        ({}, "either epochs or iterations"),
        ({"epochs": 1, "iterations": 2}, "either epochs or iterations"),
        ({"epochs": 1, "milestones": (3, 2)}, "must rise"),
        ({"epochs": 1, "batch": 3}, "unknown field of JointFinetuning 'batch'"),
    ],
)
def test_mistakes_in_a_recipe(joint: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        parse(JointFinetuning, joint)


def test_weights_of_another_network_are_refused(weights: Path, tmp_path: Path) -> None:
    fitted = config(weights).model_copy(update={"backbone": "resnet50", "layers": "res4"})
    with pytest.raises(InputError, match="not weights of ResNet50"):
        train(fitted, tmp_path)


def test_material_without_a_snippet_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="5 are needed"):
        train(config(weights, "flow"), tmp_path, labelled([stripes(0, 4, flow=True)], [0]))


@pytest.mark.parametrize("held", [True, False])
def test_two_processes_train_like_one(held: bool, weights: Path, tmp_path: Path) -> None:
    """As two GPUs would, in either phase."""
    from extractors.weights.state_dicts import load

    fitted, states = config(weights, batch=8, segments=2, lr=0.001, **STILL), []
    for processes in (1, 2):
        with seeded(0):
            network = fitted.build(2).start_from(load(weights))
        network.freeze_image_backbone(held)
        checkpoint = tmp_path / f"{processes}.pt"
        examples = fitted.examples(CLIPS)
        fit(network, examples, fitted.fit, seed=0, device="cpu", checkpoint=checkpoint, processes=processes)
        states.append(network.state_dict())
    for key, weight in states[0].items():
        torch.testing.assert_close(states[1][key], weight, rtol=1e-4, atol=1e-5)
    moved = (states[0]["image.backbone.features.0.weight"] - load(weights)["features.0.weight"]).abs().max()
    assert bool(moved == 0) == held
