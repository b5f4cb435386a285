"""TSN's features against torchvision run independently, and the laws of its sampling."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import interpolate

import extractors.snippets.sources
import pipeline.video.decode
from extractors.backbones.squeezenet import SqueezeNet
from extractors.backbones.torchvision_models import models
from extractors.base import Clip, Row
from extractors.frames import scaled
from extractors.tsn.config import TSN
from extractors.weights.state_dicts import adapt, load
from pipeline.config import parse
from pipeline.errors import InputError, UnusableVideo
from pipeline.video.decode import Block
from tests.support.paths import ROOT

FPS = 12.5
TORCHVISION = ("resnet50", "squeezenet1_0")
Film = Callable[[np.ndarray], Clip]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random weights of torchvision's backbones, and statistics that are not 0 and 1, in its own layout."""
    folder = tmp_path_factory.mktemp("weights")
    for name in TORCHVISION:
        torch.manual_seed(0)
        network = models.get_model(name, weights=None).train()
        with torch.no_grad():
            network(torch.randn(2, 3, 64, 64))
        save_file(network.state_dict(), folder / f"{name}.safetensors")
    return {name: folder / f"{name}.safetensors" for name in TORCHVISION}


@pytest.fixture
def film(monkeypatch: pytest.MonkeyPatch) -> Film:
    """Makes a clip of given frames, (time, height, width, 3) uint8, as if they were decoded in blocks of seven."""

    def make(frames: np.ndarray) -> Clip:
        def decode(path: Path, *, frames: tuple[int, int] | None = None, **_: object) -> Iterator[Block]:
            first, end = frames or (0, len(films[path]))
            for start in range(first, end, 7):
                block = films[path][start : min(start + 7, end)]
                times = np.arange(start, start + len(block)) / FPS
                yield Block(block, start - first, times, times[-1] + 1 / FPS, FPS, {})

        path = Path(f"film-{len(films)}")
        films[path] = frames
        monkeypatch.setattr(pipeline.video.decode, "decode", decode)
        return Clip(path)

    films: dict[Path, np.ndarray] = {}
    return make


def noise(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth random frames: sizes of both interpolations agree on them."""
    small = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    large = interpolate(small, (height, width), mode="bicubic").clamp(0, 1)
    return (large * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


def extract(clip: Clip, file: Path, backbone: str = "squeezenet1_0", **fields: Any) -> Row:
    table = {"name": "tsn", "network": {"backbone": backbone, "weights": str(file)}, **fields}
    (row,) = parse(TSN, table).build("cpu")(clip)
    return row


def test_weights_of_half_precision_without_counters_compute_in_single(
    weights: dict[str, Path], film: Film, tmp_path: Path
) -> None:
    """As other projects publish them."""
    full = load(weights["resnet50"])
    halved = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in full.items()}
    few = {key: tensor for key, tensor in halved.items() if not key.endswith("num_batches_tracked")}
    save_file(few, tmp_path / "half.safetensors")
    save_file({key: tensor.float() for key, tensor in halved.items()}, tmp_path / "single.safetensors")
    half, single = (
        extract(film(noise(3, 40, 52)), tmp_path / f"{name}.safetensors", "resnet50", crop=32, snippets=2, crops=1)
        for name in ("half", "single")
    )
    np.testing.assert_array_equal(half.arrays["features"], single.arrays["features"], strict=True)


def normalised(images: np.ndarray) -> torch.Tensor:
    """(batch, height, width, 3) uint8 as torchvision's own presets prepare it."""
    preset = models.ResNet50_Weights.IMAGENET1K_V1.transforms()
    pixels = torch.from_numpy(images.copy()).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(preset.mean).view(3, 1, 1)) / torch.tensor(preset.std).view(3, 1, 1)


def hooked(backbone: str, file: Path, images: np.ndarray) -> np.ndarray:
    """What torchvision's own network computes last before its classifier, averaged over space."""
    network = models.get_model(backbone, weights=None)
    network.load_state_dict(load(file))
    seen: list[torch.Tensor] = []
    layer = network.layer4 if backbone == "resnet50" else network.features
    layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        network.eval()(normalised(images))
    return seen[0].mean(dim=(2, 3)).numpy()


@pytest.mark.parametrize(("backbone", "dim"), [("resnet50", 2048), ("squeezenet1_0", 512)])
def test_centre_crops_agree_with_torchvision(film: Film, weights: dict[str, Path], backbone: str, dim: int) -> None:
    frames = noise(4, 256, 300)
    row = extract(film(frames), weights[backbone], backbone, snippets=4, crops=1)
    assert row.arrays["features"].shape == (4, dim)
    assert row.arrays["features"].dtype == np.float32
    expected = hooked(backbone, weights[backbone], frames[:, 16:240, 38:262])
    assert expected.std() > 0.01
    np.testing.assert_allclose(row.arrays["features"], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_ten_crops_are_averaged(film: Film, weights: dict[str, Path]) -> None:
    frames = noise(2, 256, 300)
    row = extract(film(frames), weights["squeezenet1_0"], snippets=2, crops=10)
    corners = [(0, 0), (0, 76), (32, 0), (32, 76), (16, 38)]
    for frame, features in zip(frames, row.arrays["features"], strict=True):
        crops = np.stack([frame[y : y + 224, x : x + 224] for y, x in corners])
        every = hooked("squeezenet1_0", weights["squeezenet1_0"], np.concatenate([crops, crops[:, :, ::-1]]))
        np.testing.assert_allclose(features, every.mean(axis=0), rtol=1e-4, atol=1e-4 * every.max())


def test_ten_crops_do_not_tell_a_video_from_its_mirror_image(film: Film, weights: dict[str, Path]) -> None:
    frames = noise(2, 256, 256)
    here, mirrored = (
        extract(film(shown), weights["squeezenet1_0"], snippets=2).arrays["features"]
        for shown in (frames, frames[:, :, ::-1])
    )
    np.testing.assert_allclose(here, mirrored, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(128, 160), (512, 640), (640, 512)])
def test_short_side_is_scaled_to_256(film: Film, weights: dict[str, Path], size: tuple[int, int]) -> None:
    frames = noise(1, *size)
    row = extract(film(frames), weights["squeezenet1_0"], snippets=1, crops=1)
    height, width = (256 * side // min(size) for side in size)
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    large = interpolate(pixels, (height, width), mode="bilinear", antialias=True).round().byte()
    top, left = (height - 224) // 2, (width - 224) // 2
    crop = large.permute(0, 2, 3, 1)[:, top : top + 224, left : left + 224].numpy()
    expected = hooked("squeezenet1_0", weights["squeezenet1_0"], crop)
    np.testing.assert_allclose(row.arrays["features"], expected, atol=0.03 * expected.max())


@pytest.mark.parametrize(
    ("fields", "length", "expected"),
    [
        ({"snippets": 3}, 30, [5, 15, 25]),
        ({"snippets": 5}, 3, [0, 0, 1, 2, 2]),
        ({"snippets": 1}, 1, [0]),
        ({"stride_frames": 4}, 9, [0, 4, 8]),
        ({"stride_frames": 50}, 9, [0]),
    ],
)
def test_frames_looked_at(
    film: Film, weights: dict[str, Path], fields: dict[str, int], length: int, expected: list[int]
) -> None:
    frames = noise(length, 256, 256)
    row = extract(film(frames), weights["squeezenet1_0"], crops=1, **fields)
    assert row.arrays["start_frames"].tolist() == expected
    assert row.arrays["start_frames"].dtype == np.int64
    assert row.attributes.items() >= {"fps": FPS, "frames": length}.items()
    every = hooked("squeezenet1_0", weights["squeezenet1_0"], frames[expected, 16:240, 16:240])
    np.testing.assert_allclose(row.arrays["features"], every, rtol=1e-4, atol=1e-4 * every.max())


def test_a_range_of_frames_is_a_clip_of_its_own(film: Film, weights: dict[str, Path]) -> None:
    frames = noise(20, 256, 256)
    part = extract(Clip(film(frames).path, (6, 15)), weights["squeezenet1_0"], snippets=3, crops=1)
    alone = extract(film(frames[6:15]), weights["squeezenet1_0"], snippets=3, crops=1)
    assert part.attributes.items() >= {"fps": FPS, "frames": 9}.items()
    for name, array in alone.arrays.items():
        later = 6 / FPS if name in ("times", "ends") else 0  # times are the file's
        np.testing.assert_allclose(part.arrays[name], array + later, rtol=0, atol=1e-9 if later else 0)


def test_a_video_too_long_to_hold_is_decoded_twice_to_the_same_row(
    film: Film, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = film(noise(30, 256, 256))
    held = extract(clip, weights["squeezenet1_0"], snippets=4, crops=1)
    decode, calls = pipeline.video.decode.decode, []
    monkeypatch.setattr(
        pipeline.video.decode, "decode", lambda path, **fields: calls.append(path) or decode(path, **fields)
    )
    monkeypatch.setattr(extractors.snippets.sources, "_HELD_BYTES", 2 * 7 * 256 * 256 * 3)
    twice = extract(clip, weights["squeezenet1_0"], snippets=4, crops=1)
    assert calls == [clip.path] * 2
    for name, array in held.arrays.items():
        np.testing.assert_array_equal(twice.arrays[name], array)


@pytest.mark.parametrize("held_bytes", [2**28, 0])
@pytest.mark.parametrize("name", ["h265.mp4", "long-test.mp4", "rotated-90.mov", "v_ApplyEyeMakeup_g01_c01.avi"])
def test_pictures_looked_at_are_those_of_the_decoded_clip(
    shared: Path, name: str, held_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extractors.snippets.sources, "_HELD_BYTES", held_bytes)
    whole = pipeline.video.decode.read(shared / "clips" / name)
    pictures = extractors.snippets.sources.of_video(Clip(shared / "clips" / name), 64)
    looked_at = np.unique(np.linspace(0, len(whole.frames) - 1, 5).astype(int)).tolist()
    assert len(pictures.first_frames) == pictures.attributes["frames"] == len(whole.frames)
    assert pictures.attributes["end_s"] == whole.end
    for index, picture in zip(looked_at, pictures.read(looked_at), strict=True):
        np.testing.assert_array_equal(picture, scaled(whole.frames[index], 64))


def test_a_row_does_not_depend_on_what_was_extracted_before(film: Film, weights: dict[str, Path]) -> None:
    network = {"backbone": "resnet50", "weights": str(weights["resnet50"])}
    extraction = parse(TSN, {"network": network, "snippets": 3, "crops": 1}).build("cpu")
    clip, other = film(noise(5, 256, 256)), film(noise(8, 256, 300, seed=1))
    (first,), _, (again,) = extraction(clip), list(extraction(other)), extraction(clip)
    np.testing.assert_array_equal(first.arrays["features"], again.arrays["features"])


def test_float16_is_the_rounded_float32(film: Film, weights: dict[str, Path]) -> None:
    clip = film(noise(3, 256, 256))
    full, half = (
        extract(clip, weights["squeezenet1_0"], snippets=2, crops=1, dtype=dtype).arrays["features"]
        for dtype in ("float32", "float16")
    )
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, full.astype(np.float16))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"snippets": 25, "stride_frames": 4}, "either snippets or stride_frames"),
        ({"snippets": None}, "either snippets or stride_frames"),
        ({"crops": 5}, "crops"),
        ({"modality": "depth"}, "modality"),
        ({"snipets": 25}, "did you mean 'snippets'"),
        ({"network": {"backbone": "resnet18", "weights": "x"}}, "backbone"),
        ({"network": {"backbone": "resnet50"}}, "weights"),
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(TSN, {"network": {"backbone": "resnet50", "weights": "imagenet-resnet50"}, **fields})


def test_dense_sampling_survives_its_own_canonical_form() -> None:
    dense = parse(TSN, {"network": {"backbone": "resnet50", "weights": "w"}, "stride_frames": 8})
    assert (dense.snippets, dense.stride_frames) == (None, 8)
    assert TSN.model_validate_json(dense.canonical()) == dense


def test_weights_count_by_content() -> None:
    here, there = (parse(TSN, {"network": {"backbone": "resnet50", "weights": file}}) for file in ("a", "b"))
    assert here.files() == ("a",)
    assert here.significant(lambda file: "same") == there.significant(lambda file: "same")
    assert here.significant(lambda file: "one") != here.significant(lambda file: "two")


def test_another_networks_weights_are_refused(weights: dict[str, Path]) -> None:
    network = {"backbone": "resnet50", "weights": str(weights["squeezenet1_0"])}
    with pytest.raises(InputError, match="not weights of ResNet50"):
        parse(TSN, {"network": network}).build("cpu")


def test_rows_are_not_a_video(weights: dict[str, Path]) -> None:
    network = {"backbone": "squeezenet1_0", "weights": str(weights["squeezenet1_0"])}
    with pytest.raises(TypeError, match="video file"):
        next(parse(TSN, {"network": network}).build("cpu")([Row({})]))


def test_the_configuration_loads_no_heavy_library() -> None:
    code = "import sys, extractors.tsn.config; print({'torch', 'cv2', 'av', 'h5py'} & sys.modules.keys())"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == "set()"


@pytest.fixture(scope="module")
def squeezenet(shared: Path) -> Path:
    return shared / "weights" / "squeezenet1_0-imagenet.safetensors"


@pytest.mark.parametrize(
    ("action", "imagenet", "at_least"), [("PlayingCello", 486, 10), ("PlayingPiano", 579, 4), ("PlayingViolin", 889, 4)]
)
def test_real_weights_name_the_instrument(
    shared: Path, squeezenet: Path, action: str, imagenet: int, at_least: int
) -> None:
    network = SqueezeNet(classes=1000).eval()
    network.load_state_dict(adapt(load(squeezenet), network))
    clips = sorted((shared / "ucf101-11" / "videos" / action).glob("*_c01.mp4"))[:12]
    frames = [pipeline.video.decode.read(clip, frames=(10, 11)).frames[0] for clip in clips]
    with torch.no_grad():
        scores = network(normalised(np.stack([scaled(frame, 256)[16:240, 58:282] for frame in frames])))
    assert sum(imagenet in top for top in scores.topk(5).indices.tolist()) >= at_least


def test_header_count_is_not_believed(shared: Path, squeezenet: Path) -> None:
    (path,) = (shared / "clips").glob("Golf*")
    row = extract(Clip(path), squeezenet, snippets=1, crops=1)
    assert row.attributes["frames"] == 89
    assert row.arrays["start_frames"].tolist() == [44]


def test_a_video_that_fails_in_the_middle_is_unusable(shared: Path, squeezenet: Path) -> None:
    with pytest.raises(UnusableVideo) as caught:
        extract(Clip(shared / "clips" / "corrupted.mp4"), squeezenet, snippets=1)
    assert caught.value.frames_decoded == 28


@pytest.mark.gpu
def test_cuda_agrees_with_cpu(film: Film, weights: dict[str, Path]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    clip = film(noise(6, 256, 300))
    for backbone, file in weights.items():
        config = parse(TSN, {"network": {"backbone": backbone, "weights": str(file)}, "snippets": 6})
        (cpu,), (cuda,), (again,) = (config.build(device)(clip) for device in ("cpu", "cuda", "cuda"))
        np.testing.assert_array_equal(cuda.arrays["features"], again.arrays["features"])
        scale = np.abs(cpu.arrays["features"]).max()
        np.testing.assert_allclose(cuda.arrays["features"], cpu.arrays["features"], atol=1e-4 * scale)
