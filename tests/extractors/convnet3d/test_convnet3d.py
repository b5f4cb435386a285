from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.signal import correlate

from extractors.base import Labelled, Row
from extractors.convnet3d.config import ConvNet3D, ConvNet3DNetwork, Windows, window_starts
from extractors.convnet3d.network import ConvNet
from extractors.convnet3d.person_boxes import PersonBoxes
from pipeline.config import parse
from pipeline.errors import InputError, UnusableVideo
from pipeline.training.config import Fit
from pipeline.training.precision import deterministic

FIT = Fit(optimiser="sgd", lr=0.02, batch=4, epochs=10)


@pytest.fixture
def network() -> ConvNet:
    """Every parameter random, gains of both signs among them."""
    generator = torch.Generator().manual_seed(1)
    network = ConvNet(classes=6)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def cuboid_row(cuboid: np.ndarray, present: np.ndarray | None = None, mirrored: int = 0) -> Row:
    present = np.ones(len(cuboid), bool) if present is None else present
    attributes = {"fps": 25.0, "frames": len(cuboid), "mirrored": mirrored}
    times = np.arange(len(cuboid)) / 25
    return Row(
        {"cuboid": cuboid.astype(np.float16), "present": present, "times": times, "ends": times + 0.04}, attributes
    )


def moving_bar(step: int, start: int, frames: int = 12) -> np.ndarray:
    cuboid = np.zeros((frames, 54, 34))
    for time in range(frames):
        cuboid[time, :, (start + step * time) % 30 : (start + step * time) % 30 + 4] = 2
    return cuboid


def toy_material(clips: int = 6) -> Labelled:
    rows = [cuboid_row(moving_bar(step, start)) for start in range(0, 5 * clips, 5) for step in (1, -1)]
    return Labelled(rows, [0, 1] * clips, 2, [str(number) for number in range(2 * clips)])


def naive(network: ConvNet, window: np.ndarray) -> dict[str, np.ndarray]:
    """The network by its definition, one map after the other, in float64."""
    weights = {name: value.double().numpy() for name, value in network.state_dict().items()}

    def subsampled(maps: list[np.ndarray], layer: str) -> np.ndarray:
        means = [m.reshape(len(m), m.shape[1] // 2, 2, m.shape[2] // 2, 2).mean((2, 4)) for m in maps]
        scaled = zip(means, weights[f"{layer}.weight"], weights[f"{layer}.bias"], strict=True)
        return np.stack([weight * mean + bias for mean, weight, bias in scaled])

    c1 = [
        gain * np.tanh(correlate(window, kernel, "valid") + bias)
        for kernel, bias, gain in zip(weights["c1.weight"], weights["c1.bias"], weights["s1.gain"], strict=True)
    ]
    s1 = subsampled([np.abs(m) for m in c1], "s1")
    kernels = weights["c2.weight"]  # (map of S1, output, time, height, width)
    sums = [correlate(s1[i], kernels[i, own], "valid") for i in range(7) for own in (0, 1)]
    for i, j in combinations(range(7), 2):
        others = [[k for k in range(7) if k != m] for m in range(7)]
        kernel_i, kernel_j = kernels[i, 2 + others[i].index(j)], kernels[j, 2 + others[j].index(i)]
        sums.append(correlate(s1[i], kernel_i, "valid") + correlate(s1[j], kernel_j, "valid"))
    c2 = [g * np.tanh(m + b) for m, b, g in zip(sums, weights["c2.bias"], weights["s2.gain"], strict=True)]
    s2 = subsampled([np.abs(m) for m in c2], "s2")
    c3 = np.tanh(
        [correlate(s2, k, "valid")[0] + b for k, b in zip(weights["c3.weight"], weights["c3.bias"], strict=True)]
    )
    n1 = np.tanh(weights["n1.weight"] @ c3.ravel() + weights["n1.bias"])
    n2 = weights["n2.weight"] @ n1 + weights["n2.bias"]
    return {"c1": np.abs(c1), "s1": s1, "c2": np.abs(c2), "s2": s2, "c3": c3, "n1": n1, "n2": n2}


def test_parameters_are_those_of_the_paper_part_by_part():
    sizes = {name: parameter.numel() for name, parameter in ConvNet(classes=6).named_parameters()}

    def part(*prefixes: str) -> int:
        return sum(size for name, size in sizes.items() if name.startswith(prefixes))

    assert part("c1.") == 1722
    assert part("c2.") == 4235
    assert part("s1.gain", "s2.gain") == 42
    assert part("s1.weight", "s1.bias", "s2.weight", "s2.bias") == 84
    assert part("c3.") == 4730
    assert part("n1.") == 6050
    assert part("n2.") == 306
    assert sum(sizes.values()) == 17_169


def test_shapes_and_values_follow_the_definition_at_every_layer(network: ConvNet, rng: np.random.Generator):
    window = rng.standard_normal((9, 54, 34))
    seen: dict[str, np.ndarray] = {}
    for name, layer in network.named_children():
        layer.register_forward_hook(lambda _, __, output, name=name: seen.update({name: output[0].numpy()}))
    with torch.no_grad():
        network(torch.from_numpy(window[None].astype(np.float32)), torch.tensor([9]))
    expected = naive(network, window)
    assert {name: value.shape for name, value in seen.items()} == {
        "c1": (7, 5, 48, 28),
        "s1": (7, 5, 24, 14),
        "c2": (35, 3, 20, 10),
        "s2": (35, 3, 10, 5),
        "c3": (5, 1, 8, 3),
        "n1": (50,),
        "n2": (6,),
    }
    for name in ("s1", "s2", "n2"):  # behind C1, C2 with the gain, and everything
        np.testing.assert_allclose(seen[name], expected[name], rtol=1e-4, atol=1e-4, err_msg=name)
    np.testing.assert_allclose(np.tanh(seen["c3"]), expected["c3"], rtol=1e-4, atol=1e-4)


def test_every_parameter_learns(network: ConvNet, rng: np.random.Generator):
    windows = torch.from_numpy(rng.standard_normal((3, 9, 54, 34)).astype(np.float32))
    loss, scores = network.loss(windows, torch.full((3,), 9), torch.tensor([0, 5, 2]))
    loss.backward()
    assert scores.shape == (3, 6)
    assert loss.item() == pytest.approx(-scores.log_softmax(1)[[0, 1, 2], [0, 5, 2]].mean().item())
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_results_do_not_depend_on_the_batch(network: ConvNet, rng: np.random.Generator):
    windows = torch.from_numpy(rng.standard_normal((37, 9, 54, 34)).astype(np.float32))
    with torch.inference_mode():
        together, single = network.features(windows), torch.cat([network.features(one[None]) for one in windows])
        torch.testing.assert_close(together, single, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(network.classify(together), network.classify(single), rtol=1e-3, atol=1e-3)


def test_windows_without_a_person_are_left_out():
    present = np.zeros(40, bool)
    present[[10, 30]] = True
    expected = [start for start in range(32) if present[start : start + 9].any()]
    assert window_starts(present, 1).tolist() == expected == [*range(2, 11), *range(22, 31)]
    assert window_starts(present, 4).tolist() == [4, 8, 24, 28]
    assert window_starts(np.ones(9, bool), 5).tolist() == [0]
    assert window_starts(np.ones(8, bool), 1).size == 0


def test_training_windows(rng: np.random.Generator):
    cuboid = rng.standard_normal((20, 54, 34))
    material = Labelled(
        [
            cuboid_row(cuboid),
            cuboid_row(cuboid[:, :, ::-1], mirrored=1),
            cuboid_row(cuboid[:7]),
            cuboid_row(cuboid, np.zeros(20, bool)),
            cuboid_row(-cuboid[:9]),
        ],
        [2, 2, 0, 1, 1],
        3,
        list("abcde"),
    )
    plain = Windows(material, stride_frames=5, mirror=False, flip=False)
    assert [label for _, label in map(plain.__getitem__, range(len(plain)))] == [2, 2, 2, 1]
    window, _ = plain[1]
    assert window.dtype == np.float32
    np.testing.assert_array_equal(window, cuboid[5:14].astype(np.float16))
    augmented = Windows(material, stride_frames=5, mirror=True, flip=True)
    assert len(augmented) == 2 * (3 + 3 + 1) == len(augmented.lengths)
    assert set(augmented.lengths) == {9}
    assert np.array_equal(augmented[4][0], plain[1][0][:, ::-1])
    assert np.array_equal(augmented[7][0], plain[1][0][:, :, ::-1])
    with pytest.raises(InputError, match="no window of 9 frames with a person"):
        Windows(Labelled(material.rows[2:4], [0, 1], 3, ["a", "b"]), stride_frames=1, mirror=True, flip=False)


def test_it_learns_the_direction_of_motion_and_a_seed_repeats(tmp_path: Path):
    config = ConvNet3DNetwork(fit=FIT, stride_frames=3)
    before = torch.get_rng_state()
    state, curves = config.train(toy_material(), device="cpu", checkpoint=tmp_path / "a")
    assert torch.equal(torch.get_rng_state(), before)
    assert curves.accuracy[-1] == 1
    again, _ = config.train(toy_material(), device="cpu", checkpoint=tmp_path / "b")
    assert all(torch.equal(state[name], again[name]) for name in state)
    save_file(state, tmp_path / "network.safetensors")
    extract = ConvNet3D(network=config).build("cpu", {"0": tmp_path / "network.safetensors"})
    unseen = [cuboid_row(moving_bar(step, start)) for start in (2, 13, 22) for step in (1, -1)]
    votes = [row.arrays["scores"].mean(0).argmax() for row in extract(unseen)]
    assert votes == [0, 1] * 3


def test_extraction(network: ConvNet, tmp_path: Path, rng: np.random.Generator):
    save_file(network.state_dict(), tmp_path / "network.safetensors")
    config = ConvNet3D(network=ConvNet3DNetwork(fit=FIT), stride_frames=2)
    extract = config.build("cpu", {"0": tmp_path / "network.safetensors"})
    cuboid = rng.standard_normal((150, 54, 34))
    rows = [cuboid_row(cuboid), cuboid_row(cuboid[:, :, ::-1], mirrored=1)]
    extracted = list(extract(rows))
    assert len(extracted) == config.variants == 2
    for source, row in zip(rows, extracted, strict=True):
        assert row.attributes == source.attributes
        assert row.arrays["start_frames"].tolist() == list(range(0, 142, 2))
        assert row.arrays["features"].shape == (71, 120)
        assert row.arrays["scores"].shape == (71, 6)
        assert row.arrays["features"].dtype == row.arrays["scores"].dtype == np.float32
        assert row.arrays["ends"][0] == pytest.approx(9 / 25)
        expected = naive(network, source.arrays["cuboid"][132:141].astype(np.float64))
        np.testing.assert_allclose(row.arrays["features"][66], expected["c3"].ravel(), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(row.arrays["scores"][66], expected["n2"], rtol=1e-3, atol=1e-3)
    repeated = next(extract(rows[:1]))
    assert all(np.array_equal(repeated.arrays[name], array) for name, array in extracted[0].arrays.items())


def test_unusable_clips(network: ConvNet, tmp_path: Path):
    save_file(network.state_dict(), tmp_path / "network.safetensors")
    extract = ConvNet3D(network=ConvNet3DNetwork(fit=FIT)).build("cpu", {"0": tmp_path / "network.safetensors"})
    with pytest.raises(UnusableVideo, match="7 frames; the 3D-ConvNet needs 9") as short:
        list(extract([cuboid_row(np.zeros((7, 54, 34)))]))
    assert short.value.frames_decoded == 7
    with pytest.raises(UnusableVideo, match="no window of 9 frames has a person"):
        list(extract([cuboid_row(np.zeros((20, 54, 34)), np.zeros(20, bool))]))


def test_mirrored_training_needs_mirrored_boxes():
    with pytest.raises(InputError, match=r"set network\.mirror = false or boxes\.mirror = true"):
        parse(ConvNet3D, {"boxes": {"mirror": False}, "network": {"fit": {"epochs": 1}}})
    config = ConvNet3D(boxes=PersonBoxes(mirror=False), network=ConvNet3DNetwork(fit=FIT, mirror=False))
    assert config.variants == 1
    assert config.upstream == PersonBoxes(mirror=False)
    assert config.fitted is config.network


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_gpu_agrees_with_cpu(network: ConvNet, rng: np.random.Generator):
    windows = torch.from_numpy(rng.standard_normal((20, 9, 54, 34)).astype(np.float32))
    with torch.inference_mode(), deterministic():
        expected = network.features(windows)
        found, again = (network.to("cuda").features(windows.cuda()).cpu() for _ in range(2))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert torch.equal(again, found)
