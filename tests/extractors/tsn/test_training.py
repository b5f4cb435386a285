"""Fine-tuning a temporal segment network: laws of its examples and of its network, and that it learns and repeats."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import pipeline.training.loop
from extractors.backbones.registry import BACKBONES
from extractors.base import Labelled, Row
from extractors.snippets.finetuning import Finetuning
from extractors.snippets.modality import SNIPPETS, Modality
from extractors.snippets.training_data import TrainingSnippets
from extractors.tsn.network import TSNNetwork
from extractors.tsn.training import FittedTSN
from pipeline.config import parse
from pipeline.errors import InputError
from pipeline.training.curves import Curves
from pipeline.training.optimisers import groups
from pipeline.training.random_state import seeded
from tests.support.contracts import squeezenet
from tests.support.equality import same_tensors
from tests.support.moving_stripes import CLIPS, FLOWS, SIDE, labelled, stripes


def numbered(count: int, *, flow: bool) -> Row:
    """Flat pictures of their own number, which no crop changes."""
    values = np.empty((count, 60, 80), np.uint8)
    values[:] = np.arange(count)[:, None, None]
    names = {"x": values, "y": values} if flow else {"frames": np.repeat(values[..., None], 3, axis=3)}
    return Row({**names, "start_frames": np.arange(count)}, {"fps": 25.0, "frames": count})


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of SqueezeNet, at random."""
    return Path(squeezenet(tmp_path_factory.mktemp("weights")))


def config(weights: Path, modality: Modality = "rgb", **fit: Any) -> FittedTSN:
    table = {"epochs": 1, "lr": 0.01, "batch": 4, "dropout": 0.1, "jitter_scales": (1, 0.8), **fit}
    network = {"modality": modality, "backbone": "squeezenet1_0", "weights": str(weights), "crop": SIDE, "fit": table}
    fitted: FittedTSN = parse(FittedTSN, network)
    return fitted


def draw(examples: TrainingSnippets, seed: int, index: int = 0) -> np.ndarray:
    snippets, _ = examples.draw(index, np.random.default_rng(seed))
    return snippets


@pytest.mark.parametrize("modality", ["rgb", "flow", "rgb_diff"])
def test_snippets_stay_in_their_segments_and_in_the_clip(modality: Modality) -> None:
    fitted, span = config(Path("none"), modality, segments=4), SNIPPETS[modality].pictures
    examples = fitted.examples(labelled([numbered(43, flow=modality == "flow")], [0]))
    places = 43 - span + 1
    first = set()
    for seed in range(300):
        snippets = draw(examples, seed)
        assert snippets.shape == (4, SIDE, SIDE, span * (2 if modality == "flow" else 3))
        values = snippets[:, 0, 0].astype(int).reshape(4, span, -1)
        y = values[..., -1]  # of flow, x may be turned
        assert (np.diff(y, axis=1) == 1).all()
        assert all(places * segment // 4 <= y[segment, 0] < places * (segment + 1) // 4 for segment in range(4))
        first.add(y[3, 0])
    assert max(first) == places - 1


def test_all_pictures_of_an_example_are_cropped_and_mirrored_alike() -> None:
    rng = np.random.default_rng(0)
    flow = rng.integers(0, 256, (60, 80)).astype(np.uint8)
    arrays = {"x": np.stack([flow] * 20), "y": np.stack([flow] * 20), "start_frames": np.arange(20)}
    examples = config(Path("none"), "flow").examples(labelled([Row(arrays)], [0]))
    turned = 0
    for seed in range(20):
        snippets = draw(examples, seed)
        x, y = snippets[..., ::2], snippets[..., 1::2]
        assert (x == x[:1, ..., :1]).all()
        assert (y == y[:1, ..., :1]).all()
        assert (x == y).all() or (x == 255 - y).all()
        turned += bool((x != y).any())
    assert 3 < turned < 17
    unmirrored = config(Path("none"), "flow", mirror=False).examples(labelled([Row(arrays)], [0]))
    for seed in range(20):
        snippets = draw(unmirrored, seed)
        np.testing.assert_array_equal(snippets[..., ::2], snippets[..., 1::2])


def test_an_example_depends_on_its_generator_alone() -> None:
    examples = config(Path("none"), colour_jitter=0.4).examples(labelled([stripes(0, 30), stripes(1, 9)], [0, 1]))
    first = draw(examples, 3)
    draw(examples, 4, 1)
    np.testing.assert_array_equal(draw(examples, 3), first)
    assert (draw(examples, 5) != first).any()
    plain = draw(config(Path("none")).examples(labelled([stripes(0, 30)], [0])), 3)
    assert (plain != first).any()


def test_videos_shorter_than_a_snippet_give_no_example(weights: Path) -> None:
    rows = [stripes(0, count, flow=True) for count in (4, 5, 1, 30)]
    examples = config(weights, "flow").examples(labelled(rows, [0, 1, 2, 3]))
    assert len(examples) == len(examples.lengths) == 2
    assert [examples.draw(index, np.random.default_rng(0))[1] for index in range(2)] == [1, 3]
    with pytest.raises(
        InputError, match="none of the 2 training videos has enough pictures for a snippet; 5 are needed"
    ):
        config(weights, "flow").examples(labelled(rows[:1] * 2, [0, 0]))


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("modality", ["rgb", "flow", "rgb_diff"])
def test_rates_decay_and_frozen_layers_by_modality(backbone: str, modality: Modality) -> None:
    network = TSNNetwork(backbone, modality, 5, dropout=0.5, partial_bn=True)
    names = {id(weight): name for name, weight in network.named_parameters()}
    given = {
        names[id(weight)]: (group["lr_multiplier"], group["weight_decay"])
        for group in groups(network, Finetuning(epochs=1, weight_decay=0.25))
        for weight in group["params"]
    }
    first = f"backbone.{network.backbone.first}"
    norms = [name for name, layer in network.named_modules() if isinstance(layer, nn.BatchNorm2d)]
    frozen = {f"{name}.{weight}" for name in norms[1:] for weight in ("weight", "bias")}
    assert given.keys() == set(names.values()) - frozen
    factor = 5 if modality == "flow" else 1
    for name, (rate, decay) in given.items():
        normalises = any(name.startswith(f"{norm}.") for norm in norms)
        bias = name.endswith("bias") and not normalises
        near = name.removesuffix("bias") == first.removesuffix("weight") or name == first
        assert rate == (2 if bias else 1) * (factor if near else 1), name
        assert decay == (0 if bias or normalises else 0.25), name


@pytest.mark.parametrize("partial_bn", [True, False])
def test_partial_batch_normalisation_freezes_all_but_the_first(partial_bn: bool) -> None:
    with seeded(0):
        network = TSNNetwork("resnet50", "rgb", 3, dropout=0.0, partial_bn=partial_bn)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimiser = torch.optim.SGD([weight for weight in network.parameters() if weight.requires_grad], lr=0.1)
    network.eval()
    network.train()
    snippets = torch.randint(0, 255, (2, 2, 64, 64, 3), dtype=torch.uint8)
    network.loss(snippets, torch.tensor([2, 2]), torch.tensor([0, 1]))[0].backward()
    optimiser.step()
    norms = [name for name, layer in network.named_modules() if isinstance(layer, nn.BatchNorm2d)]
    for name in norms:
        for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            moved = not torch.equal(network.state_dict()[f"{name}.{part}"], before[f"{name}.{part}"])
            assert moved == (name == "backbone.bn1" or not partial_bn), (name, part)


def test_synchronised_normalisation_is_frozen_and_grouped_alike() -> None:
    """As several GPUs have it."""
    network = TSNNetwork("resnet50", "rgb", 3, dropout=0.0, partial_bn=True)
    plain = [[id(weight) for weight in group["params"]] for group in groups(network, Finetuning(epochs=1))]
    nn.SyncBatchNorm.convert_sync_batchnorm(network)
    network.train()
    norms = [layer for layer in network.modules() if isinstance(layer, nn.SyncBatchNorm)]
    assert [layer.training for layer in norms] == [True] + [False] * 52
    assert plain == [[id(weight) for weight in group["params"]] for group in groups(network, Finetuning(epochs=1))]


def test_scores_are_the_mean_over_snippets_and_the_head_starts_small() -> None:
    network = TSNNetwork("squeezenet1_0", "rgb", 200, dropout=0.5, partial_bn=True).eval()
    snippets = torch.randint(0, 255, (2, 3, SIDE, SIDE, 3), dtype=torch.uint8)
    scores = network(snippets, torch.tensor([3, 3]))
    alone = [network(snippets[:, [segment]], torch.tensor([1, 1])) for segment in range(3)]
    torch.testing.assert_close(scores, torch.stack(alone).mean(0))
    assert network.head.weight.detach().std().item() == pytest.approx(0.001, rel=0.05)
    assert not network.head.bias.any()
    assert {key.split(".")[0] for key in network.state_dict()} == {"backbone", "head"}


def test_flow_starts_from_colours(weights: Path) -> None:
    from extractors.weights.state_dicts import load

    network = TSNNetwork("squeezenet1_0", "flow", 3, dropout=0, partial_bn=True).start_from(load(weights))
    colours = load(weights)["features.0.weight"]
    for kernels in network.backbone.features[0].weight.unbind(1):
        torch.testing.assert_close(kernels, colours.mean(1))


def train(fitted: FittedTSN, folder: Path, clips: Labelled = CLIPS) -> tuple[Mapping[str, torch.Tensor], Curves]:
    return fitted.train(clips, device="cpu", checkpoint=folder / "fit.pt")


@pytest.mark.parametrize("modality", ["rgb", "flow", "rgb_diff"])
def test_it_learns_eight_clips(modality: Modality, weights: Path, tmp_path: Path) -> None:
    clips = FLOWS if modality == "flow" else CLIPS
    still: dict[str, Any] = {"dropout": 0, "jitter_scales": (1,), "mirror": False}
    fitted = config(weights, modality, epochs=25, optimiser="adam", lr=5e-4, batch=8, segments=2, **still)
    state, curves = train(fitted, tmp_path, clips)
    assert curves.accuracy[-1] == 1
    assert min(curves.loss) < 0.3 < curves.loss[0]
    assert state["head.weight"].shape == (2, 512)


def test_a_seed_repeats_and_a_killed_training_ends_with_the_same_bits(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.training.loop, "CHECKPOINT_S", 0)
    fitted = config(weights, epochs=2, batch=3, colour_jitter=0.3)
    state, curves = train(fitted, tmp_path / "whole")
    draw, drawn = TrainingSnippets.draw, 0

    def dying(examples: TrainingSnippets, index: int, rng: np.random.Generator) -> Any:
        nonlocal drawn
        drawn += 1
        if drawn == 5:
            raise KeyboardInterrupt
        return draw(examples, index, rng)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingSnippets, "draw", dying)
        with pytest.raises(KeyboardInterrupt):
            train(fitted, tmp_path)
    again, other = train(fitted, tmp_path)
    assert other == curves
    assert same_tensors(again, state)
    assert not same_tensors(train(fitted.model_copy(update={"seed": 1}), tmp_path / "other")[0], state)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"jitter_scales": (0.8, 1)}, "must decrease"),
        ({"jitter_scales": (1.2, 1)}, "be 1 at most"),
        ({"dropout": 1}, "less than 1"),
        ({"segments": 0}, "greater than or equal to 1"),
    ],
)
def test_mistakes_in_a_recipe(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        config(Path("none"), **fields)


def test_flow_has_no_colours() -> None:
    with pytest.raises(ValueError, match="colour_jitter must be 0"):
        Finetuning(epochs=1, colour_jitter=0.5).check("flow")
    Finetuning(epochs=1, colour_jitter=0.5).check("rgb_diff")


def test_weights_of_another_network_are_refused(weights: Path, tmp_path: Path) -> None:
    fitted = config(weights).model_copy(update={"backbone": "resnet50"})
    with pytest.raises(InputError, match="not weights of ResNet50"):
        train(fitted, tmp_path)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("bf16", [False, True])
def test_a_gpu_trains_as_the_cpu_does(bf16: bool, weights: Path, tmp_path: Path) -> None:
    """Dropout is off, since each device draws its own; examples are drawn alike, by whoever reads them."""
    states, losses = [], []
    for device in ("cpu", "cuda"):
        fitted = config(weights, epochs=2, dropout=0.0, tf32=False, bf16=bf16)
        state, curves = fitted.train(CLIPS, device=device, checkpoint=tmp_path / f"{device}.pt")
        assert {tensor.device.type for tensor in state.values()} == {"cpu"}
        states.append(state)
        losses.append(curves.loss)
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.05 if bf16 else 1e-2)
    moved = {key for key in states[0] if not torch.equal(states[0][key], states[1][key])}
    assert "head.weight" in moved  # it was trained there, by other sums
