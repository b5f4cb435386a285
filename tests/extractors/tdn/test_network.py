"""The temporal difference network: its laws, and its formula written out once more in plain torch."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import extractors.tdn.network
from extractors.tdn.difference_places import LAYERS
from extractors.tdn.network import TDNNetwork, differences
from pipeline.training.precision import deterministic
from pipeline.training.random_state import seeded

SIDE = 64
BACKBONES = sorted(LAYERS)
EVERY = [(backbone, layers) for backbone in BACKBONES for layers in LAYERS[backbone]]


def network(backbone: str = "squeezenet1_0", modality: Any = "rgb", classes: int = 5, **fields: Any) -> TDNNetwork:
    """With weights at random, classifiers of some size and, where there are any, statistics that are not 0 and 1."""
    given = {"layers": LAYERS[backbone][-1], "conv1_at": "56", "dropout": 0.0, "partial_bn": True, **fields}
    with seeded(0):
        made = TDNNetwork(backbone, modality, classes, **given)
        for name, tensor in made.state_dict().items():
            if name.endswith(("head.weight", "head.bias")) or name.endswith("running_mean"):
                nn.init.normal_(tensor, std=0.1)
            elif name.endswith("running_var"):
                nn.init.uniform_(tensor, 0.8, 1.2)
    return made.eval()


def snippets(videos: int = 2, segments: int = 3, channels: int = 3, seed: int = 0, side: int = SIDE) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (videos, segments, side, side, channels), dtype=torch.uint8, generator=generator)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Every difference that a network takes, in order; h0 is the first."""
    taken: list[Tensor] = []

    def noting(maps: Tensor, videos: int) -> Tensor:
        taken.append(differences(maps, videos))
        return taken[-1]

    monkeypatch.setattr(extractors.tdn.network, "differences", noting)
    return taken


def sizes(taken: list[Tensor]) -> list[int]:
    return [each.shape[-1] for each in taken]


@pytest.mark.parametrize(
    ("backbone", "conv1_at", "expected"),
    [
        ("resnet50", "56", [224, 56, 56, 28, 14]),
        ("resnet50", "112", [224, 112, 56, 28, 14]),
        ("squeezenet1_0", "56", [224, 54, 54, 27]),
        ("squeezenet1_0", "112", [224, 109, 54, 27]),
    ],
)
def test_differences_are_joined_before_each_reduction_of_resolution(
    seen: list[Tensor], backbone: str, conv1_at: str, expected: list[int]
) -> None:
    tdn = network(backbone, conv1_at=conv1_at)
    with torch.no_grad():
        images, changes = tdn.maps(snippets(1, 2, side=224))
    assert sizes(seen) == expected
    last = {"resnet50": (2048, 7, 7), "squeezenet1_0": (512, 13, 13)}[backbone]
    assert (*images.shape, *changes.shape) == (2, *last, 1, *last)


@pytest.mark.parametrize(("backbone", "layers"), EVERY)
def test_layers_means_up_to_and_including(seen: list[Tensor], backbone: str, layers: str) -> None:
    with torch.no_grad():
        network(backbone, layers=layers).maps(snippets(1, 2))
    assert len(seen) == 1 + LAYERS[backbone].index(layers)


def test_two_resnet_50_and_their_classifiers() -> None:
    """23,508,032 parameters are torchvision's network without its classifier."""
    counted = sum(weight.numel() for weight in network("resnet50", classes=51).parameters())
    assert counted == 2 * (23_508_032 + 2048 * 51 + 51) == 47_225_062
    assert sum(weight.numel() for weight in network(classes=11).parameters()) == 2 * (735_424 + 512 * 11 + 11)


@pytest.mark.parametrize("conv1_at", ["56", "112"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_without_motion_every_difference_is_zero(seen: list[Tensor], backbone: str, conv1_at: str) -> None:
    still = snippets(2, 1).expand(-1, 3, -1, -1, -1)
    tdn = network(backbone, conv1_at=conv1_at)
    with torch.no_grad():
        tdn.maps(still)
    assert len(seen) == len(LAYERS[backbone])
    assert not any(difference.any() for difference in seen)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_swapping_two_frames_negates_every_difference(seen: list[Tensor], backbone: str) -> None:
    tdn, pair = network(backbone), snippets(1, 2)
    with torch.no_grad():
        tdn.maps(pair)
        tdn.maps(pair.flip(1))
    there, back = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert all(difference.abs().max() > 0.01 for difference in there)
    for one, other in zip(there, back, strict=True):
        torch.testing.assert_close(one, -other)
    torch.testing.assert_close(there[0], -back[0], rtol=0, atol=0)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_ablation_input_is_what_the_images_difference_gives_alone(backbone: str) -> None:
    tdn, given = network(backbone, layers="input"), snippets()
    with torch.no_grad():
        _, scores = tdn.branches(given)
        change = differences(tdn.image.normalise(given.flatten(0, 1)), 2)
        alone = tdn.difference.head(tdn.difference.backbone.pooled(change)).unflatten(0, (2, 2)).mean(1)
    torch.testing.assert_close(scores, alone)
    with torch.no_grad():
        assert not torch.allclose(network(backbone).branches(given)[1], alone)


def resnet_by_hand(tdn: TDNNetwork, layers: str, conv1_at: str, pair: Tensor) -> Tensor:
    """h5 of two frames, pooled, by the paper's equations."""
    f, h = tdn.image.backbone, tdn.difference.backbone
    stem = [lambda x, n=n: F.relu(F.batch_norm(F.conv2d(x, n.conv1.weight, stride=2, padding=3), n.bn1.running_mean,
            n.bn1.running_var, n.bn1.weight, n.bn1.bias, eps=n.bn1.eps)) for n in (f, h)]  # fmt: skip
    pool: Callable[[Tensor], Tensor] = lambda x: F.max_pool2d(x, 3, 2, 1)  # noqa: E731
    reached = LAYERS["resnet50"].index(layers)
    pixels = pair[0].permute(0, 3, 1, 2).float() / 255
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    first, second = ((pixels - mean[:, None, None]) / deviation[:, None, None])[:, None]
    one, two, change = stem[0](first), stem[0](second), stem[1](second - first)
    if conv1_at == "112":
        change = pool(change + (two - one if reached else 0))
        one, two = pool(one), pool(two)
    else:
        one, two, change = pool(one), pool(two), pool(change)
        change = change + (two - one if reached else 0)
    for number, name in enumerate(("layer1", "layer2", "layer3", "layer4"), 2):
        one, two = (getattr(f, name)(maps) for maps in (one, two))
        change = getattr(h, name)(change)
        if number < 5 and reached >= number:
            change = change + two - one
    return change.mean(dim=(2, 3))


@pytest.mark.parametrize("conv1_at", ["56", "112"])
@pytest.mark.parametrize("layers", LAYERS["resnet50"])
def test_resnet_50_as_the_paper_writes_it(layers: str, conv1_at: str) -> None:
    tdn, pair = network("resnet50", layers=layers, conv1_at=conv1_at), snippets(1, 2)
    with torch.no_grad():
        _, found = tdn.pooled(pair)
        expected = resnet_by_hand(tdn, layers, conv1_at, pair)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_squeezenet_as_its_docstring_writes_it() -> None:
    tdn, pair = network(), snippets(1, 2)
    f, h = tdn.image.backbone.features, tdn.difference.backbone.features
    one, two = tdn.image.normalise(pair[0])[:, None]
    change = two - one
    with torch.no_grad():
        for start, stop in ((0, 3), (3, 6), (6, 11), (11, 13)):  # conv1 and pool; fire2–4; pool, fire5–8; pool, fire9
            one, two, change = f[start:stop](one), f[start:stop](two), h[start:stop](change)
            if stop < 13:
                change = change + two - one
        _, found = tdn.pooled(pair)
    torch.testing.assert_close(found, change.mean(dim=(2, 3)))


def test_scores_are_means_of_means() -> None:
    tdn, given = network(), snippets(3, 4)
    with torch.no_grad():
        images, changes = tdn.branches(given)
        torch.testing.assert_close(tdn(given, torch.full((3,), 4)), (images + changes) / 2)
        each = torch.stack([tdn.branches(given[:, [place, place]])[0] for place in range(4)])
        torch.testing.assert_close(images, each.mean(0))
        pairs = torch.stack([tdn.branches(given[:, place : place + 2])[1] for place in range(3)])
        torch.testing.assert_close(changes, pairs.mean(0))


def test_the_loss_is_the_sum_of_both() -> None:
    tdn, given, targets = network(), snippets(), torch.tensor([1, 4])
    loss, scores = tdn.loss(given, torch.tensor([3, 3]), targets)
    expected = [F.cross_entropy(branch, targets) for branch in tdn.branches(given)]
    torch.testing.assert_close(loss, expected[0] + expected[1])
    torch.testing.assert_close(scores, tdn(given, torch.tensor([3, 3])))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_activation_maps_add_up_to_the_scores(backbone: str) -> None:
    tdn, clip = network(backbone), snippets(1)
    with torch.no_grad():
        images, changes = tdn.activations(clip[0], 3)
        scores = tdn.branches(clip)
    assert (len(images), len(changes)) == (3, 2)
    for maps, branch, score in ((images, tdn.image, scores[0]), (changes, tdn.difference, scores[1])):
        torch.testing.assert_close(maps.mean() + branch.head.bias[3], score[0, 3])


@pytest.mark.parametrize("held", [True, False])
def test_what_learns_in_which_phase(held: bool) -> None:
    tdn = network("resnet50")
    tdn.freeze_image_backbone(held)
    before = {name: tensor.clone() for name, tensor in tdn.state_dict().items()}
    tdn.train()
    optimiser = torch.optim.SGD([weight for weight in tdn.parameters() if weight.requires_grad], lr=0.1)
    tdn.loss(snippets(2, 2), torch.tensor([2, 2]), torch.tensor([0, 1]))[0].backward()
    optimiser.step()
    moved = {name for name, tensor in tdn.state_dict().items() if not torch.equal(tensor, before[name])}
    of_images = {name for name in moved if name.startswith("image.backbone.")}
    assert {"image.head.weight", "image.head.bias", "difference.head.weight"} <= moved
    assert {"difference.backbone.conv1.weight", "difference.backbone.bn1.running_mean"} <= moved
    assert not of_images if held else {"image.backbone.conv1.weight", "image.backbone.bn1.running_mean"} <= of_images
    normalised = [name for name in moved if ".bn" in name or "downsample.1" in name]
    assert all(".backbone.bn1." in name for name in normalised)  # partial batch normalisation


def test_gradients_reach_the_images_through_their_differences() -> None:
    """In phase 2 the image network learns from the difference network's loss as well."""
    for layers, reached in (("fire8", True), ("input", False)):
        tdn = network(layers=layers)
        tdn.branches(snippets())[1].sum().backward()
        first = tdn.image.backbone.features[0].weight.grad
        assert (first is not None and bool(first.any())) == reached


def test_a_trained_flow_network_gives_the_images_their_weights() -> None:
    with seeded(3):
        colours = TDNNetwork("squeezenet1_0", "rgb", 2, layers="input", conv1_at="56", dropout=0, partial_bn=True)
        flow = TDNNetwork("squeezenet1_0", "flow", 2, layers="input", conv1_at="56", dropout=0, partial_bn=True)
    pretrained, trained = colours.image.backbone.state_dict(), flow.image.state_dict()
    tdn = network(modality="flow").start_from(pretrained, trained)
    for key, tensor in flow.image.backbone.state_dict().items():
        assert torch.equal(tdn.image.backbone.state_dict()[key], tensor)
    first = tdn.difference.backbone.features[0].weight
    for kernels in first.unbind(1):
        torch.testing.assert_close(kernels, pretrained["features.0.weight"].mean(1))
    assert torch.equal(tdn.difference.backbone.features[3].squeeze.weight, pretrained["features.3.squeeze.weight"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("backbone", BACKBONES)
def test_on_a_gpu_it_is_as_on_the_cpu(backbone: str) -> None:
    tdn, given = network(backbone), snippets()
    with torch.no_grad(), deterministic():
        expected = tdn.branches(given)
        found = tdn.cuda().branches(given.cuda())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))
