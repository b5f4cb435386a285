"""Networks of other libraries: every one of torchvision's, and some of timm's, as they are there."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from extractors.backbones.names import NAMES
from extractors.backbones.normalisation import Normalise
from extractors.backbones.published import PublishedBackbone
from extractors.backbones.registry import BACKBONES, backbone
from extractors.backbones.torchvision_models import models
from extractors.frames import scaled
from extractors.libraries import torchvision_networks
from extractors.libraries.names import library_of, preprocessing_of
from extractors.libraries.torchvision_networks import all_names, built
from extractors.snippets.config import Backbone
from extractors.tsn.config import TSN
from extractors.tsn.network import TSNNetwork
from extractors.weights.state_dicts import across_modalities, adapt
from pipeline.config import parse
from pipeline.errors import InputError
from pipeline.training.random_state import seeded

VIDEO_NETWORKS = models.list_models(module=models.video)
WIDTHS = {
    "alexnet": 4096,
    "convnext": {"tiny": 768, "small": 768, "base": 1024, "large": 1536},
    "densenet": {"121": 1024, "161": 2208, "169": 1664, "201": 1920},
    "efficientnet": {
        **{"b0": 1280, "b1": 1280, "b2": 1408, "b3": 1536, "b4": 1792, "b5": 2048, "b6": 2304, "b7": 2560},
        **{"v2_s": 1280, "v2_m": 1280, "v2_l": 1280},
    },
    "googlenet": 1024,
    "inception": 2048,
    "maxvit": 512,
    "mnasnet": 1280,
    "mobilenet": {"v2": 1280, "v3_small": 1024, "v3_large": 1280},
    "regnet": {
        **{"x_400mf": 400, "x_800mf": 672, "x_1_6gf": 912, "x_3_2gf": 1008, "x_8gf": 1920, "x_16gf": 2048},
        **{"x_32gf": 2520, "y_400mf": 440, "y_800mf": 784, "y_1_6gf": 888, "y_3_2gf": 1512, "y_8gf": 2016},
        **{"y_16gf": 3024, "y_32gf": 3712, "y_128gf": 7392},
    },
    "resnet": {"18": 512, "34": 512, "50": 2048, "101": 2048, "152": 2048},
    "resnext": 2048,
    "shufflenet": {"v2_x0_5": 1024, "v2_x1_0": 1024, "v2_x1_5": 1024, "v2_x2_0": 2048},
    "squeezenet": 512,
    "swin": {**{"t": 768, "s": 768, "b": 1024}, **{"v2_t": 768, "v2_s": 768, "v2_b": 1024}},
    "vgg": 4096,
    "vit": {"b_16": 768, "b_32": 768, "l_16": 1024, "l_32": 1024, "h_14": 1280},
    "wide_resnet": 2048,
}
"""Features before the classifier by family, as the papers have them."""
SMALLEST = {
    **{"alexnet": "alexnet", "convnext": "convnext_tiny", "densenet": "densenet121", "efficientnet": "efficientnet_b0"},
    **{"googlenet": "googlenet", "inception": "inception_v3", "maxvit": "maxvit_t", "mnasnet": "mnasnet0_5"},
    **{"mobilenet": "mobilenet_v3_small", "regnet": "regnet_y_400mf", "resnet": "resnet18"},
    **{"resnext": "resnext50_32x4d", "shufflenet": "shufflenet_v2_x0_5", "squeezenet": "squeezenet1_1"},
    **{"swin": "swin_v2_t", "vgg": "vgg11_bn", "vit": "vit_b_32", "wide_resnet": "wide_resnet50_2"},
}
"""A network of each family that is quick to run."""
NETWORKS = [name for name in models.list_models(module=models) if name not in VIDEO_NETWORKS]


def width(network: str) -> int:
    family = max((family for family in WIDTHS if network.startswith(family)), key=len)
    widths = WIDTHS[family]
    return widths[network.removeprefix(family).strip("_")] if isinstance(widths, dict) else widths


def images_of(name: str, count: int, channels: int = 3) -> torch.Tensor:
    seen = preprocessing_of(name)
    assert seen
    return torch.empty(count, channels, seen.crop, seen.crop)


def seen_on_meta(name: str, channels: int = 3) -> PublishedBackbone:
    """Build a network without memory, run it, and adapt to it what torchvision's own has."""
    with torch.device("meta"), torchvision_networks._sizes_on_cpu():
        network = backbone(name, channels).eval()
        assert isinstance(network, PublishedBackbone)
        assert network.pooled(images_of(name, 2, channels)).shape == (2, network.dim)
        adapt(across_modalities(built(name).state_dict(), network), network)
    return network


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_of_torchvision_gives_features_of_its_width(network: str) -> None:
    assert seen_on_meta(f"torchvision:{network}").dim == width(network)


@pytest.mark.parametrize("network", SMALLEST.values())
def test_one_of_each_family_takes_every_modality(network: str) -> None:
    complete = library_of(name := f"torchvision:{network}").completed(name)
    for channels in (3, 10):
        built = seen_on_meta(complete, channels)
        assert built.dim == width(network)
        assert built.state_dict()[built.first].shape[1] == channels


def test_every_family_is_known() -> None:
    assert {max((family for family in WIDTHS if name.startswith(family)), key=len) for name in NETWORKS} == set(WIDTHS)
    assert set(SMALLEST) == set(WIDTHS)
    assert set(BACKBONES) == set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("network", SMALLEST.values())
def test_features_are_what_torchvisions_classifier_sees(network: str) -> None:
    """The last layer of torchvision's network, given the features of ours, makes the scores of torchvision's."""
    complete = library_of(name := f"torchvision:{network}").completed(name)
    with seeded(0):
        theirs = built(complete).eval()
        images = torch.randn_like(images_of(complete, 2))
    ours = backbone(complete, 3).eval()
    ours.load_state_dict(adapt(theirs.state_dict(), ours))
    last = [layer for layer in theirs.modules() if any(True for _ in layer.parameters(False))][-1]
    with torch.inference_mode():
        features, scores = ours.pooled(images), theirs(images)
        found = last(features if isinstance(last, nn.Linear) else features[..., None, None]).flatten(1)
    if network.startswith("squeezenet"):  # whose scores pass a ReLU before they are pooled
        assert features.shape == (2, 512)
        return
    torch.testing.assert_close(found, scores, rtol=1e-4, atol=1e-4 * float(scores.abs().max()))


@pytest.mark.parametrize("network", ["resnet18", "swin_t", "vit_b_16"])
@pytest.mark.parametrize("size", [(240, 320), (130, 97), (256, 455)])
def test_pictures_are_made_into_what_torchvision_makes_of_them(network: str, size: tuple[int, int]) -> None:
    name = f"torchvision:{network}"
    seen, picture = preprocessing_of(name), np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert seen
    theirs = models.get_model_weights(network).DEFAULT.transforms()(torch.from_numpy(picture).permute(2, 0, 1))
    sized = scaled(picture, seen.short_side, None, seen.interpolation)
    (square,) = TSN(network={"backbone": name}, crops=1).cropped(sized)
    with torch.device("meta"):
        network_of_it = backbone(library_of(name).completed(name), 3)
    ours = Normalise(network_of_it.normalisation, "rgb")(torch.from_numpy(square)[None])[0]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_a_recipe_says_little_and_means_all_of_it() -> None:
    short = TSN(network=Backbone(backbone="torchvision:vit_b_16"))
    assert short.network.backbone == short.network.weights == "torchvision:vit_b_16.IMAGENET1K_V1"
    assert (short.short_side, short.crop) == (256, 224)
    large = TSN(network={"backbone": "torchvision:vit_b_16.IMAGENET1K_SWAG_E2E_V1", "weights": "mine.pth"})
    assert (large.short_side, large.crop, large.network.weights) == (384, 384, "mine.pth")
    own = TSN(network={"backbone": "torchvision:vit_b_16"}, size_px=(340, 256), crop=200)
    assert (own.short_side, own.size_px, own.crop) == (None, (340, 256), 200)
    other = Backbone(backbone="torchvision:resnet50", weights="torchvision:resnet50.IMAGENET1K_V1")
    assert other.backbone == other.weights == "torchvision:resnet50.IMAGENET1K_V1"
    assert TSN(network=other).short_side == 256 != TSN(network={"backbone": "torchvision:resnet50"}).short_side
    assert parse(TSN, short.model_dump(mode="json")) == short
    assert short.significant(str)["network"]["preprocessing"][2:4] == ["bilinear", (0.485, 0.456, 0.406)]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("resnet51", "unknown backbone 'resnet51': did you mean 'resnet50'"),
        ("torchvision:resnet19", "unknown network of torchvision 'resnet19': did you mean 'resnet1"),
        ("torchvision:resnet18.V7", "unknown weights of resnet18 'V7'"),
        ("torchvision:vgg16.IMAGENET1K_FEATURES", "unknown weights of vgg16"),  # whose classifier has no values
        ("torchvision:r3d_18", "r3d_18 sees clips, not pictures: use it in the extractor clip3d"),
        ("timm:resnet19", "unknown network of timm 'resnet19'"),
        ("timm:resnet18.never", "unknown weights of resnet18 'never'"),
        ("keras:resnet18", "unknown backbone 'keras:resnet18'"),
    ],
)
def test_unknown_names_are_refused(name: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(TSN, {"name": "tsn", "network": {"backbone": name, "weights": "mine.pth"}})
    assert sentence in str(caught.value)


def test_weights_of_every_name_have_an_address_and_digits() -> None:
    for name in all_names():
        source = torchvision_networks.source(name)
        assert source.url.endswith(source.files[0])
        assert len(source.sha256) >= 8
        assert source.sha256 in source.files[0]
    assert len(all_names()) > 110


TIMM = {
    "resnet18.a1_in1k": 512,
    "mobilenetv3_small_050.lamb_in1k": 1024,
    "vit_tiny_patch16_224.augreg_in21k_ft_in1k": 192,
    "vit_base_patch16_clip_224.openai": 768,
    "resnet50_clip_gap.openai": 2048,
    "convnext_atto.d2_in1k": 320,
    "deit_tiny_distilled_patch16_224.fb_in1k": 192,
}
"""Some of timm's networks, towers of CLIP among them, and the features before their classifiers."""


@pytest.mark.parametrize("network", TIMM)
def test_networks_of_timm(network: str) -> None:
    timm = pytest.importorskip("timm")
    name = f"timm:{network}"
    library = library_of(name)
    assert library is not None
    assert library.completed(name) == name
    with torch.device("meta"):
        ours = backbone(name, 3).eval()
        assert ours.pooled(images_of(name, 2)).shape == (2, ours.dim)
        adapt(timm.create_model(network, pretrained=False).state_dict(), ours)
    assert ours.dim == TIMM[network]
    source = library.source(name)
    assert source.url == f"https://huggingface.co/timm/{network}/resolve/main/model.safetensors"
    assert source.files == (f"timm--{network}.safetensors",)


def test_pictures_that_timm_squeezes_into_a_square() -> None:
    pytest.importorskip("timm")
    name = "timm:dm_nfnet_f0.dm_in1k"
    seen = preprocessing_of(name)
    assert seen is not None
    assert seen.squashed
    tsn = TSN(network={"backbone": name})
    assert (tsn.size_px, tsn.short_side, tsn.crop) == ((seen.short_side, seen.short_side), None, seen.crop)


def test_a_name_without_weights_takes_the_librarys_default() -> None:
    timm = pytest.importorskip("timm")
    assert (
        Backbone(backbone="timm:resnet50").weights == f"timm:resnet50.{timm.models.get_pretrained_cfg('resnet50').tag}"
    )
    default = models.ResNet50_Weights.DEFAULT.name
    assert Backbone(backbone="torchvision:resnet50").weights == f"torchvision:resnet50.{default}"


@pytest.mark.parametrize(
    ("weights", "backbone_named"),
    [
        ("torchvision:resnet18", "torchvision:resnet50"),
        ("torchvision:resnet50.IMAGENET1K_V1", "torchvision:resnet50.IMAGENET1K_V2"),
        ("torchvision:resnet50", "torchvision:resnet50.IMAGENET1K_V1"),
    ],
)
def test_weights_of_another_network_are_refused(weights: str, backbone_named: str) -> None:
    with pytest.raises(InputError, match=rf"weights {weights} are not those of {backbone_named}: leave weights out"):
        parse(Backbone, {"backbone": backbone_named, "weights": weights})


@pytest.mark.parametrize("network", ["torchvision:vit_b_32", "torchvision:maxvit_t", "timm:vit_tiny_patch16_224"])
@pytest.mark.parametrize("fit", [None, {"epochs": 1}])
def test_a_crop_that_a_network_does_not_take_is_refused_first(
    network: str, fit: dict[str, int] | None, tmp_path: Path
) -> None:
    with torch.device("meta"):
        shapes = backbone(library_of(network).completed(network), 3).state_dict()
    half = {key: torch.zeros(tensor.shape, dtype=torch.float16) for key, tensor in shapes.items()}
    save_file(half, tmp_path / "a.safetensors")
    named = {"backbone": network, "weights": str(tmp_path / "a.safetensors"), "fit": fit}
    TSN(network=named).check_files()
    with pytest.raises(InputError, match=r"a crop of 192 pixels does not suit the network .+: leave crop out"):
        TSN(network=named, crop=192).check_files()


@pytest.mark.parametrize(
    "network", ["torchvision:resnet18", "torchvision:swin_t", "timm:dm_nfnet_f0", "timm:vit_tiny_patch16_224"]
)
def test_everything_that_may_learn_has_a_rate(network: str) -> None:
    with torch.device("meta"):
        trained = TSNNetwork(library_of(network).completed(network), "rgb", 5, dropout=0.5, partial_bn=True)
    grouped = [id(weight) for group in trained.parameter_groups() for weight in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert {id(weight) for weight in trained.parameters() if weight.requires_grad} <= set(grouped)


def test_a_network_without_a_first_convolution_is_refused() -> None:
    pytest.importorskip("timm")
    name = library_of(given := "timm:naflexvit_base_patch16_gap").completed(given)
    with torch.device("meta"), pytest.raises(InputError, match="does not begin with a convolution"):
        backbone(name, 3)


def test_names_of_timm_without_weights_say_so() -> None:
    timm = pytest.importorskip("timm")
    without = next(name for name in timm.list_models() if not timm.models.get_pretrained_cfg(name).hf_hub_id)
    library = library_of(f"timm:{without}")
    assert library is not None
    assert library.completed(f"timm:{without}.") == library.completed(f"timm:{without}")
    with pytest.raises(InputError, match="timm knows no weights of it on the Hugging Face Hub; give a file"):
        library.source(f"timm:{without}")
