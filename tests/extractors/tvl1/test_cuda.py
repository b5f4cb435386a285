"""TV-L1 on CUDA. Without a GPU, Triton's interpreter runs the kernels on the CPU, and its compiler compiles them."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packaging.version import Version

from extractors.tvl1 import cuda as tvl1_cuda
from extractors.tvl1.config import TVL1
from extractors.tvl1.cpu import CPUFlow
from extractors.tvl1.cuda import CUDAFlow
from extractors.tvl1.pyramid import shapes
from pipeline.errors import InputError, lack_of_memory
from tests.support import plain_tvl1

Flow = Callable[..., np.ndarray]

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="needs triton")
needs_interpreter = pytest.mark.skipif(
    find_spec("triton") is None or Version(version("triton")) < Version("3.7"),
    reason="needs triton>=3.7: the interpreter of 3.6 fails with NumPy 2.4",
)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")

SEMANTICS = ["opencv-cpu", "opencv-cuda"]
FAST = {"scales": 2, "warps": 2, "epsilon": 0.1}
HEIGHT, WIDTH = 23, 37
MOTIONS = [(1.2, -0.7), (0, 0), (-0.5, 0.3)]


def texture(height: int, width: int, x: float = 0, y: float = 0) -> np.ndarray:
    """Waves, uint8, moved to the right and down by pixels."""
    row, column = np.mgrid[:height, :width].astype(float)
    row, column = row - y, column - x
    waves = np.sin(column / 2.3 + 1) + np.sin(row / 2.7) + np.sin((column + row) / 4.1) + np.cos((column - row) / 3.7)
    return np.rint(127.5 + 31 * waves).astype(np.uint8)


def moving(height: int, width: int, x: float, y: float) -> np.ndarray:
    return np.stack([texture(height, width), texture(height, width, x, y)])


def _interpret(blocks: tuple[int, int]) -> None:
    os.environ["TRITON_INTERPRET"] = "1"  # Triton reads it when it is imported, hence a process of its own
    tvl1_cuda._BLOCK, tvl1_cuda._NARROW = blocks


def _flow(config: TVL1, pairs: np.ndarray, batch_bytes: int) -> np.ndarray:
    tvl1_cuda.BATCH_BYTES = batch_bytes
    return CUDAFlow(config.parameters, "cpu")(pairs)


@pytest.fixture(scope="module")
def interpreted() -> Iterator[Flow]:
    """Flow by Triton's interpreter, whose time is that of the blocks: the smallest image here has two."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _interpret, ((512, 4096),)) as worker:

        def flow(pairs: np.ndarray, batch_bytes: int = tvl1_cuda.BATCH_BYTES, **fields: Any) -> np.ndarray:
            return worker.submit(_flow, TVL1(**fields), pairs, batch_bytes).result()

        yield flow


def plain(pairs: np.ndarray, **fields: Any) -> np.ndarray:
    return np.stack([plain_tvl1.flow(TVL1(**fields), *pair) for pair in pairs])


@needs_interpreter
@pytest.mark.parametrize("semantics", SEMANTICS)
def test_a_batch_of_unlike_pairs(semantics: str, interpreted: Flow) -> None:
    fields = {**FAST, "semantics": semantics}
    flat = np.full((2, HEIGHT, WIDTH), 77, np.uint8)
    pairs = np.stack([*(moving(HEIGHT, WIDTH, *motion) for motion in MOTIONS), flat])
    flows = interpreted(pairs, **fields)
    assert flows.shape == pairs.shape
    assert flows.dtype == np.float32
    np.testing.assert_allclose(flows, plain(pairs, **fields), rtol=0, atol=1e-3)
    for flow, motion in zip(flows, MOTIONS, strict=False):
        np.testing.assert_allclose(np.median(flow, axis=(1, 2)), motion, atol=0.15)
    assert not flows[MOTIONS.index((0, 0))].any()
    assert not flows[-1].any()

    alone = interpreted(pairs[:1], **fields)
    assert np.array_equal(alone[0], flows[0])
    in_two = interpreted(pairs[::-2], **fields, batch_bytes=1)
    assert np.array_equal(in_two, flows[::-2])


@needs_interpreter
@pytest.mark.parametrize("semantics", SEMANTICS)
@pytest.mark.parametrize(("height", "width"), [(9, 5), (2, 700), (17, 16), (1, 1)])
def test_sizes(height: int, width: int, semantics: str, interpreted: Flow) -> None:
    fields = {"scales": 3, "warps": 1, "epsilon": 0.05, "semantics": semantics}
    pairs = moving(height, width, 0.4, 0.3)[None]
    np.testing.assert_allclose(interpreted(pairs, **fields), plain(pairs, **fields), rtol=0, atol=1e-3)


@needs_interpreter
@pytest.mark.parametrize("semantics", SEMANTICS)
def test_many_iterations(semantics: str, interpreted: Flow) -> None:
    """More than from one median filter to the next, and to the next look at the change."""
    fields = {"warps": 1, "epsilon": 0.025, "semantics": semantics}
    pairs = moving(12, 15, 1, 0)[None]
    np.testing.assert_allclose(interpreted(pairs, **fields), plain(pairs, **fields), rtol=0, atol=1e-3)


@needs_interpreter
@pytest.mark.slow
@pytest.mark.parametrize("semantics", SEMANTICS)
def test_without_an_early_end(semantics: str, interpreted: Flow) -> None:
    fields = {"warps": 2, "epsilon": 0, "semantics": semantics}
    pairs = moving(12, 15, 1.4, -1)[None]
    np.testing.assert_allclose(interpreted(pairs, **fields), plain(pairs, **fields), rtol=0, atol=5e-3)


class StandInDriver:
    """What Triton asks its driver for before it compiles; there is no GPU to ask."""

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _: int) -> int:
        return 0

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)


class Compiling:
    """The kernel, compiled for what it is called with, and not started."""

    def __init__(self, refine: Any) -> None:
        self.refine, self.kernels = refine, list[Any]()

    def __getitem__(self, grid: tuple[int]) -> Callable[..., None]:
        return lambda *arguments, **options: self.kernels.append(self.refine.warmup(*arguments, grid=grid, **options))


@needs_triton
@pytest.mark.parametrize("semantics", SEMANTICS)
def test_the_kernel_compiles_as_it_runs(semantics: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For an H100 or H200, of the very arguments; the interpreter runs what the compiler refuses, too.

    All scales have one kernel, which loads 16 bytes at a time.
    """
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton.runtime import driver

    monkeypatch.setattr(driver, "_active", StandInDriver())
    flow = CUDAFlow(TVL1.model_validate({"semantics": semantics}).parameters, "cpu")
    flow._refine = Compiling(flow._refine)
    flow(moving(60, 84, 1, 0)[None])
    kernels = flow._refine.kernels
    assert len(kernels) == len(shapes(flow.parameters, 60, 84)) == 5
    assert len(set(map(id, kernels))) == 1
    assert kernels[0].asm["cubin"]
    assert "ld.global.v4" in kernels[0].asm["ptx"]
    assert "st.global.v4" in kernels[0].asm["ptx"]


def test_memory_is_bounded() -> None:
    flow = CUDAFlow.__new__(CUDAFlow)
    flow.parameters, flow.batch_bytes = TVL1().parameters, tvl1_cuda.BATCH_BYTES
    pairs = flow.pairs_at_once(240, 320)
    assert pairs > 132  # or some multiprocessors of an H200 would have nothing to do
    assert flow.pairs_at_once(480, 640) == pytest.approx(pairs / 4, abs=1)
    assert flow.pairs_at_once(10**5, 10**5) == 1


class Short(CUDAFlow):
    """Flow of 1 everywhere, on a device whose memory holds a few pairs."""

    def __init__(self, most: int) -> None:
        self.parameters, self.device, self.batch_bytes = TVL1().parameters, torch.device("cpu"), 40 * 4 * 22 * 16 * 16
        self.most, self.sizes = most, list[int]()

    def _flow(self, pairs: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(pairs))
        if len(pairs) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return pairs.float() + 1


def test_a_batch_that_does_not_fit_is_halved_and_so_are_those_after_it() -> None:
    pairs = np.random.default_rng(0).integers(0, 256, (100, 2, 16, 16), np.uint8)
    flow = Short(most=12)
    assert np.array_equal(flow(pairs), pairs.astype(np.float32) + 1)
    assert flow.sizes[:4] == [40, 20, 10, 10]
    assert sum(flow.sizes[2:]) == 100
    assert np.array_equal(flow(pairs[:30]), pairs[:30].astype(np.float32) + 1)
    assert max(flow.sizes[2:]) == flow.pairs_at_once(16, 16) == 10


def test_a_pair_that_does_not_fit_is_a_lack_of_memory_in_a_sentence() -> None:
    flow = Short(most=0)
    with pytest.raises(torch.OutOfMemoryError) as caught:
        flow(np.zeros((100, 2, 16, 16), np.uint8))
    assert flow.sizes == [40, 20, 10, 5, 2, 1]
    assert lack_of_memory(caught.value) is caught.value


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "extractors.tvl1.cuda_kernels", raising=False)
    with pytest.raises(InputError, match="Triton"):
        CUDAFlow(TVL1().parameters, "cuda")


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("semantics", SEMANTICS)
@pytest.mark.parametrize(("height", "width"), [(240, 320), (256, 340), (121, 159)])
def test_the_gpu_agrees_with_the_cpu(height: int, width: int, semantics: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TVL1.model_validate({"semantics": semantics})
    pairs = np.stack([moving(height, width, step / 4, step / -8) for step in range(8)])
    flows = CUDAFlow(config.parameters, "cuda")(pairs)
    ends = np.hypot(*(flows - CPUFlow(config.parameters)(pairs)).swapaxes(0, 1))
    assert ends.mean() < 0.01  # a pair may end an iteration sooner
    assert (ends < 0.1).mean() > 0.99
    assert not flows[0].any()
    monkeypatch.setattr(tvl1_cuda, "BATCH_BYTES", 3 * 100 * height * width)
    assert np.array_equal(CUDAFlow(config.parameters, "cuda")(pairs[::-1])[::-1], flows)


@pytest.mark.gpu
@needs_cuda
def test_a_gpu_that_is_nearly_full_computes_the_same_flow() -> None:
    """In smaller batches: 200 pairs need some 170 MB at once."""
    pairs = np.stack([moving(100, 100, step / 100, 0) for step in range(200)])
    flow = CUDAFlow(TVL1(scales=1, warps=1).parameters, "cuda")
    expected = flow(pairs)
    before = flow.pairs_at_once(100, 100)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (60 << 20)) / total)
    try:
        assert np.array_equal(flow(pairs), expected)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert flow.pairs_at_once(100, 100) < before
