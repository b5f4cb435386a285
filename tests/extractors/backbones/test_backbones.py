"""BN-Inception against a construction of its own, every backbone's inputs, and the way from RGB to other modalities."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from extractors.backbones.bn_inception import BNInception
from extractors.backbones.normalisation import Normalise
from extractors.backbones.registry import BACKBONES, check_crop
from extractors.backbones.resnet50 import ResNet50
from extractors.backbones.squeezenet import SqueezeNet
from extractors.snippets.modality import SNIPPETS
from extractors.tsn.config import TSN
from extractors.weights.state_dicts import across_modalities, adapt
from pipeline.errors import InputError

State = dict[str, Tensor]
BLOCKS = {  # what comes in, how high and wide it leaves; 1×1; 3×3 and double 3×3, reduced and as they leave; projected
    "3a": (192, 28, 64, 64, 64, 64, 96, 32),
    "3b": (256, 28, 64, 64, 96, 64, 96, 64),
    "3c": (320, 14, None, 128, 160, 64, 96, None),
    "4a": (576, 14, 224, 64, 96, 96, 128, 128),
    "4b": (576, 14, 192, 96, 128, 96, 128, 128),
    "4c": (576, 14, 160, 128, 160, 128, 160, 128),
    "4d": (608, 14, 96, 128, 192, 160, 192, 128),
    "4e": (608, 7, None, 128, 192, 192, 256, None),
    "5a": (1056, 7, 352, 192, 320, 160, 224, 128),
    "5b": (1024, 7, 352, 192, 320, 192, 224, 128),
}


def expected_convolutions() -> dict[str, tuple[int, int, int]]:
    """Width that comes in, width and height that leave, of every convolution on a 224×224 image."""
    table = {"conv1_7x7_s2": (3, 64, 112), "conv2_3x3_reduce": (64, 64, 56), "conv2_3x3": (64, 192, 56)}
    for name, (width, size, one, reduced, three, double_reduced, double, projected) in BLOCKS.items():
        block, size_before = f"inception_{name}", size if one else 2 * size
        if one:
            table[f"{block}_1x1"] = (width, one, size)
        table[f"{block}_3x3_reduce"] = (width, reduced, size_before)
        table[f"{block}_3x3"] = (reduced, three, size)
        table[f"{block}_double_3x3_reduce"] = (width, double_reduced, size_before)
        table[f"{block}_double_3x3_1"] = (double_reduced, double, size_before)
        table[f"{block}_double_3x3_2"] = (double, double, size)
        if projected:
            table[f"{block}_pool_proj"] = (width, projected, size)
    return table


@pytest.fixture(scope="module")
def state() -> State:
    """Random weights of BN-Inception that keep the size of what flows through, in the keys of the authors' files."""
    generator = torch.Generator().manual_seed(0)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) * (high - low) + low

    state: State = {}
    for name, (width, out, _) in expected_convolutions().items():
        size = 7 if "7x7" in name else 3 if "3x3" in name and not name.endswith("reduce") else 1
        state[f"{name}.weight"] = uniform(-1, 1, out, width, size, size) * (6 / (width * size**2)) ** 0.5
        state[f"{name}.bias"] = uniform(-0.1, 0.1, out)
        state[f"{name}_bn.weight"], state[f"{name}_bn.bias"] = uniform(0.9, 1.1, out), uniform(-0.1, 0.1, out)
        state[f"{name}_bn.running_mean"] = uniform(-0.1, 0.1, out)
        state[f"{name}_bn.running_var"] = uniform(0.9, 1.1, out)
    state["fc.weight"], state["fc.bias"] = uniform(-0.1, 0.1, 1000, 1024), uniform(-0.1, 0.1, 1000)
    return state


def tsn_pytorch(state: State) -> State:
    """Data-parallel wrapper, base model, new classifier; what belongs to normalisation as (1, C)."""
    renamed = {}
    for key, tensor in state.items():
        if key.startswith("fc."):
            renamed[f"module.new_{key}"] = tensor
        else:
            renamed[f"module.base_model.{key}"] = tensor[None] if "_bn." in key else tensor
    return renamed


def cadene(state: State) -> State:
    """As the ImageNet weights were converted from Caffe, and its counts of batches."""
    counts = {key.replace("weight", "num_batches_tracked"): torch.tensor(0) for key in state if "_bn.weight" in key}
    return counts | {key.replace("fc.", "last_linear."): tensor for key, tensor in state.items()}


def mmaction(state: State) -> State:
    return {f"cls_head.fc_cls.{key[3:]}" if key[:3] == "fc." else f"backbone.{key}": state[key] for key in state}


def plain(state: State, images: Tensor) -> Tensor:
    """(batch, 3, 224, 224) to the pooled features (batch, 1024), from torch's primitives alone."""

    def unit(name: str, maps: Tensor, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        maps = F.conv2d(maps, weight, state[f"{name}.bias"], stride, weight.shape[-1] // 2)
        mean, variance, gain, offset = (
            state[f"{name}_bn.{what}"][:, None, None] for what in ("running_mean", "running_var", "weight", "bias")
        )
        return ((maps - mean) / (variance + 1e-5).sqrt() * gain + offset).clamp(min=0)

    def halved(maps: Tensor) -> Tensor:  # windows of three, two apart, the last beyond the edge
        return F.max_pool2d(F.pad(maps, (0, 1, 0, 1), value=float("-inf")), 3, 2)

    maps = halved(unit("conv1_7x7_s2", images, 2))
    maps = halved(unit("conv2_3x3", unit("conv2_3x3_reduce", maps)))
    for name, (_, _, one, *_) in BLOCKS.items():
        block, stride = f"inception_{name}", 1 if one else 2
        three = unit(f"{block}_3x3", unit(f"{block}_3x3_reduce", maps), stride)
        double = unit(f"{block}_double_3x3_1", unit(f"{block}_double_3x3_reduce", maps))
        double = unit(f"{block}_double_3x3_2", double, stride)
        if not one:
            maps = torch.cat([three, double, halved(maps)], dim=1)
            continue
        if name == "5b":
            beside = F.max_pool2d(F.pad(maps, (1, 1, 1, 1), value=float("-inf")), 3, 1)
        else:
            beside = F.avg_pool2d(F.pad(maps, (1, 1, 1, 1)), 3, 1)
        maps = torch.cat([unit(f"{block}_1x1", maps), three, double, unit(f"{block}_pool_proj", beside)], dim=1)
    return maps.sum(dim=(2, 3)) / 49


def test_bn_inception_layer_by_layer() -> None:
    seen: dict[str, tuple[int, int, int]] = {}
    with torch.device("meta"):
        network = BNInception()
        for name, layer in network.named_children():
            if isinstance(layer, torch.nn.Conv2d):
                layer.register_forward_hook(
                    lambda layer, given, out, name=name: seen.update({name: (given[0].shape[1], *out.shape[1:3])})
                )
        assert network.pooled(torch.empty(2, 3, 224, 224)).shape == (2, 1024)
    assert seen == expected_convolutions()
    assert {layer.eps for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)} == {1e-5}


def test_bn_inception_has_as_many_parameters_as_published() -> None:
    """11,295,240 in imgclsmob's implementation of it, which counts and asserts them."""
    with torch.device("meta"):
        network = BNInception(classes=1000)
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_295_240


@pytest.mark.parametrize("layout", [dict, tsn_pytorch, cadene, mmaction])
@pytest.mark.parametrize("classes", [None, 1000])
def test_every_layout_of_bn_inception_leads_to_the_same_network(
    state: State, layout: Callable[[State], State], classes: int | None
) -> None:
    network = BNInception(classes=classes)
    network.load_state_dict(adapt(layout(state), network))
    loaded = {key: tensor for key, tensor in network.state_dict().items() if "num_batches" not in key}
    assert loaded.keys() == {key for key in state if classes or not key.startswith("fc.")}
    assert all(torch.equal(tensor, state[key]) for key, tensor in loaded.items())


def test_layouts_of_the_test_have_the_published_keys(state: State) -> None:
    published = {
        "module.base_model.conv1_7x7_s2.weight",
        "module.base_model.conv1_7x7_s2_bn.running_var",
        "module.base_model.inception_3a_double_3x3_2.bias",
        "module.base_model.inception_5b_pool_proj_bn.weight",
        "module.new_fc.weight",
    }
    assert published <= tsn_pytorch(state).keys()
    assert tsn_pytorch(state)["module.base_model.inception_3c_3x3_bn.weight"].shape == (1, 160)


def test_bn_inception_agrees_with_plain_torch(state: State) -> None:
    network = BNInception()
    network.load_state_dict(adapt(tsn_pytorch(state), network))
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1)) * 3
    with torch.no_grad():
        expected, found = plain(state, images), network.eval().pooled(images)
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.max()))


@pytest.mark.parametrize("modality", SNIPPETS)
@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_takes_every_modality(name: str, modality: str) -> None:
    pictures, channels, _ = SNIPPETS[modality]  # type: ignore[index]
    with torch.device("meta"):
        network = BACKBONES[name](channels=channels)
        shown = Normalise(network.normalisation, modality)(
            torch.empty(2, 64, 64, {"flow": 10}.get(modality, 3 * pictures))
        )
        assert shown.shape == (2, channels, 64, 64)
        assert network.eval().pooled(shown).shape == (2, network.dim)
    assert network.state_dict()[network.first].shape[1] == channels


@pytest.mark.parametrize(("side", "nearest"), [(112, 102), (120, 127)])
def test_a_crop_that_bn_inception_does_not_take_is_refused_before_anything_is_computed(
    side: int, nearest: int, state: State, tmp_path: Path
) -> None:
    """Its public network cannot join the maps of such pictures either."""
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        BNInception().eval().pooled(torch.zeros(1, 3, side, side))
    assert BNInception().eval().pooled(torch.zeros(1, 3, nearest, nearest)).shape == (1, 1024)
    save_file(state, tmp_path / "state.safetensors")
    network = {"backbone": "bn_inception", "weights": str(tmp_path / "state.safetensors")}
    TSN.model_validate({"network": network, "crop": nearest}).check_files()
    with pytest.raises(
        InputError, match=f"a crop of {side} pixels .* bn_inception: the nearest that does has {nearest}$"
    ):
        TSN.model_validate({"network": network, "crop": side}).check_files()


@pytest.mark.parametrize("name", ["resnet50", "squeezenet1_0"])
def test_other_backbones_take_odd_crops(name: str) -> None:
    for side in (21, 112, 113, 115):
        check_crop(name, 3, side)


@pytest.mark.parametrize(("theirs", "key"), [(ResNet50, "conv1.weight"), (SqueezeNet, "features.0.weight")])
def test_the_mean_of_rgb_kernels_is_repeated(theirs: type, key: str) -> None:
    state = theirs().state_dict()
    network = theirs(channels=10)
    start = adapt(across_modalities(state, network), network)
    assert start[key].shape[1] == 10
    for channel in range(10):
        torch.testing.assert_close(start[key][:, channel], state[key].sum(dim=1) / 3)
    assert all(start[other] is tensor for other, tensor in state.items() if other != key)


@pytest.mark.parametrize("channels", [10, 15])
def test_a_grey_picture_in_every_channel_leads_to_what_it_led_to_in_colour(state: State, channels: int) -> None:
    """Up to the number of channels, over which the first layer sums."""
    network = BNInception(channels)
    start = adapt(across_modalities(tsn_pytorch(state), network), network)
    grey = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(2))
    colour, crossed = (
        F.conv2d(grey.expand(-1, count, -1, -1), kernels) / count
        for count, kernels in ((3, state["conv1_7x7_s2.weight"]), (channels, start["conv1_7x7_s2.weight"]))
    )
    torch.testing.assert_close(crossed, colour, rtol=1e-4, atol=1e-5)


def test_weights_of_the_right_number_of_channels_stay_as_they_are() -> None:
    state = SqueezeNet(channels=10).state_dict()
    assert torch.equal(
        across_modalities(state, SqueezeNet(channels=10))["features.0.weight"], state["features.0.weight"]
    )


def test_weights_of_flow_do_not_become_those_of_rgb() -> None:
    state, network = SqueezeNet(channels=10).state_dict(), SqueezeNet()
    with pytest.raises(InputError, match=r"features\.0\.weight \(96, 10, 7, 7\) instead of \(96, 3, 7, 7\)"):
        adapt(across_modalities(state, network), network)


def test_what_each_network_is_given() -> None:
    """Against the formulas, value by value."""
    values = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 18), np.uint8)
    exact = values.astype(np.float64).transpose(0, 3, 1, 2)
    frames = exact.reshape(2, 6, 3, 3, 5)
    differences = frames[:, 1:] - frames[:, :-1]
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = {
        (ResNet50, "rgb", 3): (frames[:, 0] / 255 - mean[:, None, None]) / deviation[:, None, None],
        (SqueezeNet, "flow", 10): (exact[:, :10] / 255 - 0.5) / 0.226,
        (ResNet50, "rgb_diff", 18): differences.reshape(2, 15, 3, 5) / 255,
        (BNInception, "rgb", 3): frames[:, 0, ::-1] - np.array([104, 117, 128])[:, None, None],
        (BNInception, "flow", 10): exact[:, :10] - 128,
        (BNInception, "rgb_diff", 18): differences[:, :, ::-1].reshape(2, 15, 3, 5),
    }
    for (backbone, modality, channels), wanted in expected.items():
        found = Normalise(backbone.normalisation, modality)(torch.from_numpy(values[..., :channels].copy()))
        assert found.dtype == torch.float32
        assert found.is_contiguous(memory_format=torch.channels_last)
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-5)


def test_normalisation_adds_nothing_to_a_state_dict() -> None:
    assert not Normalise(BNInception.normalisation, "rgb").state_dict()
