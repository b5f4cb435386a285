"""Parts that measure whole stages on real clips: extraction by several processes, and fine-tuning from the store."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from measuring import Measuring, watched

EXTRACTORS = ("tsn10", "c3d", "tsn1", "tvl1")
"""Names of the extractors that are measured, as ``config`` takes them."""


def extraction(on: Measuring) -> None:
    """Measure extraction of rows from real clips, by one process and by several that share the device."""
    for name in EXTRACTORS:
        for processes in (1,) if on.small else (1, 4) if name == "c3d" else (1, 8):
            with on.guarded(extractor=name, processes=processes):
                _extract(on, name, processes)


def _extract(on: Measuring, name: str, processes: int) -> None:
    config(name, small=on.small)  # whose weights all processes read
    command = [sys.executable, str(Path(__file__).with_name("worker.py")), name, on.device, str(on.seconds)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command += ["--small"] if on.small else []
    workers = [subprocess.Popen(command, **pipes) for _ in range(processes)]
    began = time.monotonic()
    try:
        for worker in workers:
            if worker.stdout.readline() != "ready\n":
                raise RuntimeError("a worker ended before it was ready")
        ready_s = time.monotonic() - began
        with watched() as busy:
            began = time.monotonic()
            for worker in workers:
                worker.stdin.write("go\n")
                worker.stdin.flush()
            done = [[int(number) for number in worker.stdout.readline().split()] for worker in workers]
            took_s = time.monotonic() - began
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    rows, videos = np.sum(done, axis=0).tolist()
    rates = {"time_steps_s": rows / took_s, "videos_s": videos / took_s}
    on.say(extractor=name, processes=processes, ready_s=ready_s, **rates, **busy)


def config(name: str, *, small: bool):
    """Return an extractor's configuration, with random weights where it needs any."""
    from extractors.c3d.config import C3D
    from extractors.tsn.config import TSN
    from extractors.tvl1.config import TVL1
    from pipeline.config import parse

    if name == "tvl1":
        return TVL1()
    if name == "c3d":
        return parse(C3D, {"weights": _weights("c3d")})
    network = {"backbone": "resnet50", "weights": _weights("resnet50")}
    snippets = {"snippets": 1} if small else {}
    return parse(TSN, {"network": network, "crops": int(name.removeprefix("tsn")), **snippets})


def _weights(kind: str) -> str:
    from safetensors.torch import save_file

    from extractors.backbones.registry import BACKBONES
    from extractors.c3d.network import C3DNetwork

    file = Path(tempfile.gettempdir()) / f"{kind}-random.safetensors"
    if not file.exists():
        torch.manual_seed(0)
        save_file((C3DNetwork() if kind == "c3d" else BACKBONES[kind](channels=3)).state_dict(), file)
    return str(file)


def finetune(on: Measuring) -> None:
    """Measure snippets a second of a fine-tuning, by the number of processes that read them."""
    from table import clips
    from tsn_training import stored

    from extractors.base import Labelled
    from pipeline.training.sequences import StoredRows

    paths, short_side = (clips(4), 72) if on.small else (clips(24), 256)
    with tempfile.TemporaryDirectory() as folder:
        few = stored(Path(folder), paths, short_side, "rgb")
        times = 2 if on.small else 16  # as many batches an epoch as keep all loaders busy
        videos = list(few.videos) * times
        rows, labels = StoredRows(few.rows.store, videos), list(few.labels) * times
        for loaders in (1,) if on.small else (1, 6, 14):
            with on.guarded(loaders=loaders):
                material = Labelled(rows, labels, few.classes, videos, preparers=loaders)
                _finetune(on, loaders, material, Path(folder) / "checkpoint.pt")


def _finetune(on: Measuring, loaders: int, material, checkpoint: Path) -> None:
    """The rate of the epochs after the first, which starts the loaders."""
    from extractors.tsn.training import FittedTSN

    backbone, crop, batch = ("squeezenet1_0", 64, 4) if on.small else ("resnet50", 224, 32)
    network = {"modality": "rgb", "backbone": backbone, "weights": _weights(backbone), "crop": crop}
    epochs, took_s = (1, 2) if on.small else (1, 6), []
    for count in epochs:
        fit = {"epochs": count, "lr": 1e-3, "batch": batch, "bf16": on.device == "cuda"}
        config = FittedTSN.model_validate({**network, "fit": fit})
        began = time.monotonic()
        with watched() as busy:
            config.train(material, device=on.device, checkpoint=checkpoint)
        took_s.append(time.monotonic() - began)
        checkpoint.unlink()
    snippets = 3 * len(material.labels) * (epochs[1] - epochs[0])
    rate = snippets / (took_s[1] - took_s[0])
    on.say(backbone=backbone, crop=crop, loaders=loaders, snippets_s=rate, start_s=took_s[0], **busy)
