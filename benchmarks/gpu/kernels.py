"""Parts that measure computation alone: the device itself, flow, networks, the recurrence, HOG3D."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import Measuring

BLOCKS = ((4096, 1024, 32), (2048, 512, 16), (2048, 1024, 32), (1024, 256, 8))
"""Block sizes of TV-L1's kernels: pixels while they iterate and elsewhere, and warps. The first is the default."""


def smoke(on: Measuring) -> None:
    """Print versions, the device's memory, and the device that the settings choose."""
    import cv2
    import numba
    import triton

    from tasks import settings

    versions = {module.__name__: module.__version__ for module in (torch, triton, np, numba, cv2)}
    listed = Path("/proc/driver/nvidia/gpus").exists()
    on.say(python=sys.version.split()[0], **versions, cores=os.cpu_count(), proc_gpus=listed)
    if on.device == "cuda":
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
    on.say(device_setting_auto=settings.device())


def tvl1(on: Measuring) -> None:
    """Measure TV-L1's distance from the CPU's flow, and its rate by sizes of batch and blocks."""
    for size in ((40, 32),) if on.small else ((320, 240), (340, 256)):
        pairs = _real_pairs(size, 4 if on.small else 1056)
        for semantics in ("opencv-cpu", "opencv-cuda"):
            _flow(on, size, semantics, pairs)


def _real_pairs(size: tuple[int, int], count: int) -> np.ndarray:
    """Consecutive grey frames of real clips, (count, 2, height, width) uint8, in random order."""
    import cv2
    from table import clips

    from pipeline.video.decode import read

    pairs = []
    for path in clips(24):
        frames = [cv2.resize(frame, size) for frame in read(path, colour="grey", frames=(0, 60)).frames]
        pairs += [np.stack(pair) for pair in pairwise(frames)]
    drawn = np.stack(pairs)[np.random.default_rng(0).permutation(len(pairs))]
    return np.concatenate([drawn] * (-(-count // len(drawn))))[:count]


def _flow(on: Measuring, size: tuple[int, int], semantics: str, pairs: np.ndarray) -> None:
    from extractors.tvl1 import cuda
    from extractors.tvl1.config import TVL1
    from extractors.tvl1.cpu import CPUFlow

    parameters = TVL1.model_validate({"semantics": semantics, "size_px": size}).parameters
    where = {"size": f"{size[0]}x{size[1]}", "semantics": semantics}
    flow = cuda.CUDAFlow(parameters, on.device)
    began = time.perf_counter()
    few = flow(pairs[:4])
    on.say(**where, first_call_s=time.perf_counter() - began)
    apart_px = np.hypot(*(few - CPUFlow(parameters)(pairs[:4])).swapaxes(0, 1))
    on.say(**where, px_from_cpu=float(apart_px.mean()), share_within_0_1=float((apart_px < 0.1).mean()))
    on.say(**where, default_batch=flow.pairs_at_once(size[1], size[0]))
    for blocks in BLOCKS if where == {"size": "320x240", "semantics": "opencv-cpu"} else BLOCKS[:1]:
        cuda._BLOCK, cuda._NARROW, cuda._WARPS = blocks
        counts = (1, 33, 132, 264, 270, 528, 1056) if blocks == BLOCKS[0] else (132, 264, 528)
        for count in (2, 4) if on.small else counts:
            with on.guarded(**where, blocks=blocks, pairs=count):
                batch = torch.tensor(pairs[:count], device=on.device)
                took_s = on.median_s(partial(flow._flow, batch), rounds=3, warm=1)
                on.say(**where, blocks=blocks, pairs=count, gpu_pairs_s=count / took_s)
    cuda._BLOCK, cuda._NARROW, cuda._WARPS = BLOCKS[0]
    some = pairs[:200]
    took_s = on.median_s(lambda: flow(some), rounds=2, warm=1)
    on.say(**where, pairs=len(some), transfers_included_pairs_s=len(some) / took_s)


def networks(on: Measuring) -> None:
    """Measure ResNet-50's crops and C3D's clips a second, by precision, choice of algorithms and memory layout."""
    from extractors.backbones.normalisation import Normalise
    from extractors.backbones.registry import BACKBONES
    from extractors.c3d.network import C3DNetwork

    backbone = BACKBONES["resnet50"](channels=3).eval().to(on.device)
    normalise = Normalise(backbone.normalisation, "rgb").to(on.device)

    def crops(count: int, memory: torch.memory_format) -> Callable[[], object]:
        pictures = torch.randint(0, 256, (count, 224, 224, 3), dtype=torch.uint8, device=on.device)
        return lambda: backbone.pooled(normalise(pictures).contiguous(memory_format=memory))

    layouts = (torch.channels_last, torch.contiguous_format)
    sizes = {"ieee, repeatable": (25, 50, 250), "tf32, fastest": (25, 50, 250)}
    _rates(on, "resnet50", backbone, crops, layouts, sizes, (250,))

    with torch.device(on.device):
        c3d = C3DNetwork().eval()

    def clips(count: int, memory: torch.memory_format) -> Callable[[], object]:
        inputs = torch.randn(count, 3, 16, 112, 112, device=on.device).to(memory_format=memory)
        return lambda: c3d.features(inputs, "fc6")

    _rates(
        on, "c3d", c3d, clips, (torch.contiguous_format, torch.channels_last_3d), {"ieee, repeatable": (8, 32)}, (32,)
    )


def _rates(
    on: Measuring,
    name: str,
    network: torch.nn.Module,
    forward: Callable[[int, torch.memory_format], Callable[[], object]],
    layouts: tuple[torch.memory_format, ...],
    batches: dict[str, tuple[int, ...]],
    usual: tuple[int, ...],
) -> None:
    """One line a layout, mode and size of batch: those of ``batches``, or the ``usual``."""
    kind = torch.device(on.device).type
    for memory in layouts:
        network.to(memory_format=memory)
        for mode, context, bf16 in _modes():
            for count in (1,) if on.small else batches.get(mode, usual):
                what = {"network": name, "mode": mode, "layout": str(memory).partition(".")[2], "batch": count}
                precision = torch.autocast(kind, torch.bfloat16, enabled=bf16)
                with on.guarded(**what), torch.inference_mode(), context(), precision:
                    on.say(**what, inputs_s=count / on.median_s(forward(count, memory), rounds=3))


def _modes() -> Iterator[tuple[str, Callable[[], AbstractContextManager[None]], bool]]:
    """A name, how cuDNN is told, and whether in bfloat16: first as extraction does it, then as training does."""
    from pipeline.training.precision import fastest, repeatable

    yield "ieee, repeatable", repeatable, False
    yield "ieee, fastest", partial(fastest, tf32=False), False
    yield "tf32, fastest", partial(fastest, tf32=True), False
    yield "bf16, fastest", partial(fastest, tf32=True), True


def drnn(on: Measuring) -> None:
    """Measure training step and inference of dRNNs beside ``torch.nn.LSTM``, and inference as one CUDA graph."""
    from sequence_models.drnn import DRNN
    from sequence_models.networks.recurrence import unroll

    steps, features, state = (10, 30, 20) if on.small else (50, 450, 300)
    for batch in (4,) if on.small else (32, 256):
        inputs = torch.randn(steps, batch, features, device=on.device)
        lstm = torch.nn.LSTM(features, state).to(on.device)
        sides: dict[str, tuple[Callable[[], torch.Tensor], list[Any]]] = {
            "nn.LSTM": (lambda lstm=lstm, inputs=inputs: lstm(inputs)[0], list(lstm.parameters()))
        }
        for order, readout in ((2, "literal"), (0, "literal"), (2, "linear")):
            config = DRNN.model_validate({"order": order, "state": state, "readout": readout})
            weights = config.network(features, 6).to(on.device).recurrence()
            name = f"dRNN-{order} {readout}"
            sides[name] = partial(unroll, inputs, weights, "dos"), list(weights)
            if on.device == "cuda":
                with on.guarded(what=f"{name}, CUDA graph", batch=batch), torch.inference_mode():
                    _graph(on, f"{name}, CUDA graph", inputs, weights)
        for name, (outputs, parameters) in sides.items():
            with on.guarded(what=name, batch=batch):
                training_s = on.median_s(partial(_step, outputs, parameters), 10)
                with torch.inference_mode():
                    inference_s = on.median_s(outputs, 10)
                on.say(what=name, batch=batch, training_ms=training_s * 1e3, inference_ms=inference_s * 1e3)


def _step(outputs: Callable[[], torch.Tensor], parameters: list[torch.Tensor]) -> object:
    return torch.autograd.grad(outputs()[-1].square().mean(), parameters)


def _graph(on: Measuring, name: str, inputs: torch.Tensor, weights: Any) -> None:
    from sequence_models.networks.recurrence import forward

    run = partial(forward, inputs, weights, history=False)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = run().outputs
    graph.replay()
    on.wait()
    off = float((outputs - run().outputs).abs().max())
    on.say(what=name, batch=inputs.shape[1], inference_ms=on.median_s(graph.replay, 20) * 1e3, off=off)


def hog3d(on: Measuring) -> None:
    """Measure dense HOG3D of KTH's size."""
    from hog3d import moving_texture, ours

    frames = 64 if on.small else 1024
    took_s = on.median_s(ours(moving_texture(frames), on.device), 3, 1)
    on.say(frames_s=frames / took_s, size="160x120, 56 x 1000")
