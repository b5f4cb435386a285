"""Parts that measure computation alone: the device itself, flow, networks, HOG3D, mixtures of Gaussians."""

import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from itertools import pairwise
from typing import get_args

import cv2
import numpy as np
import torch
from footage import clips
from hog3d import moving_texture, ours
from measuring import Measuring

from extractors.backbones.normalisation import Normalise
from extractors.backbones.registry import BACKBONES
from extractors.c3d.network import C3DNetwork
from extractors.trajectories import gmm
from extractors.tvl1 import cuda
from extractors.tvl1.config import TVL1
from extractors.tvl1.cpu import CPUFlow
from pipeline.training import devices
from pipeline.training.precision import deterministic, fastest
from pipeline.video.decode import read

BLOCKS = ((4096, 1024, 32), (2048, 512, 16), (2048, 1024, 32), (1024, 256, 8))
"""Block sizes of TV-L1's kernels: pixels while they iterate and elsewhere, and warps. The first is the default."""
SEMANTICS = get_args(TVL1.model_fields["semantics"].annotation)


def smoke(on: Measuring) -> None:
    """Say versions, the device's memory, and the device that the settings choose."""
    modules = map(importlib.import_module, ("torch", "triton", "numpy", "numba", "cv2"))
    versions = {module.__name__: module.__version__ for module in modules}
    signs = ", ".join(sign for sign in devices.SIGNS if os.path.exists(sign)) or "none"
    on.say(python=sys.version.split()[0], **versions, cores=os.cpu_count(), signs_of_a_gpu=signs)
    on.say(device_of_auto=devices.choose("auto"), clips=clips(small=on.small)[0])
    if on.device != "cuda":
        return
    device = torch.cuda.get_device_properties(0)
    source = torch.empty(2**30, device="cuda")
    target = torch.empty_like(source)
    copy_s = on.median_s(lambda: target.copy_(source))
    l2_mib = device.L2_cache_size / 2**20
    on.say(gpu=device.name, sms=device.multi_processor_count, l2_mib=l2_mib, copy_tb_s=2**33 / copy_s / 1e12)
    host = torch.empty(2**28, dtype=torch.uint8)
    for name, memory in (("pageable", host), ("pinned", host.pin_memory())):
        copy_s = on.median_s(partial(source.view(torch.uint8)[: 2**28].copy_, memory))
        on.say(host_memory=name, to_device_gb_s=2**28 / copy_s / 1e9)


def tvl1(on: Measuring) -> None:
    """Measure TV-L1's distance from the CPU's flow, and its rate by semantics, size, batch and blocks."""
    for size in ((40, 32),) if on.small else ((320, 240), (340, 256), (640, 480)):
        pairs = _pairs(size, on)
        for semantics in SEMANTICS:
            with on.guarded(size=f"{size[0]}x{size[1]}", semantics=semantics):
                _flow(on, size, semantics, pairs)


def _pairs(size: tuple[int, int], on: Measuring) -> np.ndarray:
    """Return consecutive grey frames of clips, (count, 2, height, width) uint8, in random order."""
    pairs = []
    for path in clips(small=on.small)[1]:
        frames = [cv2.resize(frame, size) for frame in read(path, colour="grey", frames=(0, 60)).frames]
        pairs += [np.stack(pair) for pair in pairwise(frames)]
    drawn = np.random.default_rng(0).choice(len(pairs), 4 if on.small else 1056)
    return np.stack([pairs[place] for place in drawn])


def _flow(on: Measuring, size: tuple[int, int], semantics: str, pairs: np.ndarray) -> None:
    quick = {"scales": 1, "warps": 1, "epsilon": 0.2} if on.small else {}
    parameters = TVL1.model_validate({"semantics": semantics, "size_px": size, **quick}).parameters
    where = {"size": f"{size[0]}x{size[1]}", "semantics": semantics}
    flow, few = cuda.CUDAFlow(parameters, on.device), pairs[: 2 if on.small else 4]
    began = time.perf_counter()
    found = flow(few)
    first_call_s = time.perf_counter() - began
    off_px = np.hypot(*(found - CPUFlow(parameters)(few)).swapaxes(0, 1))
    within = float((off_px < 0.1).mean())
    at_once = flow.pairs_at_once(size[1], size[0])
    on.say(**where, first_call_s=first_call_s, off_px=float(off_px.mean()), within_0_1_px=within, at_once=at_once)
    for blocks in BLOCKS if size == (320, 240) and semantics == SEMANTICS[0] else BLOCKS[:1]:
        _rates_by_batch(on, flow, pairs, blocks, where)
    if not on.small:
        took_s = on.median_s(lambda: flow(pairs[:264]), rounds=1, warm=0)
        on.say(**where, pairs=264, with_transfers_pairs_s=264 / took_s)


def _rates_by_batch(
    on: Measuring, flow: cuda.CUDAFlow, pairs: np.ndarray, blocks: tuple[int, int, int], where: dict[str, str]
) -> None:
    """Say pairs a second by the size of a batch: multiples of an H200's 132 multiprocessors, and others."""
    default = BLOCKS[0]
    counts = (1, 33, 132, 264, 270, 528, 1056) if blocks == default and where["size"] == "320x240" else (132, 264, 528)
    try:
        cuda._BLOCK, cuda._NARROW, cuda._WARPS = blocks
        for count in (2,) if on.small else counts:
            with on.guarded(**where, blocks=str(blocks), pairs=count):
                batch = torch.tensor(pairs[:count], device=on.device)
                took_s = on.median_s(partial(flow._flow, batch), rounds=2, warm=1)
                on.say(**where, blocks=str(blocks), pairs=count, pairs_s=count / took_s)
    finally:
        cuda._BLOCK, cuda._NARROW, cuda._WARPS = default


def networks(on: Measuring) -> None:
    """Measure inputs a second of networks, by precision, choice of algorithms and memory layout."""
    for name in ("squeezenet1_0",) if on.small else ("resnet50", "bn_inception"):
        backbone = BACKBONES[name](channels=3).eval().to(on.device)
        normalise = Normalise(backbone.normalisation, "rgb").to(on.device)

        def crops(count: int, memory: torch.memory_format) -> Callable[[], object]:
            pictures = torch.randint(0, 256, (count, 224, 224, 3), dtype=torch.uint8, device=on.device)
            return lambda: backbone.pooled(normalise(pictures).contiguous(memory_format=memory))  # noqa: B023 (used here)

        _rates(on, name, backbone, crops, (torch.channels_last, torch.contiguous_format), (25, 250))
    with torch.device(on.device):
        c3d = C3DNetwork().eval()

    def windows(count: int, memory: torch.memory_format) -> Callable[[], object]:
        inputs = torch.randn(count, 3, 16, 112, 112, device=on.device).to(memory_format=memory)
        return lambda: c3d.features(inputs, "fc6")

    _rates(on, "c3d", c3d, windows, (torch.contiguous_format, torch.channels_last_3d), (8, 32))


def _rates(
    on: Measuring,
    name: str,
    network: torch.nn.Module,
    forward: Callable[[int, torch.memory_format], Callable[[], object]],
    layouts: tuple[torch.memory_format, ...],
    batches: tuple[int, ...],
) -> None:
    """Say one line a layout, mode and size of batch; the first layout is the one that is used."""
    kind = torch.device(on.device).type
    for memory in layouts:
        network.to(memory_format=memory)
        for mode, context, bf16 in _modes():
            for count in (1,) if on.small else batches:
                what = {"network": name, "mode": mode, "layout": str(memory).partition(".")[2], "batch": count}
                autocast = torch.autocast(kind, torch.bfloat16, enabled=bf16)
                with on.guarded(**what), torch.inference_mode(), context(), autocast:
                    on.say(**what, inputs_s=count / on.median_s(forward(count, memory), rounds=3))


def _modes() -> Iterator[tuple[str, Callable[[], AbstractContextManager[None]], bool]]:
    """Yield a name, how CUDA is told, and whether in bfloat16: first as extraction does it, then as training does."""
    yield "ieee, deterministic", deterministic, False
    yield "ieee, fastest", partial(fastest, tf32=False), False
    yield "tf32, fastest", partial(fastest, tf32=True), False
    yield "bf16, fastest", partial(fastest, tf32=True), True


def hog3d(on: Measuring) -> None:
    """Measure dense HOG3D of KTH's size."""
    frames = 40 if on.small else 1024
    took_s = on.median_s(ours(moving_texture(frames), on.device), 3, 1)
    on.say(size="160x120, 56 x 1000", frames_s=frames / took_s)


def fisher(on: Measuring) -> None:
    """Measure an iteration of expectation maximisation for Fisher vectors, by the size of a block, and on the CPU."""
    count, dim, gaussians = (2000, 8, 4) if on.small else (256_000, 48, 256)
    rng = torch.Generator().manual_seed(0)
    samples = torch.randn(count, dim, generator=rng)
    weights = torch.full((gaussians,), 1 / gaussians, dtype=torch.float64)
    means = torch.randn(gaussians, dim, dtype=torch.float64, generator=rng)
    mixture = gmm.Mixture(weights, means, torch.ones_like(means))
    on.say(device="cpu", block=gmm.BLOCK, iteration_s=on.median_s(lambda: mixture.moments(samples), rounds=1, warm=0))
    there = gmm.Mixture(*(tensor.to(on.device) for tensor in (mixture.weights, mixture.means, mixture.variances)))
    samples, default = samples.to(on.device), gmm.BLOCK
    try:
        for gmm.BLOCK in (default,) if on.small else (default, 16 * default, 256 * default):
            with on.guarded(device=on.device, block=gmm.BLOCK):
                took_s = on.median_s(lambda: there.moments(samples), rounds=3, warm=1)
                on.say(device=on.device, block=gmm.BLOCK, iteration_s=took_s)
    finally:
        gmm.BLOCK = default
