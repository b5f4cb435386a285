"""TSN on flow and RGB difference: what a snippet is, where it lies, and what a fine-tuned network adds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from extractors import EXTRACTORS
from extractors.backbones.normalisation import IMAGENET, Normalise
from extractors.backbones.registry import BACKBONES
from extractors.backbones.squeezenet import SqueezeNet
from extractors.base import Clip, Row
from extractors.frames import Frames, scaled
from extractors.snippets.finetuning import Finetuning
from extractors.snippets.sources import consecutive
from extractors.tsn.config import TSN
from extractors.tsn.inference import SnippetFeatureExtractor
from extractors.tvl1.config import TVL1
from pipeline.config import one_of, parse
from pipeline.errors import InputError, UnusableVideo
from pipeline.training.random_state import seeded
from pipeline.video.decode import read
from tests.support import footage
from tests.support.equality import close
from tests.support.footage import film, flows

CHANNELS = {"rgb": 3, "flow": 10, "rgb_diff": 15}


SMALL = {"short_side": 72, "crop": 64}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random weights of SqueezeNet for each modality, as if they had been trained on it."""
    folder = tmp_path_factory.mktemp("weights")
    for modality, channels in CHANNELS.items():
        with seeded(0):
            save_file(SqueezeNet(channels).state_dict(), folder / f"{modality}.safetensors")
    return {modality: folder / f"{modality}.safetensors" for modality in CHANNELS}


def tsn(modality: str, weights: dict[str, Path], fit: dict[str, Any] | None = None, **fields: Any) -> TSN:
    network = {"backbone": "squeezenet1_0", "weights": str(weights[modality]), "fit": fit}
    config: TSN = parse(TSN, {"modality": modality, "network": network, **SMALL, **fields})
    return config


def pooled(file: Path, images: np.ndarray) -> np.ndarray:
    """Normalised images (batch, channel, height, width) through the network itself, in double precision."""
    from extractors.weights.state_dicts import load

    network = SqueezeNet(images.shape[1])
    network.load_state_dict(load(file))
    with torch.no_grad():
        return network.double().eval().pooled(torch.from_numpy(images)).numpy()


def stacked(row: Row, start: int) -> np.ndarray:
    """x1 y1 … x5 y5 (10, height, width), each in [0, 1] and then normalised."""
    channels = [row.arrays[name][start + step] for step in range(5) for name in "xy"]
    return (np.stack(channels).astype(np.float64) / 255 - 0.5) / 0.226


def test_rgb_difference_is_of_six_consecutive_frames(weights: dict[str, Path], tmp_path: Path) -> None:
    clip = film(tmp_path, 30)
    (row,) = tsn("rgb_diff", weights, snippets=3, crops=1).build("cpu")(clip)
    assert row.arrays["start_frames"].tolist() == [4, 12, 20]  # the middles of thirds of the 25 places
    frames = read(clip.path).frames[:, 4:68, 16:80].transpose(0, 3, 1, 2) / 255
    images = [np.concatenate(frames[start + 1 : start + 6] - frames[start : start + 5]) for start in (4, 12, 20)]
    close(row.arrays["features"], pooled(weights["rgb_diff"], np.stack(images)))
    assert row.attributes.items() >= {"fps": 25.0, "frames": 30}.items()


def test_a_still_video_has_no_rgb_difference(weights: dict[str, Path], tmp_path: Path) -> None:
    still = np.broadcast_to(np.random.default_rng(0).integers(0, 256, (1, 72, 96), np.uint8), (8, 72, 96))
    clip = Clip(footage.write(tmp_path / "still.avi", np.ascontiguousarray(still)))
    (row,) = tsn("rgb_diff", weights, snippets=2).build("cpu")(clip)
    nothing = pooled(weights["rgb_diff"], np.zeros((1, 15, 64, 64)))
    np.testing.assert_allclose(row.arrays["features"], np.repeat(nothing, 2, axis=0), rtol=1e-4, atol=1e-6)


def test_flow_is_of_five_consecutive_flows_x_and_y_by_turns(weights: dict[str, Path]) -> None:
    source = flows(30)
    (row,) = tsn("flow", weights, snippets=2, crops=1).build("cpu")([source])
    assert row.arrays["start_frames"].tolist() == [6, 19]  # the middles of halves of the 26 places
    images = np.stack([stacked(source, start)[:, 4:68, 16:80] for start in (6, 19)])
    close(row.arrays["features"], pooled(weights["flow"], images))
    assert row.attributes.items() >= {"fps": 25.0, "frames": 31}.items()


def test_x_flow_changes_its_sign_in_mirrored_crops(weights: dict[str, Path]) -> None:
    source = flows(5)
    (row,) = tsn("flow", weights, snippets=1).build("cpu")([source])
    channels = np.stack([source.arrays[name][step] for step in range(5) for name in "xy"]).astype(np.float64)
    corners = [channels[:, y : y + 64, x : x + 64] for y, x in ((0, 0), (0, 32), (8, 0), (8, 32), (4, 16))]
    mirrors = [corner[:, :, ::-1].copy() for corner in corners]
    for mirror in mirrors:
        mirror[::2] = 255 - mirror[::2]
    every = pooled(weights["flow"], (np.stack(corners + mirrors) / 255 - 0.5) / 0.226)
    close(row.arrays["features"], every.mean(axis=0, keepdims=True))


def test_ten_crops_do_not_tell_a_flow_from_that_of_the_mirrored_video(weights: dict[str, Path]) -> None:
    source = flows(9)
    mirrored = {"x": 255 - source.arrays["x"][:, :, ::-1], "y": source.arrays["y"][:, :, ::-1]}
    config = tsn("flow", weights, snippets=2)
    (here,), (there,) = (
        config.build("cpu")([row]) for row in (source, Row(source.arrays | mirrored, source.attributes))
    )
    close(here.arrays["features"], there.arrays["features"])


def test_flows_are_scaled_as_frames_are_and_keep_their_lengths(weights: dict[str, Path]) -> None:
    source = flows(5, size=(144, 192))
    shrunk = {name: np.stack([scaled(one, 72) for one in source.arrays[name]]) for name in "xy"}
    config = tsn("flow", weights, snippets=1, crops=1)
    (large,), (small,) = (
        config.build("cpu")([row]) for row in (source, Row(source.arrays | shrunk, source.attributes))
    )
    assert shrunk["x"].shape == (5, 72, 96)
    np.testing.assert_array_equal(large.arrays["features"], small.arrays["features"])


@pytest.mark.parametrize("stride_frames", [1, 2, 3])
@pytest.mark.parametrize("sampling", [{"snippets": 40}, {"stride_frames": 6}])
def test_no_stack_of_flows_crosses_the_end(
    weights: dict[str, Path], stride_frames: int, sampling: dict[str, int]
) -> None:
    """And positions are frames of the video, whatever the stride of the flow."""
    for count in (5, 6, 23):
        config = tsn("flow", weights, crops=1, flow={"stride_frames": stride_frames}, **sampling)
        starts = config.starts(count)
        assert starts.min() >= 0
        assert starts.max() + 5 <= count
        if "stride_frames" in sampling:
            assert (starts * stride_frames).tolist() == list(range(0, (count - 4) * stride_frames, 6))
        else:
            assert len(starts) == 40


def test_rgb_and_flow_share_one_count_of_frames(weights: dict[str, Path]) -> None:
    config = tsn("flow", weights, crops=1, stride_frames=8, flow={"stride_frames": 2})
    (row,) = config.build("cpu")([flows(20, stride_frames=2)])
    assert row.arrays["start_frames"].tolist() == [0, 8, 16, 24]
    assert row.arrays["start_frames"].dtype == np.int64
    assert row.attributes["frames"] == 41


@pytest.mark.parametrize(
    ("modality", "frames", "reason"),
    [
        *[("rgb", frames, None) for frames in (1, 2, 5, 15)],
        *[("rgb_diff", frames, f"{frames} frames; at least 6 are needed") for frames in (1, 2, 5)],
        ("rgb_diff", 15, None),
        ("flow", 1, "1 frame; optical flow needs 2"),
        ("flow", 2, "2 frames, which give 1 flows; at least 5 flows are needed"),
        ("flow", 5, "5 frames, which give 4 flows; at least 5 flows are needed"),
        ("flow", 15, None),
    ],
)
def test_short_clips(weights: dict[str, Path], tmp_path: Path, modality: str, frames: int, reason: str | None) -> None:
    """Snippets repeat where there are fewer places than segments; a clip shorter than one is unusable."""
    clip, fields = film(tmp_path, frames), {"flow": {"size_px": (64, 64), "warps": 1}} if modality == "flow" else {}
    config = tsn(modality, weights, snippets=4, crops=1, **fields)

    def extract() -> Row:
        (row,) = config.build("cpu")(clip if config.upstream is None else list(config.upstream.build("cpu")(clip)))
        return row

    if reason is None:
        row = extract()
        assert row.arrays["features"].shape == (4, 512)
        assert row.arrays["start_frames"].max() + {"rgb": 1, "rgb_diff": 6, "flow": 6}[modality] <= frames
        return
    with pytest.raises(UnusableVideo, match=reason) as caught:
        extract()
    assert caught.value.frames_decoded == frames


def test_snippets_of_any_starts_from_pictures_that_come_once() -> None:
    rng = np.random.default_rng(0)
    for span in (1, 2, 5, 6):
        starts = np.sort(rng.integers(0, 30, 12)).tolist()
        needed = sorted({start + step for start in starts for step in range(span)})
        pictures = {index: rng.integers(0, 256, (2, 3, 2), np.uint8) for index in needed}
        snippets = consecutive(iter(pictures.items()), starts, span)
        for start, snippet in zip(starts, snippets, strict=True):
            expected = np.concatenate([pictures[start + step] for step in range(span)], axis=2)
            np.testing.assert_array_equal(snippet, expected)


def test_of_sparse_frames_a_snippet_is_as_far_apart(weights: dict[str, Path], tmp_path: Path) -> None:
    clip = film(tmp_path, 60)  # frames 0, 5, … 55 are looked at
    (row,) = tsn("rgb", weights, snippets=3, crops=1, every_s=0.2, size_px=(64, 70), short_side=None).build("cpu")(clip)
    assert row.arrays["start_frames"].tolist() == [10, 30, 50]
    assert row.attributes.items() >= {"fps": 25.0, "frames": 60}.items()
    frames = np.stack([scaled(frame, None, (64, 70)) for frame in read(clip.path).frames[[10, 30, 50]]])
    pixels = Normalise(IMAGENET, "rgb")(torch.from_numpy(frames[:, 3:67].copy()))
    close(row.arrays["features"], pooled(weights["rgb"], pixels.double().numpy()))
    with pytest.raises(UnusableVideo, match="60 frames, of which 2 are looked at; at least 6 are needed"):
        next(tsn("rgb_diff", weights, every_s=2).build("cpu")(clip))


def test_training_looks_at_the_same_frames(weights: dict[str, Path]) -> None:
    sparse: dict[str, Any] = {"every_s": 3, "size_px": (64, 64), "short_side": None}
    fitted_on = Frames(size_px=(64, 64), every_s=3)
    assert tsn("rgb", weights, {"epochs": 1}, **sparse).fitted_on == fitted_on
    raw = tsn("rgb", weights, {"epochs": 1}, **sparse, frames={"encoding": "raw"})
    assert raw.fitted_on == fitted_on.model_copy(update={"encoding": "raw"})
    plain = tsn("rgb", weights, {"epochs": 1}, frames={"quality": 80})
    assert plain.fitted_on == Frames(short_side=72, quality=80)
    own = tsn("rgb", weights, {"epochs": 1}, **sparse, frames={"short_side": 90})
    assert own.fitted_on == Frames(short_side=90, every_s=3)


def test_fields_that_came_later_change_nothing_where_they_are_not_said(weights: dict[str, Path]) -> None:
    for config in (tsn("rgb", weights), Frames()):
        assert not {"size_px", "every_s"} & config.significant(str).keys()
        changed = config.model_copy(update={"every_s": 3.0})
        assert changed.significant(str) == {**config.significant(str), "every_s": 3.0}


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """What fine-tuning on flow leads to, with three classes."""
    with seeded(1):
        backbone, head = SqueezeNet(10), nn.Linear(512, 3)
    state = {f"backbone.{key}": tensor for key, tensor in backbone.state_dict().items()}
    path = tmp_path / "network.safetensors"
    save_file(state | {f"head.{key}": tensor for key, tensor in head.state_dict().items()}, path, metadata={})
    return path


def test_a_fine_tuned_network_gives_scores_before_the_softmax(
    weights: dict[str, Path], trained: Path, tmp_path: Path
) -> None:
    from extractors.weights.state_dicts import load

    source, state = flows(12), load(trained)
    (row,) = tsn("flow", weights, fit={"epochs": 1}, snippets=2).build("cpu", {"0": trained})([source])
    save_file(
        {key[9:]: tensor for key, tensor in state.items() if key.startswith("backbone.")},
        tmp_path / "flow.safetensors",
    )
    (alone,) = tsn("flow", {"flow": tmp_path / "flow.safetensors"}, snippets=2).build("cpu")([source])
    np.testing.assert_array_equal(row.arrays["features"], alone.arrays["features"])
    head = (state[f"head.{name}"].double().numpy() for name in ("weight", "bias"))
    weight, bias = head
    assert row.arrays["scores"].shape == (2, 3)
    np.testing.assert_allclose(row.arrays["scores"], row.arrays["features"] @ weight.T + bias, rtol=1e-4, atol=1e-5)
    assert "scores" not in alone.arrays


def test_what_is_fitted_and_on_what(weights: dict[str, Path]) -> None:
    fit = {"epochs": 3}
    rgb, flow = tsn("rgb", weights, fit), tsn("flow", weights, fit, flow={"stride_frames": 2}, stride_frames=8)
    for config, source in ((rgb, Frames(short_side=72)), (flow, TVL1(stride_frames=2))):
        assert config.fitted is not None
        assert config.fitted.fit == Finetuning(epochs=3)
        assert (config.fitted.modality, config.fitted.crop) == (config.modality, 64)
        assert config.fitted.weights == str(weights[config.modality])
        assert config.fitted_on == source
    assert (rgb.upstream, flow.upstream) == (None, TVL1(stride_frames=2))
    own = tsn("rgb_diff", weights, fit, frames={"short_side": 90, "quality": 80})
    assert own.fitted_on == Frames(short_side=90, quality=80)
    assert tsn("rgb", weights).fitted is tsn("rgb", weights).fitted_on is None


def test_other_test_crops_do_not_change_what_is_fitted(weights: dict[str, Path]) -> None:
    one, ten = (tsn("flow", weights, {"epochs": 3}, crops=crops, snippets=crops) for crops in (1, 10))
    assert one.fitted == ten.fitted
    assert one.fitted_on == ten.fitted_on


@pytest.mark.parametrize("modality", CHANNELS)
@pytest.mark.parametrize("fit", [None, {"epochs": 1}])
def test_a_configuration_is_its_canonical_json(weights: dict[str, Path], modality: str, fit: dict[str, int]) -> None:
    config = tsn(modality, weights, fit)
    assert TSN.model_validate_json(config.canonical()) == config
    assert parse(one_of(EXTRACTORS, "extractor"), config.model_dump(mode="json")) == config
    assert (config.flow is not None) == (modality == "flow")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"modality": "rgb", "flow": {}}, "modality flow needs a table flow, and no other modality takes one"),
        ({"modality": "flow", "flow": None}, "modality flow needs a table flow, and no other modality takes one"),
        ({"modality": "flow", "flow": {"stride_frames": 3}, "stride_frames": 8}, "must be a multiple of the flow's, 3"),
        ({"modality": "rgb", "frames": {}}, "frames are for fine-tuning"),
        ({"modality": "flow", "fit": {"epochs": 1}, "frames": {}}, "frames are for fine-tuning"),
        ({"modality": "flow", "fit": {"epochs": 1, "colour_jitter": 0.5}}, "colour_jitter must be 0"),
        ({"modality": "rgb", "crop": 80}, "80 pixels needs a short_side of at least as many"),
        ({"modality": "rgb", "every_s": 3, "stride_frames": 8}, "stride_frames counts all frames"),
        ({"modality": "rgb", "size_px": (90, 90)}, "give either short_side or size_px"),
        ({"modality": "rgb", "short_side": None}, "give either short_side or size_px"),
        (
            {"modality": "rgb", "fit": {"epochs": 1}, "frames": {"every_s": 2}},
            "frames.every_s must equal every_s, None",
        ),
        (
            {"modality": "flow", "size_px": (90, 90), "short_side": None},
            "for flow set flow.size_px and flow.stride_frames",
        ),
        (
            {"modality": "rgb", "network": {"backbone": "resnet50", "weights": "x", "seed": -1}},
            "network.seed: Input should be greater than or equal to 0",
        ),
    ],
)
def test_wrong_fields_are_refused(weights: dict[str, Path], fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tsn(weights=weights, **fields)


@pytest.mark.parametrize("fit", [None, {"epochs": 1}])
def test_a_network_that_is_not_there_is_a_mistake_of_the_caller(weights: dict[str, Path], fit: dict[str, int]) -> None:
    states = {} if fit else {"0": weights["rgb"]}
    sentence = "what was fitted in one fold, not in 0" if fit else "takes no fitted state as it is configured, not 1"
    with pytest.raises(ValueError, match=sentence):
        tsn("rgb", weights, fit).build("cpu", states)


def test_a_video_is_no_row_of_flow(weights: dict[str, Path]) -> None:
    with pytest.raises(TypeError, match="reads rows of tvl1"):
        next(tsn("flow", weights).build("cpu")(Clip(Path("video.mp4"))))


@pytest.mark.gpu
@pytest.mark.parametrize("modality", CHANNELS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_cuda_agrees_with_cpu(backbone: str, modality: Any) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    with seeded(0):
        state = BACKBONES[backbone](CHANNELS[modality]).state_dict()
    channels = {"rgb": 3, "flow": 10, "rgb_diff": 18}[modality]
    snippets = np.random.default_rng(0).integers(0, 256, (6, 96, 96, channels), np.uint8)
    cpu, cuda, again = (
        SnippetFeatureExtractor(backbone, modality, state, (), device)(snippets) for device in ("cpu", "cuda", "cuda")
    )
    np.testing.assert_array_equal(cuda, again)
    np.testing.assert_allclose(cuda, cpu, atol=1e-4 * np.abs(cpu).max())


@pytest.mark.parametrize("modality", ["flow", "rgb_diff"])
def test_weights_of_rgb_serve_another_modality_only_to_start_from(weights: dict[str, Path], modality: Any) -> None:
    network = {"backbone": "squeezenet1_0", "weights": str(weights["rgb"])}
    plain = TSN.model_validate({"modality": modality, "network": network, **SMALL})
    sentence = f"weights of RGB, and the network's input has {CHANNELS[modality]} channels: add network.fit"
    with pytest.raises(InputError, match=sentence):
        plain.check_files()
    with pytest.raises(InputError, match=sentence):
        plain.build("cpu")
    TSN.model_validate({"modality": modality, "network": {**network, "fit": {"epochs": 1}}, **SMALL}).check_files()
    own = {**network, "weights": str(weights[modality])}
    TSN.model_validate({"modality": modality, "network": own, **SMALL}).check_files()
