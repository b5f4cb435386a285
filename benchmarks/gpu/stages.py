"""Parts that measure whole stages: extraction to sealed stores, fine-tuning from the store, and what starting costs."""

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from configurations import TABLES, extractor, random_weights
from footage import clips
from measuring import Measuring, watched
from tsn_training import stored

from extractors.base import Labelled
from extractors.tsn.training import FittedTSN
from pipeline.training.sequences import StoredRows

DECODERS = (1, 4, 8)
"""Numbers of processes that decode and prepare."""
SECONDS = 3.0
"""That each number of them extracts."""


def extraction(on: Measuring) -> None:
    """Measure extraction to sealed stores, and how busy the device is, by the number of processes that decode.

    They prepare for one network; where an extractor has none, each is a process of its own that extracts.
    """
    source, _ = clips(small=on.small)
    for name in ("C3D", "TV-L1") if on.small else TABLES:
        with on.guarded(extractor=name):
            _extract(on, name, source)


def _extract(on: Measuring, name: str, source: str) -> None:
    """Start as many processes as are needed at most, and have ever more of them work."""
    extractor(name, small=on.small)  # whose weights all processes read
    command = [sys.executable, str(Path(__file__).with_name("worker.py")), name, on.device]
    command += ["--small"] if on.small else []
    most = 1 if on.small else max(DECODERS)
    began = time.monotonic()
    with ExitStack() as ends:
        workers = [_started(command, ends)]
        fed = _said(workers[0]) == "network\n"
        if not fed:
            others = [_started(command, ends) for _ in range(most - 1)]
            workers += [worker for worker in others if _said(worker)]
        ready_s = time.monotonic() - began
        for decoders in (1,) if on.small else DECODERS:
            at_work, beside = (workers, decoders) if fed else (workers[:decoders], 0)
            _rates(at_work, 0.0, beside)  # starts those that decode
            with watched() as busy:
                figures = _rates(at_work, 0.0 if on.small else SECONDS, beside)
            on.say(extractor=name, clips=source, decoders=decoders, **figures, **busy, ready_s=ready_s)


def _started(command: list[str], ends: ExitStack) -> "subprocess.Popen[str]":
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ends.callback(worker.wait)
    ends.callback(worker.kill)
    return worker


def _said(worker: "subprocess.Popen[str]") -> str:
    """Return the next line that a worker says."""
    line = worker.stdout.readline() if worker.stdout else ""
    if not line:
        raise RuntimeError(f"a worker ended with code {worker.wait()}")
    return line


def _rates(workers: "list[subprocess.Popen[str]]", seconds: float, beside: int) -> dict[str, float]:
    """Have workers extract at the same time, each with processes beside it; return time steps and videos a second."""
    began = time.monotonic()
    for worker in workers:
        worker.stdin.write(f"{seconds} {beside}\n")
        worker.stdin.flush()
    done = [[int(number) for number in _said(worker).split()] for worker in workers]
    took_s = time.monotonic() - began
    time_steps, videos = np.sum(done, axis=0).tolist()
    return {"time_steps_s": time_steps / took_s, "videos_s": videos / took_s}


def finetune(on: Measuring) -> None:
    """Measure snippets a second of a fine-tuning, by the number of processes that read them."""
    source, paths = clips(small=on.small)
    with tempfile.TemporaryDirectory() as folder:
        few = stored(Path(folder), paths, 72 if on.small else 256, "rgb")
        times = 2 if on.small else 8  # as many batches an epoch as keep all loaders busy
        videos = list(few.videos) * times
        rows, labels = StoredRows(few.rows.store, videos), list(few.labels) * times
        checkpoint = Path(folder) / "checkpoint.pt"
        alone = Labelled(rows, labels, few.classes, videos)
        _trained_s(on, 1, alone, checkpoint)  # finds the fastest algorithms, and the files in the cache
        for loaders in (1,) if on.small else (14, 6, 1):
            with on.guarded(loaders=loaders):
                _finetune(on, loaders, replace(alone, preparers=loaders), checkpoint, source)


def _finetune(on: Measuring, loaders: int, material: Labelled, checkpoint: Path, source: str) -> None:
    """Say the rate of the epochs after the first, which starts the loaders."""
    epochs = 2 if on.small else 4
    first_s = _trained_s(on, 1, material, checkpoint)
    with watched() as busy:
        all_s = _trained_s(on, epochs, material, checkpoint)
    rest_s = all_s - first_s
    rate = 3 * len(material.labels) * (epochs - 1) / rest_s if rest_s > 0 else None  # less than two runs differ by
    on.say(clips=source, loaders=loaders, snippets_s=rate, first_epoch_s=first_s, **busy)


def _trained_s(on: Measuring, epochs: int, material: Labelled, checkpoint: Path) -> float:
    """Fine-tune for some epochs of three snippets a video, and return the seconds that it took."""
    backbone, crop, batch = ("squeezenet1_0", 64, 2) if on.small else ("resnet50", 224, 32)
    fit = {"epochs": epochs, "lr": 1e-3, "batch": batch, "segments": 3, "bf16": on.device == "cuda"}
    network = {"modality": "rgb", "backbone": backbone, "weights": random_weights(backbone), "crop": crop}
    config = FittedTSN.model_validate({**network, "fit": fit})
    began = time.monotonic()
    config.train(material, device=on.device, checkpoint=checkpoint)
    took_s = time.monotonic() - began
    checkpoint.unlink()
    return took_s


STARTING = """
import sys, time
began = time.monotonic()
def lap(name):
    global began
    now = time.monotonic()
    print(f"{name}={now - began:.4f}", end=" ")
    began = now
import tasks
lap("tasks_s")
import torch
lap("torch_s")
torch.ones(1, device=sys.argv[2]).sum().item()
lap("device_s")
from configurations import extractor
from footage import clips
from extractors.base import Clip
small = sys.argv[3:] == ["--small"]
config, (_, videos) = extractor(sys.argv[1], small=small), clips(small=small)
extract = config.build(sys.argv[2])
lap("network_s")
for name in ("first_video_s", "second_video_s"):
    for _ in extract(Clip(videos[0])):
        pass
    lap(name)
"""
"""A process of a shard: what it imports and sets up before its first row, and the row itself, twice."""


def startup(on: Measuring) -> None:
    """Measure what a process costs that extracts one shard, step by step."""
    for name in ("TV-L1",) if on.small else ("ResNet-50, 10 crops", "TV-L1"):
        with on.guarded(extractor=name):
            extractor(name, small=on.small)
            options = ["--small"] if on.small else []
            command = [sys.executable, "-c", STARTING, name, on.device, *options]
            said = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent)
            if said.returncode:
                raise RuntimeError(said.stderr.splitlines()[-1])
            laps = dict(lap.split("=") for lap in said.stdout.split())
            on.say(extractor=name, **{lap: float(seconds) for lap, seconds in laps.items()})
