"""Measures training of TDN from the store, against a bare loop over tensors.

    python benchmarks/tdn_training.py [--json]

As ``tsn_training.py``, with both phases apart. Figures are snippets a second; and of each phase the peak memory of a
process that does nothing else, in MiB: of the GPU, or all that is resident. The peer holds a batch of each example in
memory, and reads none.
"""

import argparse
import multiprocessing
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import torch
from table import Comparison, fastest, options
from table import clips as chosen
from tsn_training import CLASSES, SIZES, Batches, bare, in_memory, stored

from extractors.base import Labelled
from extractors.snippets.finetune import finetune
from extractors.tdn.network import TDNNetwork
from extractors.tdn.training import FittedTDN
from pipeline.training.random_state import seeded

PHASES = ("phase 1", "phase 2")


def started(config: FittedTDN, phase: str) -> TDNNetwork:
    """A new network, as the phase trains it."""
    with seeded(config.seed):
        network = config.build(CLASSES)
    network.freeze_image_backbone(phase == PHASES[0])
    return network


def ours(config: FittedTDN, phase: str, material: Labelled, folder: Path, device: str) -> None:
    """Train in a phase, as ``FittedTDN`` does."""
    checkpoint = folder / "checkpoint.pt"
    examples = config.examples(material)
    finetune(started(config, phase), examples, config.fit, seed=0, device=device, checkpoint=checkpoint)
    checkpoint.unlink()


def peak(side: Callable[[], None], device: str, threads: int) -> float:
    """MiB that a process of its own takes at the most."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_peak, side, device, threads).result()


def _peak(side: Callable[[], None], device: str, threads: int) -> float:
    torch.set_num_threads(threads)
    side()
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    # what getrusage tells would hold the most of the process that this one was forked from, too
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**10


def peer(config: FittedTDN, phase: str, batches: Batches, device: str) -> None:
    """Train in a phase by the bare loop."""
    bare(started(config, phase), config.fit, batches, device)


def main() -> None:
    given, table = options(__doc__ or "", **SIZES | {"clips": 66, "batch": 22, "epochs": 2}, segments=3, layers="fire8")
    torch.set_num_threads(given.threads)
    config = configuration(given)
    with tempfile.TemporaryDirectory() as name:
        material = stored(Path(name), chosen(given.clips), given.short_side, "rgb")
        batches = in_memory(config.examples(material), given.batch, given.device) * given.epochs
        count = len(material.videos) * given.segments * given.epochs
        sizes = f"{count} snippets of {given.crop}x{given.crop}, batches of {given.batch} videos"
        for phase in PHASES:
            title = f"TDN {config.backbone}, {phase}"
            sides = (
                partial(ours, config, phase, material, Path(name), given.device),
                partial(peer, config, phase, batches, given.device),
            )
            seconds = fastest(given.rounds, *sides)
            table.add(
                Comparison(f"{title}; bare loop", *(count / each for each in seconds), "1/s", sizes, given.threads)
            )
            peaks = (peak(side, given.device, given.threads) for side in sides)
            table.add(Comparison(f"{title}, peak memory", *peaks, "MiB", sizes, given.threads))


def configuration(given: argparse.Namespace) -> FittedTDN:
    """Return the configuration of what is trained."""
    fit = {"epochs": given.epochs, "lr": 1e-3, "batch": given.batch, "segments": given.segments}
    return FittedTDN.model_validate(
        {
            **{"modality": "rgb", "backbone": given.backbone, "weights": given.weights, "crop": given.crop},
            **{"layers": given.layers, "conv1_at": "56", "joint": {"epochs": given.epochs}},
            "fit": fit | {"bf16": given.device == "cuda"},
        }
    )


if __name__ == "__main__":
    main()
