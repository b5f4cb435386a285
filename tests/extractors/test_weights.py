"""Where weights are found, what files are refused, and that every known layout leads to the same network."""

import argparse
import itertools
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from extractors.backbones.registry import BACKBONES
from extractors.backbones.resnet50 import ResNet50
from extractors.backbones.squeezenet import SqueezeNet
from extractors.backbones.torchvision_models import models
from extractors.weights.sources import SOURCES, locate
from extractors.weights.state_dicts import adapt, load
from pipeline.errors import InputError
from tests.support.paths import ROOT

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def resnet() -> State:
    """Random weights with every tensor different, as torchvision names them."""
    state = models.resnet50(weights=None).state_dict()
    generator = torch.Generator().manual_seed(0)
    return {
        key: torch.rand(tensor.shape, generator=generator) if tensor.is_floating_point() else torch.tensor(7)
        for key, tensor in state.items()
    }


def mmaction(state: State) -> State:
    """ConvModule's naming, made key by key: a convolution and its normalisation under the convolution's name."""
    renamed = {}
    for key, tensor in state.items():
        parts = key.split(".")
        if parts[0] == "fc":
            parts = ["cls_head", "fc_cls", parts[1]]
        elif parts[-3:-1] in (["downsample", "0"], ["downsample", "1"]):
            parts[-2] = {"0": "conv", "1": "bn"}[parts[-2]]
            parts = ["backbone", *parts]
        else:
            layer = parts[-2]
            kind = "conv" if layer.startswith("conv") else "bn"
            parts = ["backbone", *parts[:-2], f"conv{layer[-1]}", kind, parts[-1]]
        renamed[".".join(parts)] = tensor
    return renamed


def tsn_pytorch(state: State) -> State:
    """Data-parallel wrapper, base model and new classifier; statistics kept as (1, C), no count of batches."""
    renamed = {}
    for key, tensor in state.items():
        if key.startswith("fc."):
            renamed[f"module.new_{key}"] = tensor
        elif not key.endswith("num_batches_tracked"):
            is_statistic = ".bn" in f".{key}" or "downsample.1." in key
            renamed[f"module.base_model.{key}"] = tensor[None] if is_statistic else tensor
    return renamed


def data_parallel(state: State) -> State:
    return {f"module.{key}": tensor for key, tensor in state.items()}


def compiled(state: State) -> State:
    """Lightning's attribute ``model``, compiled, of what was trained in parallel."""
    return {f"model._orig_mod.{key}": tensor for key, tensor in data_parallel(state).items()}


@pytest.mark.parametrize("layout", [dict, mmaction, tsn_pytorch, data_parallel, compiled])
@pytest.mark.parametrize("classes", [None, 1000])
def test_every_layout_leads_to_the_same_network(
    resnet: State, layout: Callable[[State], State], classes: int | None
) -> None:
    network = ResNet50(classes=classes)
    network.load_state_dict(adapt(layout(resnet), network))
    for key, tensor in network.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            torch.testing.assert_close(tensor, resnet[key], rtol=0, atol=0)
    assert any(key.startswith("fc.") for key in network.state_dict()) == (classes is not None)


def test_layouts_of_the_test_have_the_published_keys(resnet: State) -> None:
    published = {
        "backbone.conv1.conv.weight",
        "backbone.conv1.bn.running_mean",
        "backbone.layer1.0.conv1.conv.weight",
        "backbone.layer1.0.downsample.conv.weight",
        "backbone.layer1.0.downsample.bn.weight",
        "cls_head.fc_cls.weight",
    }
    assert published <= mmaction(resnet).keys()
    assert {"module.base_model.conv1.weight", "module.new_fc.weight"} <= tsn_pytorch(resnet).keys()
    assert tsn_pytorch(resnet)["module.base_model.layer1.0.downsample.1.weight"].shape == (1, 256)


def test_adapting_leaves_the_state_untouched(resnet: State) -> None:
    before = dict(tsn_pytorch(resnet))
    given = dict(before)
    adapt(given, ResNet50())
    assert given.keys() == before.keys()
    assert all(given[key] is before[key] for key in before)


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        ("resnet101", ResNet50, r"left over \(layer3\.6\.conv1\.weight, "),
        ("resnet34", ResNet50, r"missing \(layer1\.0\.conv3\.weight, .*left over|missing .* of another shape"),
        (
            "squeezenet1_1",
            SqueezeNet,
            r"missing \(features\.5\.|of another shape \(features\.0\.weight \(64, 3, 3, 3\)",
        ),
        ("squeezenet1_0", ResNet50, r"ResNet50.*missing \(conv1\.weight, "),
    ],
)
def test_another_networks_weights_are_refused_in_one_sentence(theirs: str, ours: type, message: str) -> None:
    with torch.device("meta"):
        state, network = models.get_model(theirs, weights=None).state_dict(), ours()
    with pytest.raises(InputError, match=message) as caught:
        adapt(state, network)
    assert len(str(caught.value)) < 700
    assert "\n" not in str(caught.value)


def test_a_classifier_of_another_width_is_refused_only_where_it_is_used(resnet: State) -> None:
    with pytest.raises(InputError, match=r"fc\.weight \(1000, 2048\) instead of \(400, 2048\)"):
        adapt(resnet, ResNet50(classes=400))
    adapt(resnet, ResNet50())


def test_two_networks_in_one_file_are_refused(resnet: State) -> None:
    with pytest.raises(InputError, match="more than one network"):
        adapt(resnet | data_parallel(resnet), ResNet50())


WRAPPERS = ("state_dict", "model_state_dict", "net", "model")


@pytest.mark.parametrize("keys", [(), *itertools.permutations(WRAPPERS, 1), *itertools.permutations(WRAPPERS, 2)])
def test_torch_files_load_bare_or_as_a_checkpoint(tmp_path: Path, keys: tuple[str, ...]) -> None:
    content: dict[str, object] = {"a": torch.arange(3)}
    for key in keys:
        content = {"epoch": 3, "optimizer": {"state": {}}, key: content}
    torch.save(content, tmp_path / "weights.pth")
    loaded = load(tmp_path / "weights.pth")
    assert list(loaded) == ["a"]
    assert loaded["a"].tolist() == [0, 1, 2]


def test_a_checkpoint_that_holds_itself_is_refused(tmp_path: Path) -> None:
    content: dict[str, object] = {}
    content["model"] = content
    torch.save(content, tmp_path / "circle.pth")
    with pytest.raises(InputError, match="no state dict"):
        load(tmp_path / "circle.pth")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("foreign", "name"), [(argparse.Namespace(lr=1), "argparse.Namespace"), (np.float64(3), "scalar")]
)
def test_an_object_of_another_program_is_named_with_what_to_do(
    tmp_path: Path, foreign: object, name: str, zipped: bool
) -> None:
    content = {"state_dict": {"a": torch.arange(3)}, "args": foreign}
    torch.save(content, tmp_path / "weights.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=rf"holds an object .*{name}; save it anew there as a state dict") as caught:
        load(tmp_path / "weights.pth")
    assert str(caught.value).isprintable()
    assert "weights_only" not in str(caught.value)


def test_safetensors_load(tmp_path: Path) -> None:
    save_file({"a": torch.arange(3)}, tmp_path / "weights.safetensors")
    assert load(tmp_path / "weights.safetensors")["a"].tolist() == [0, 1, 2]


class Code:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("code in a file of weights was run",)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.pth", b"hello"),
        ("empty.pth", b""),
        ("cut.safetensors", b"\x10\x00\x00"),
        ("page.safetensors", b"<html>not found</html>"),
    ],
)
def test_files_that_are_no_weights_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        load(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + b"junk" * 100, pickle.dumps({"a": 1}, protocol=2)])
def test_no_file_of_weights_is_to_be_downloaded_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.pth").write_bytes(content)
    with pytest.raises(InputError, match="it is no file of weights, or cut off; download it again"):
        load(tmp_path / "odd.pth")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    ("content", "reason"),
    [(pickle.dumps({"a": 1}, protocol=4), "Unsupported operand 149"), (b"<html></html>", "Unsupported operand 60")],
)
def test_a_pickle_that_torch_refuses_says_why(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "odd.pth").write_bytes(content)
    with pytest.raises(InputError, match=f"plain tensors: {reason}; a safetensors file, or a torch file"):
        load(tmp_path / "odd.pth")


def test_a_truncated_torch_file_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1000)}, tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:2000])
    with pytest.raises(InputError, match=r"cut\.pth"):
        load(tmp_path / "cut.pth")


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    torch.save({"a": Code()}, tmp_path / "code.pth")
    (tmp_path / "code.pkl").write_bytes(pickle.dumps({"a": Code()}, protocol=2))
    for name in ("code.pth", "code.pkl"):
        with pytest.raises(InputError, match="plain tensors"):
            load(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    [
        torch.zeros(3),
        {},
        {"a": 1},
        [torch.zeros(3)],
        {1: torch.zeros(3)},
        {("a",): torch.zeros(3), "b": torch.zeros(3)},
        {"state_dict": {None: torch.zeros(3)}},
        {"a": torch.Size([3])},
        {"a": torch.eye(3).to_sparse()},
        {"a": torch.zeros(3, dtype=torch.complex64)},
        {"a": torch.zeros(3, device="meta")},
    ],
)
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(InputError, match="no state dict"):
        load(tmp_path / "odd.pth")


def test_locate_takes_a_path_a_file_of_the_folder_or_a_known_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, home = tmp_path / "weights", tmp_path / "home"
    for file in (folder / "mine.pth", folder / "squeezenet1_0-b66bff10.pth", home / "own.pth"):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    assert locate(str(folder / "mine.pth"), tmp_path) == folder / "mine.pth"
    assert locate("~/own.pth", folder) == home / "own.pth"
    assert locate("own.pth", folder) == home / "own.pth"
    assert locate("mine.pth", folder) == folder / "mine.pth"
    assert locate("imagenet-squeezenet1_0", folder) == folder / "squeezenet1_0-b66bff10.pth"


@pytest.mark.parametrize("name", SOURCES)
def test_missing_known_weights_name_url_and_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=re.escape(SOURCES[name].url)) as caught:
        locate(name, tmp_path, offline=True)
    assert f"offline = true: run kinescope weights fetch {name}" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert SOURCES[name].url.endswith(SOURCES[name].files[0])
    assert name.partition("-")[2] in {*BACKBONES, "c3d", "i3d-rgb", "i3d-flow"}
    assert SOURCES[name].licence


@pytest.mark.parametrize(
    ("name", "message"),
    [("imagenet-resnet5", "did you mean 'imagenet-resnet50'"), ("a/b", "no such file"), ("a.pth", "no such file")],
)
def test_unknown_weights(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        locate(name, tmp_path)


def test_urls_are_torchvisions_own() -> None:
    assert SOURCES["imagenet-resnet50"].url == models.ResNet50_Weights.IMAGENET1K_V1.url
    assert SOURCES["imagenet-squeezenet1_0"].url == models.SqueezeNet1_0_Weights.IMAGENET1K_V1.url


def test_locating_needs_no_torch() -> None:
    code = "import sys, extractors.weights.sources; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
