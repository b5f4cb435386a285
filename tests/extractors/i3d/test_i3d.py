"""I3D against a network put together from torch's primitives with TensorFlow's padding written out, and its inputs."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from extractors.base import Clip
from extractors.i3d.config import I3D
from extractors.i3d.network import I3DNetwork, same_padded
from extractors.kinetics import KineticsFeatureExtractor
from extractors.pictures import picture
from extractors.tvl1.config import TVL1
from extractors.weights.state_dicts import adapt
from pipeline.config import parse
from pipeline.errors import InputError
from pipeline.video.decode import read
from tests.support.contracts import VIDEO, at_random, extracted

State = dict[str, Tensor]
INCEPTION = {  # Szegedy et al., *Going Deeper with Convolutions*, table 1: input; 1×1; 3×3 and 5×5, reduced first; pool
    "3b": (192, 64, 96, 128, 16, 32, 32),
    "3c": (256, 128, 128, 192, 32, 96, 64),
    "4b": (480, 192, 96, 208, 16, 48, 64),
    "4c": (512, 160, 112, 224, 24, 64, 64),
    "4d": (512, 128, 128, 256, 24, 64, 64),
    "4e": (512, 112, 144, 288, 32, 64, 64),
    "4f": (528, 256, 160, 320, 32, 128, 128),
    "5b": (832, 256, 160, 320, 32, 128, 128),
    "5c": (832, 384, 192, 384, 48, 128, 128),
}


def counted(channels: int) -> int:
    """Parameters without the classifier, counted from the paper's table: kernels, and a scale and shift an output."""
    total = 7**3 * channels * 64 + 64 * 64 + 27 * 64 * 192 + 2 * (64 + 64 + 192)
    for width, one, reduced, three, reduced5, five, pooled in INCEPTION.values():
        total += width * (one + reduced + reduced5 + pooled) + 27 * (reduced * three + reduced5 * five)
        total += 2 * (one + reduced + three + reduced5 + five + pooled)
    return total


@pytest.mark.parametrize(("channels", "expected"), [(3, 12_287_264), (2, 12_265_312)])
def test_parameters(channels: int, expected: int) -> None:
    with torch.device("meta"):
        network = I3DNetwork(channels)
    own = sum(weight.numel() for name, weight in network.named_parameters() if not name.startswith("logits"))
    assert own == counted(channels) == expected
    assert sum(weight.numel() for weight in network.logits.parameters()) == 1024 * 400 + 400


def same(maps: Tensor, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """TensorFlow's rule, an axis after the other: ⌈places / stride⌉ outputs, the odd zero after."""
    for axis, (kernel, step) in enumerate(zip(size, stride, strict=True), start=2):
        places = maps.shape[axis]
        outputs = math.ceil(places / step)
        missing = max((outputs - 1) * step + kernel - places, 0)
        before = maps.new_zeros([*maps.shape[:axis], missing // 2, *maps.shape[axis + 1 :]])
        after = maps.new_zeros([*maps.shape[:axis], missing - missing // 2, *maps.shape[axis + 1 :]])
        maps = torch.cat([before, maps, after], dim=axis)
    return maps


def plain(state: State, clips: Tensor) -> tuple[Tensor, Tensor]:
    """The network from torch's primitives, with the keys of the public files."""

    def unit(name: str, maps: Tensor, kernel: int = 1, step: int = 1) -> Tensor:
        weight = state[f"{name}.conv3d.weight"]
        assert weight.shape[2:] == (kernel,) * 3
        maps = F.conv3d(same(maps, (kernel,) * 3, (step,) * 3), weight, stride=step)
        mean, variance, scale, shift = (
            state[f"{name}.bn.{part}"].view(1, -1, 1, 1, 1)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return torch.relu((maps - mean) / torch.sqrt(variance + 0.001) * scale + shift)

    def pool(maps: Tensor, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        return F.max_pool3d(same(maps, size, stride), size, stride)

    maps = pool(unit("Conv3d_1a_7x7", clips, 7, 2), (1, 3, 3), (1, 2, 2))
    maps = unit("Conv3d_2c_3x3", unit("Conv3d_2b_1x1", maps), 3)
    maps = pool(maps, (1, 3, 3), (1, 2, 2))
    for name in INCEPTION:
        if name == "4b":
            maps = pool(maps, (3, 3, 3), (2, 2, 2))
        if name == "5b":
            maps = pool(maps, (2, 2, 2), (2, 2, 2))
        block = f"Mixed_{name}"
        branches = [unit(f"{block}.b0", maps)]
        branches += [unit(f"{block}.{branch}b", unit(f"{block}.{branch}a", maps), 3) for branch in ("b1", "b2")]
        branches += [unit(f"{block}.b3b", pool(maps, (3, 3, 3), (1, 1, 1)))]
        maps = torch.cat(branches, dim=1)
    pooled = torch.stack([maps[:, :, time : time + 2].mean(dim=(2, 3, 4)) for time in range(maps.shape[2] - 1)], dim=2)
    scores = torch.einsum("bct,kc->bkt", pooled, state["logits.conv3d.weight"][:, :, 0, 0, 0])
    return pooled.mean(dim=2), (scores + state["logits.conv3d.bias"][:, None]).mean(dim=2)


@pytest.fixture(scope="module")
def state() -> State:
    """Random weights and statistics that keep the size of what flows through."""
    generator = torch.Generator().manual_seed(0)
    drawn = {}
    for key, tensor in I3DNetwork().state_dict().items():
        if tensor.ndim > 1:
            drawn[key] = torch.randn(tensor.shape, generator=generator) * (2 / tensor[0].numel()) ** 0.5
        elif tensor.ndim == 1:
            low = 0.5 if key.endswith(("running_var", "bn.weight")) else -0.2
            drawn[key] = low + torch.rand(tensor.shape, generator=generator) * (1 if low > 0 else 0.4)
    return drawn


@pytest.mark.parametrize("frames", [9, 16, 27])
def test_it_agrees_with_plain_torch(state: State, frames: int) -> None:
    network = I3DNetwork()
    network.load_state_dict(adapt({f"module.{key}": tensor for key, tensor in state.items()}, network))
    clips = torch.rand(1, 3, frames, 224, 224, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        expected, found = plain(state, clips), network.eval()(clips)
    assert expected[0].std() > 0.01
    for theirs, ours in zip(expected, found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


@pytest.mark.parametrize("places", [1, 2, 7, 8, 13, 14])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (1, 2), (2, 2), (3, 1), (3, 2), (7, 2)])
def test_padding_is_tensorflows(places: int, kernel: int, stride: int) -> None:
    maps = torch.rand(1, 1, places, 5, places)
    size, step = (kernel, 1, kernel), (stride, 1, stride)
    padded = same_padded(maps, size, step)
    torch.testing.assert_close(padded, same(maps, size, step), rtol=0, atol=0)
    assert (padded.shape[2] - kernel) // stride + 1 == math.ceil(places / stride)


def test_what_it_sees_of_frames(tmp_path: Path) -> None:
    config = I3D(weights=at_random(I3DNetwork(), tmp_path / "i3d.safetensors"), window_frames=9, stride_frames=4)
    (row,) = extracted(config, Clip(VIDEO, (0, 14)))
    assert row["start_frames"].tolist() == [0, 4]
    frames = np.stack([config.prepared(frame) for frame in read(VIDEO).frames[4:13]])
    assert frames.shape == (9, 224, 224, 3)
    network = I3DNetwork().eval()
    network.load_state_dict(adapt(torch_state(config.weights), network))
    clip = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    with torch.inference_mode():
        features, scores = network(clip)
    np.testing.assert_allclose(row["features"][1], features[0], rtol=1e-3, atol=1e-4 * float(features.max()))
    np.testing.assert_allclose(row["kinetics_scores"][1], scores[0], rtol=1e-3, atol=1e-4 * float(scores.abs().max()))


def torch_state(path: str) -> State:
    from extractors.weights.state_dicts import load

    return load(Path(path))


def test_what_it_sees_of_flow() -> None:
    """Twenty pixels are 1, whatever bound the flow is stored with; beyond, they stay 1."""
    levels = np.arange(256, dtype=np.uint8)
    stored = np.broadcast_to(levels[None, :, None], (256, 256, 2))
    narrow, equal, wide = (I3D(modality="flow", flow=TVL1(bound_px=bound)) for bound in (10, 20, 40))
    seen = {name: config.prepared(np.ascontiguousarray(stored)) for name, config in
            (("narrow", narrow), ("equal", equal), ("wide", wide))}  # fmt: skip
    left = (256 - 224) // 2
    px = {"narrow": 10, "equal": 20, "wide": 40}
    for name, square in seen.items():
        expected = np.clip((levels[left : left + 224] / 127.5 - 1) * px[name], -20, 20) / 20
        np.testing.assert_allclose(square[0, :, 0] / 127.5 - 1, expected, atol=1 / 255 + 1e-6)


def test_flow_is_read_from_its_rows(tmp_path: Path) -> None:
    weights = at_random(I3DNetwork(2), tmp_path / "i3d.safetensors")
    config = I3D(modality="flow", weights=weights, window_frames=9, flow=TVL1(size_px=(300, 260), warps=1, scales=1))
    assert config.flow is not None
    (flow,) = extracted(config.flow, Clip(VIDEO, (0, 10)))
    (row,) = config.build("cpu")([flow])
    pictures = [np.stack([picture(flow.arrays, axis, index) for axis in "xy"], axis=-1) for index in range(9)]
    clip = torch.from_numpy(np.stack([config.prepared(each) for each in pictures])).permute(3, 0, 1, 2)[None]
    network = I3DNetwork(2).eval()
    network.load_state_dict(adapt(torch_state(weights), network))
    with torch.inference_mode():
        features, _ = network(clip.float() / 127.5 - 1)
    np.testing.assert_allclose(row["features"][0], features[0], rtol=1e-3, atol=1e-4 * float(features.max()))
    assert row["start_frames"].tolist() == [0]
    assert row["ends"][0] == flow["ends"][8]


def test_defaults_follow_the_modality() -> None:
    assert I3D().weights == "kinetics-i3d-rgb"
    flow = I3D(modality="flow")
    assert (flow.weights, flow.flow) == ("kinetics-i3d-flow", TVL1())
    for table, sentence in (
        ({"flow": {}}, "rgb takes none"),
        ({"modality": "flow", "flow": None}, "modality flow needs a table flow"),
        ({"window_frames": 8}, "greater than or equal to 9"),
        ({"short_side": 200}, "greater than or equal to 224"),
    ):
        with pytest.raises(InputError, match=sentence):
            parse(I3D, {"name": "i3d", **table})


def test_weights_of_the_other_modality_are_refused(tmp_path: Path) -> None:
    save_file({key: tensor.half() for key, tensor in I3DNetwork(2).state_dict().items()}, tmp_path / "flow.safetensors")
    with pytest.raises(InputError, match=r"Conv3d_1a_7x7\.conv3d\.weight"):
        I3D(weights=str(tmp_path / "flow.safetensors")).check_files()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_gives_the_cpus_numbers(state: State) -> None:
    windows = np.random.default_rng(0).integers(0, 256, (2, 9, 224, 224, 3), np.uint8)

    def clips(pixels: Tensor) -> Tensor:
        return pixels.permute(0, 4, 1, 2, 3).float() / 127.5 - 1

    cpu, cuda, again = (
        KineticsFeatureExtractor(I3DNetwork(), state, clips, device)(windows) for device in ("cpu", "cuda", "cuda")
    )
    for expected, found, repeated in zip(cpu, cuda, again, strict=True):
        np.testing.assert_array_equal(repeated, found)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
