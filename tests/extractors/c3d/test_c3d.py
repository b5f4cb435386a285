"""C3D against a network put together from torch's primitives, and the laws of its clips."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from extractors.base import Clip, Row
from extractors.c3d.config import C3D
from extractors.c3d.network import CLIP_FRAMES, CUBE, C3DNetwork, ClipFeatureExtractor, cropped, cropped_mean
from extractors.clip_reader import ClipReader
from extractors.weights.state_dicts import adapt
from extractors.windows import windowed
from pipeline.config import parse
from pipeline.errors import InputError, UnusableVideo
from pipeline.video.decode import read
from tests.support import footage
from tests.support.equality import close

State = dict[str, Tensor]
SHAPES = {
    "conv1": (64, 16, 112, 112),
    "pool1": (64, 16, 56, 56),
    "conv2": (128, 16, 56, 56),
    "pool2": (128, 8, 28, 28),
    "conv3a": (256, 8, 28, 28),
    "conv3b": (256, 8, 28, 28),
    "pool3": (256, 4, 14, 14),
    "conv4a": (512, 4, 14, 14),
    "conv4b": (512, 4, 14, 14),
    "pool4": (512, 2, 7, 7),
    "conv5a": (512, 2, 7, 7),
    "conv5b": (512, 2, 7, 7),
    "pool5": (512, 1, 4, 4),
    "fc6": (4096,),
    "fc7": (4096,),
}


def caffe(state: State) -> State:
    return {**state, "fc8.weight": torch.zeros(487, 4096).half(), "fc8.bias": torch.zeros(487)}


def mmaction(state: State) -> State:
    """Convolutions in modules of their own, all of them with a letter, in a recogniser."""
    renamed = {}
    for key, tensor in state.items():
        layer, kind = key.split(".")
        if layer in ("conv1", "conv2"):
            layer += "a"
        renamed[f"backbone.{layer}.conv.{kind}" if layer.startswith("conv") else f"backbone.{key}"] = tensor
    return {
        **renamed,
        "cls_head.fc_cls.weight": torch.zeros(101, 4096).half(),
        "cls_head.fc_cls.bias": torch.zeros(101),
    }


def bare(state: State) -> State:
    """As MMAction2 publishes what it converted: without the recogniser's prefix."""
    return {key.removeprefix("backbone."): tensor for key, tensor in mmaction(state).items() if "cls_head" not in key}


@pytest.fixture(scope="module")
def state() -> State:
    """Random weights of half precision, all layers' outputs about as large as their inputs."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {key: tensor.shape for key, tensor in C3DNetwork().state_dict().items()}
    return {
        key: (torch.randn(shape, generator=generator) * (2 / shape[1:].numel()) ** 0.5).half()
        if len(shape) > 1
        else torch.randn(shape, generator=generator).mul(0.1).half()
        for key, shape in shapes.items()
    }


@pytest.fixture(scope="module")
def file(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("c3d") / "caffe.safetensors"
    save_file(caffe(state), path)
    return path


def plain(state: State, clips: Tensor, layer: str, pool5: str) -> Tensor:
    """From torch's primitives alone: (batch, 3, 16, 112, 112) to (batch, 4096)."""
    weights = {key: tensor.float() for key, tensor in state.items()}
    maps = clips
    for name in ("1", "2", "3a", "3b", "4a", "4b", "5a", "5b"):
        maps = F.relu(F.conv3d(maps, weights[f"conv{name}.weight"], weights[f"conv{name}.bias"], padding=1))
        if name == "1":
            maps = F.max_pool3d(maps, (1, 2, 2), (1, 2, 2))
        elif name in ("2", "3b", "4b"):
            maps = F.max_pool3d(maps, 2, 2)
    if pool5 == "ceil":  # Caffe's last windows reach beyond the map, where there is nothing
        maps = F.max_pool3d(F.pad(maps, (0, 1, 0, 1, 0, 0), value=float("-inf")), 2, 2)
    else:
        maps = F.max_pool3d(F.pad(maps, (1, 1, 1, 1, 0, 0), value=float("-inf")), 2, 2)
    features = F.relu(maps.flatten(1) @ weights["fc6.weight"].T + weights["fc6.bias"])
    return features if layer == "fc6" else F.relu(features @ weights["fc7.weight"].T + weights["fc7.bias"])


def prepared(frames: np.ndarray, mean: np.ndarray | None = None) -> Tensor:
    """Sixteen frames (height, width, 3) RGB as the authors prepare them: (3, 16, 112, 112), blue first."""
    cube = np.empty((3, 16, 128, 171), np.float64)
    for time, frame in enumerate(frames):
        blue_first = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), (171, 128))
        for colour in range(3):
            cube[colour, time] = blue_first[:, :, colour]
    cube -= np.array([90.25, 97.66, 101.41])[:, None, None, None] if mean is None else mean
    return torch.from_numpy(cube[:, :, 8:120, 29:141]).float()


def film(folder: Path, count: int, seed: int = 0) -> Clip:
    """A colourless video of smooth noise, 80×60."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 6, 8)).astype(np.float32)
    frames = np.stack([cv2.resize(picture, (80, 60), interpolation=cv2.INTER_CUBIC) for picture in small])
    return Clip(footage.write(folder / f"film-{count}-{seed}.avi", frames.clip(0, 255).astype(np.uint8)))


def extract(clip: Clip, file: Path, **fields: Any) -> Row:
    (row,) = parse(C3D, {"weights": str(file), **fields}).build("cpu")(clip)
    return row


def test_shapes_layer_by_layer() -> None:
    with torch.device("meta"):
        network = C3DNetwork()
        seen: dict[str, tuple[int, ...]] = {}
        for name, layer in network.named_children():
            layer.register_forward_hook(lambda _, given, out, name=name: seen.update({name: tuple(out.shape[1:])}))
        network.features(torch.empty(2, 3, 16, 112, 112), "fc7")
    assert seen == SHAPES
    assert list(seen) == list(SHAPES)


def test_parameters() -> None:
    with torch.device("meta"):
        named = dict(C3DNetwork().named_parameters())
    counts = {name: parameter.numel() for name, parameter in named.items()}
    assert sum(count for name, count in counts.items() if name.startswith("conv")) == 27_655_936
    assert sum(counts.values()) == 77_995_776


@pytest.mark.parametrize("layout", [caffe, mmaction, bare])
def test_every_layout_leads_to_the_same_network(state: State, layout: Callable[[State], State]) -> None:
    with torch.device("meta"):
        network = C3DNetwork()
    adapted = adapt(layout(state), network)
    assert adapted.keys() == state.keys()
    assert all(adapted[key] is state[key] for key in state)


def test_layouts_of_the_test_have_the_published_keys(state: State) -> None:
    assert {"conv1.weight", "conv3a.bias", "fc6.weight", "fc8.weight"} <= caffe(state).keys()
    assert {"backbone.conv1a.conv.weight", "backbone.conv5b.conv.bias", "backbone.fc6.weight"} <= mmaction(state).keys()
    assert {"conv1a.conv.weight", "conv2a.conv.bias", "fc7.weight"} <= bare(state).keys()


@pytest.mark.parametrize(("layout", "layer", "pool5"), [(caffe, "fc6", "ceil"), (mmaction, "fc7", "padded")])
def test_features_agree_with_plain_torch(
    state: State, tmp_path: Path, layout: Callable[[State], State], layer: str, pool5: str
) -> None:
    save_file(layout(state), tmp_path / "weights.safetensors")
    clip = film(tmp_path, 19)
    row = extract(clip, tmp_path / "weights.safetensors", layer=layer, pool5=pool5)
    (tmp_path / "weights.safetensors").unlink()
    with torch.no_grad():
        expected = plain(state, prepared(read(clip.path).frames[:16])[None], layer, pool5)
    close(row.arrays["features"], expected, spread=0.01)
    assert row.arrays["features"].dtype == np.float32
    assert row.arrays["start_frames"].tolist() == [0]
    assert row.attributes.items() >= {"fps": 25.0, "frames": 19}.items()


@pytest.mark.parametrize("pool5", ["ceil", "padded"])
def test_windows_of_both_pool5(pool5: Any) -> None:
    """Rounding up, Caffe's last window holds the seventh row alone; padded, the first holds the first alone."""
    maps = torch.arange(49.0).view(1, 1, 1, 7, 7).expand(1, 1, 2, 7, 7)
    last = {"ceil": torch.tensor([1, 3, 5, 6]), "padded": torch.tensor([0, 2, 4, 6])}[pool5]
    with torch.device("meta"):
        pooling = C3DNetwork(pool5).pool5
    assert pooling(maps)[0, 0].tolist() == [(7 * last[:, None] + last).tolist()]


def test_the_middle_of_a_mean_of_every_pixel_is_taken_off_and_blue_comes_first(
    state: State, file: Path, tmp_path: Path
) -> None:
    mean = np.random.default_rng(0).uniform(50, 150, CUBE).astype(np.float32)
    np.save(tmp_path / "mean.npy", mean)
    frames = np.random.default_rng(1).integers(0, 256, (16, 128, 171, 3), np.uint8)
    clip = np.stack([cropped(frame) for frame in frames])
    found = ClipFeatureExtractor(file, "fc6", "ceil", tmp_path / "mean.npy", "cpu")(clip[None])
    with torch.no_grad():
        close(found, plain(state, prepared(frames, mean)[None], "fc6", "ceil"), spread=0.01)


def test_a_mean_comes_from_either_kind_of_file(tmp_path: Path) -> None:
    mean = torch.rand(CUBE, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "mean.npy", mean.numpy())
    save_file({"data": mean}, tmp_path / "mean.safetensors")
    for file in ("mean.npy", "mean.safetensors"):
        torch.testing.assert_close(cropped_mean(tmp_path / file), mean[:, :, 8:120, 29:141], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("frames", "stride_frames", "expected"),
    [(16, 8, 1), (23, 8, 1), (24, 8, 2), (50, 8, 5), (40, 16, 2), (50, 20, 2), (19, 1, 4), (60, 100, 1)],
)
def test_the_clips_of_a_video(tmp_path: Path, frames: int, stride_frames: int, expected: int) -> None:
    """⌊(frames − 16) / stride⌋ + 1 of them, each its own frames."""
    ramp = np.broadcast_to(np.arange(frames, dtype=np.uint8)[:, None, None] * 4, (frames, 16, 16))
    path = footage.write(tmp_path / "ramp.avi", np.ascontiguousarray(ramp))
    reader = ClipReader(Clip(path))
    clips = windowed(reader.frames(), CLIP_FRAMES, stride_frames, cropped)
    seen = [clip[:, 50, 50, 1].round(-1) // 4 for clip in clips]
    levels = read(path).frames[:, 8, 8, 1].round(-1) // 4
    assert len(seen) == expected == (frames - 16) // stride_frames + 1
    for number, clip in enumerate(seen):
        assert clip.tolist() == levels[number * stride_frames :][:16].tolist()
    assert (reader.length, reader.fps) == (frames, 25)


def test_no_more_frames_are_held_than_a_clip_has(tmp_path: Path) -> None:
    calls: list[int] = []
    clips = windowed(
        ClipReader(film(tmp_path, 120)).frames(),
        CLIP_FRAMES,
        100,
        lambda frame: calls.append(1) or np.zeros((2, 2, 3), np.uint8),
    )
    assert next(clips).shape == (16, 2, 2, 3)
    assert len(calls) == 16
    next(clips)
    assert len(calls) == 32


@pytest.fixture
def undescribed(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Any file: of each clip the features are 4096 numbers that follow from its first pixel alone."""

    def describe(clips: np.ndarray) -> np.ndarray:
        return np.linspace(0, 1, 4096, dtype=np.float32) * clips[:, :1, 0, 0, 0]

    monkeypatch.setattr("extractors.c3d.network.ClipFeatureExtractor", lambda *_: describe)
    return Path("weights")


@pytest.mark.parametrize("frames", [1, 2, 5, 15])
def test_fewer_frames_than_a_clip_are_unusable(undescribed: Path, tmp_path: Path, frames: int) -> None:
    with pytest.raises(UnusableVideo, match=f"{frames} frames; at least 16 are needed") as caught:
        extract(film(tmp_path, frames), undescribed)
    assert caught.value.frames_decoded == frames


def test_a_row_of_more_clips_than_are_computed_at_once(undescribed: Path, tmp_path: Path) -> None:
    clip = film(tmp_path, 100)
    row = extract(clip, undescribed)
    assert row.arrays["start_frames"].tolist() == list(range(0, 85, 8))
    firsts = [cropped(read(clip.path).frames[start])[0, 0, 0] for start in range(0, 85, 8)]
    np.testing.assert_array_equal(row.arrays["features"][:, -1], np.array(firsts, np.float32))


def test_float16_is_the_rounded_float32(undescribed: Path, tmp_path: Path) -> None:
    clip = film(tmp_path, 16)
    full, half = (extract(clip, undescribed, dtype=dtype).arrays["features"] for dtype in ("float32", "float16"))
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, full.astype(np.float16))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 16, 112, 112)), r"holds \(3, 16, 112, 112\); a mean of shape \(3, 16, 128, 171\) is needed"),
        (np.zeros(CUBE[1:]), r"holds \(16, 128, 171\)"),
        (np.array([None, 1]), "not a complete .npy file of numbers"),
    ],
)
def test_another_mean_is_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "mean.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=message):
        cropped_mean(tmp_path / "mean.npy")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layer": "fc8"}, "layer"),
        ({"pool5": "floor"}, "pool5"),
        ({"stride_frames": 0}, "stride_frames"),
        ({"wieghts": "w"}, "did you mean 'weights'"),
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(C3D, {"weights": "w", **fields})


def test_files_count_by_content() -> None:
    config = parse(C3D, {"weights": "a", "mean": "b"})
    assert config.files() == ("a", "b")
    assert parse(C3D, {"weights": "a"}).files() == ("a",)


def test_another_networks_weights_are_refused(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "w.safetensors")
    config = parse(C3D, {"weights": str(tmp_path / "w.safetensors")})
    with pytest.raises(InputError, match="not weights of C3D"):
        config.check_files()
    with pytest.raises(InputError, match="not weights of C3D"):
        config.build("cpu")


def test_rows_are_not_a_video(undescribed: Path) -> None:
    with pytest.raises(TypeError, match="video file"):
        next(parse(C3D, {"weights": str(undescribed)}).build("cpu")([Row({})]))


@pytest.mark.gpu
def test_cuda_agrees_with_cpu(file: Path, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    config, clip = parse(C3D, {"weights": str(file)}), film(tmp_path, 40)
    (cpu,), (cuda,), (again,) = (config.build(device)(clip) for device in ("cpu", "cuda", "cuda"))
    np.testing.assert_array_equal(cuda.arrays["features"], again.arrays["features"])
    scale = np.abs(cpu.arrays["features"]).max()
    np.testing.assert_allclose(cuda.arrays["features"], cpu.arrays["features"], atol=1e-4 * scale)
