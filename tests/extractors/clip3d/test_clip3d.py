"""torchvision's video networks: what they look at, and agreement with torchvision itself."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from extractors.backbones.torchvision_models import models
from extractors.base import Clip
from extractors.clip3d.config import Clip3D, shown_at
from extractors.clip3d.kinetics_networks import KINETICS_NETWORKS
from extractors.clip3d.network import ClipNetwork
from extractors.weights.state_dicts import adapt
from pipeline.config import parse
from pipeline.errors import InputError
from pipeline.training.random_state import seeded
from pipeline.video.decode import Block, read
from tests.support.contracts import VIDEO, at_random, extracted
from tests.support.films import encode

ALL = list(KINETICS_NETWORKS)


@pytest.mark.parametrize("name", ALL)
def test_windows_are_those_of_torchvisions_metadata(name: str) -> None:
    published = KINETICS_NETWORKS[name]
    for weights in models.get_model_weights(name):
        said = weights.meta["_docs"]
        assert f"clip_len={published.frames}`" in said
        assert f"frame_rate={published.rate_fps:g}`" in said
        assert weights.transforms().describe() == models.get_model_weights(name).KINETICS400_V1.transforms().describe()
        assert len(weights.meta["categories"]) == 400
    config = Clip3D(network=name)  # type: ignore[arg-type]
    assert (config.window_frames, config.rate_fps) == (published.frames, published.rate_fps)
    assert config.stride_frames == published.frames // 2
    assert config.weights == f"torchvision:{name}.KINETICS400_V1"


def test_every_network_is_there() -> None:
    networks = {name for name in models.list_models(module=models.video)}
    assert networks == set(ALL) == set(get_args(Clip3D.model_fields["network"].annotation))


@pytest.mark.parametrize("name", ALL)
def test_widths_and_scores(name: str) -> None:
    published = KINETICS_NETWORKS[name]
    side = models.get_model_weights(name).KINETICS400_V1.transforms().crop_size[0]
    with torch.device("meta"):
        network = ClipNetwork(name).eval()
        adapt(models.get_model(name).state_dict(), network)
        features, scores = network(torch.empty(1, 3, published.frames, side, side))
    assert features.shape == (1, published.dim)
    assert scores.shape == (1, 400)


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("mc3_18", 16),
        ("s3d", 14),
        *(pytest.param(name, frames, marks=pytest.mark.slow) for name, frames in
          (("r3d_18", 8), ("r2plus1d_18", 8), ("mvit_v1_b", 16), ("mvit_v2_s", 16), ("swin3d_t", 4))),
    ],
)  # fmt: skip
def test_rows_are_what_torchvision_computes(name: str, frames: int, tmp_path: Path) -> None:
    """From frames to scores by torchvision's own network and preprocessing, of a network with random weights."""
    with seeded(0):
        theirs = models.get_model(name)
    theirs.load_state_dict(torch_state(at_random(theirs, tmp_path / "weights.safetensors")))
    window = {} if KINETICS_NETWORKS[name].fixed else {"window_frames": frames}
    config = Clip3D(network=name, weights=str(tmp_path / "weights.safetensors"), rate_fps=25, stride_frames=3, **window)
    (row,) = extracted(config, Clip(VIDEO, (0, frames + 3)))
    assert row["start_frames"].tolist() == [0, 3]
    clip = torch.from_numpy(read(VIDEO).frames[3 : frames + 3]).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = theirs.eval()(models.get_model_weights(name).KINETICS400_V1.transforms()(clip)[None])[0]
    found = row["kinetics_scores"][1]
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4 * float(expected.abs().max()))
    assert row["features"].shape == (2, KINETICS_NETWORKS[name].dim)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", ["mc3_18", "s3d", "mvit_v2_s", "swin3d_t"])
def test_a_gpu_gives_the_cpus_numbers(name: str, tmp_path: Path) -> None:
    with seeded(0):
        weights = at_random(models.get_model(name), tmp_path / "weights.safetensors")
    frames = min(KINETICS_NETWORKS[name].frames, 16)
    window = {} if KINETICS_NETWORKS[name].fixed else {"window_frames": frames}
    config, clip = Clip3D(network=name, weights=weights, rate_fps=25, **window), Clip(VIDEO, (0, frames))
    (cpu,), (cuda,), (again,) = (config.build(device)(clip) for device in ("cpu", "cuda", "cuda"))
    for array in ("features", "kinetics_scores"):
        np.testing.assert_array_equal(again.arrays[array], cuda.arrays[array])
        scale = np.abs(cpu.arrays[array]).max()
        np.testing.assert_allclose(cuda.arrays[array], cpu.arrays[array], rtol=0, atol=1e-3 * scale)


def torch_state(path: str) -> dict[str, torch.Tensor]:
    from extractors.weights.state_dicts import load

    return load(Path(path))


def looks(times: list[float], end: float, rate_fps: float, block_frames: int = 3) -> list[int]:
    """The frames that are looked at of a video whose frames are shown at these times."""
    frames = np.arange(len(times), dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    ends = [*times[1:], end]
    blocks = [
        Block(
            frames[start : start + block_frames],
            start,
            np.array(times[start : start + block_frames]),
            ends[min(start + block_frames, len(times)) - 1],
            25.0,
            {},
        )
        for start in range(0, len(times), block_frames)
    ]
    found = list(shown_at(blocks, rate_fps))
    assert all(int(frame[0, 0, 0]) == number for number, frame in found)
    return [number for number, _ in found]


def test_looks_at_equal_distances() -> None:
    regular = [number / 30 for number in range(30)]
    assert looks(regular, 1.0, 15) == list(range(0, 30, 2))
    assert looks(regular, 1.0, 7.5) == list(range(0, 30, 4))
    assert looks(regular, 1.0, 30) == list(range(30))
    assert looks([0, 0.2, 0.4], 0.6, 10) == [0, 0, 1, 1, 2, 2]  # a slower video's frames are taken again
    assert looks([0, 0.1, 2.0], 2.1, 2) == [0, 1, 1, 1, 2]  # one is shown for long
    assert looks([5.0, 5.5], 6.0, 4) == [0, 0, 1, 1]  # a range of a file
    assert looks([0.0], 0.04, 15) == [0]
    in_milliseconds = [round(number / 30, 3) for number in range(30)]  # as Matroska has them
    assert looks(in_milliseconds, 1.0, 15) == list(range(0, 30, 2))


@settings(max_examples=60, deadline=None)
@given(
    durations=st.lists(st.floats(0.005, 0.5), min_size=1, max_size=20),
    rate=st.floats(1, 60),
    block_frames=st.integers(1, 8),
)
def test_each_look_sees_what_is_shown_then(durations: list[float], rate: float, block_frames: int) -> None:
    starts = np.cumsum([0.0, *durations])
    found = looks(starts[:-1].tolist(), float(starts[-1]), rate, block_frames)
    times = np.arange(len(found)) / rate
    earliest, latest = (np.searchsorted(starts[:-1], times + late, side="right") - 1 for late in (0.99e-3, 1.01e-3))
    assert ((earliest <= found) & (found <= latest)).all()
    last = [k for k in range(len(found) + 2) if k / rate < starts[-1] - 1e-3]
    assert abs(len(found) - len(last)) <= 1


def test_times_of_windows_are_those_of_their_frames(tmp_path: Path) -> None:
    pictures = list(read(VIDEO).frames[:40])
    late = encode(tmp_path / "late.mp4", pictures, times=[number + (50 if number >= 20 else 0) for number in range(40)])
    weights = at_random(models.get_model("mc3_18"), tmp_path / "weights.safetensors")
    config = Clip3D(network="mc3_18", weights=weights, window_frames=15, stride_frames=15)
    (row,) = extracted(config, Clip(late))
    assert row["times"].round(2).tolist() == [0.0, 0.76, 0.76]  # the second and third begin while one is shown for long
    assert row["start_frames"].tolist() == [0, 19, 19]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"network": "r3d_19"}, "network"),
        ({"network": "mvit_v2_s", "window_frames": 8}, "sees windows of 16 frames: leave window_frames out"),
        ({"network": "s3d", "window_frames": 13}, "at least 14"),
        ({"network": "r3d_18", "rate_fps": 0}, "rate_fps"),
        ({"network": "r3d_18", "window_frames": "many"}, "window_frames"),
    ],
)
def test_mistakes(table: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        parse(Clip3D, {"name": "clip3d", **table})
