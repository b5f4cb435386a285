"""Measures fine-tuning of TSN from the store, against a bare loop over tensors.

    python benchmarks/tsn_training.py [--json]

Ours is what ``FitExtractor`` does: real frames, and as many grey ones in place of flow, are read from the store picture
by picture, cropped, resized, mirrored, batched and trained on by ``pipeline.training.loop``, with a checkpoint at the
end. The peer has every batch in memory and does nothing but forward, backward, clipping and the optimiser's step, with
the same network. Figures are snippets a second.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from store import sealed
from table import Comparison, Table, clips, fastest, options, shared

from extractors.base import Clip, Labelled, Row
from extractors.frames import Frames
from extractors.pictures import Encoding, Spool, picture
from extractors.snippets.finetuning import Finetuning
from extractors.snippets.modality import Modality
from extractors.snippets.training_data import TrainingSnippets
from extractors.tsn.network import TSNNetwork
from extractors.tsn.training import FittedTSN
from pipeline.store import Store
from pipeline.training.optimisers import groups
from pipeline.training.random_state import seeded
from pipeline.training.sequences import StoredRows

CLASSES = 11
SIZES = {
    "clips": 22,
    "epochs": 4,
    "crop": 112,
    "short_side": 128,
    "batch": 11,
    "backbone": "squeezenet1_0",
    "weights": str(shared() / "weights" / "squeezenet1_0-imagenet.safetensors"),
    "device": "cpu",
    "threads": 2,
    "rounds": 2,
}
Batches = list[tuple[torch.Tensor, torch.Tensor]]


def rows(paths: list[Path], short_side: int, modality: Modality, encoding: Encoding) -> Iterator[tuple[str, Row]]:
    """Yield each video's frames as they are stored, or their grey values in the form of flow."""
    for path in paths:
        (frames,) = Frames(short_side=short_side).build("cpu")(Clip(path))
        yield path.stem, frames if modality == "rgb" else flow_like(frames, encoding)


def flow_like(frames: Row, encoding: Encoding) -> Row:
    """Return the frames' grey values in the layout of ``tvl1``."""
    starts = frames.arrays["start_frames"]
    spools = [Spool(name, encoding, 95) for name in ("x", "y")]
    for number in range(len(starts)):
        for spool in spools:
            spool.add(cv2.cvtColor(picture(frames.arrays, "frames", number), cv2.COLOR_RGB2GRAY))
    return Row({**spools[0].arrays(), **spools[1].arrays(), "start_frames": starts}, frames.attributes)


def bare(network: Any, fit: Finetuning, batches: Batches, device: str) -> None:
    """Train on each batch once."""
    network.to(device).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.SGD(groups(network, fit), lr=fit.lr, momentum=fit.momentum)
    trained = [weight for group in optimiser.param_groups for weight in group["params"]]
    kind = torch.device(device).type
    for snippets, targets in batches:
        with torch.autocast(kind, torch.bfloat16, enabled=fit.bf16 and kind == "cuda"):
            loss, _ = network.loss(snippets, targets, targets)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 40)
        optimiser.step()
    if kind == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    given, table = options(__doc__ or "", **SIZES)
    torch.set_num_threads(given.threads)
    bf16 = given.device == "cuda"
    fit = {"epochs": given.epochs, "lr": 1e-3, "batch": given.batch, "bf16": bf16}
    paths = clips(given.clips)
    stores: tuple[tuple[Modality, Encoding], ...] = (("rgb", "jpeg"), ("flow", "jpeg"), ("flow", "raw"))
    for modality, encoding in stores:
        config = FittedTSN.model_validate(
            {
                "modality": modality,
                "backbone": given.backbone,
                "weights": given.weights,
                "crop": given.crop,
                "fit": fit,
            }
        )
        with tempfile.TemporaryDirectory() as name:
            material = stored(Path(name), paths, given.short_side, config.modality, encoding)
            compare(table, config, material, encoding, Path(name) / "checkpoint.pt", given)


def in_memory(examples: TrainingSnippets, batch: int, device: str) -> Batches:
    """Draw every example once, and return the batches on the device."""
    drawn = [examples.draw(index, np.random.default_rng(index)) for index in range(len(examples))]
    snippets = torch.from_numpy(np.stack([item for item, _ in drawn])).to(device)
    targets = torch.tensor([label for _, label in drawn], device=device)
    return [(snippets[part], targets[part]) for part in torch.arange(len(drawn)).split(batch)]


def stored(
    folder: Path, paths: list[Path], short_side: int, modality: Modality, encoding: Encoding = "jpeg"
) -> Labelled:
    """Store frames, or what stands for flow, below ``folder``."""
    index = sealed(folder, rows(paths, short_side, modality, encoding))
    videos = [path.stem for path in paths]
    labels = [number % CLASSES for number in range(len(videos))]
    return Labelled(StoredRows(Store(index), videos), labels, CLASSES, videos)


def compare(
    table: Table,
    config: FittedTSN,
    material: Labelled,
    encoding: Encoding,
    checkpoint: Path,
    given: argparse.Namespace,
) -> None:
    """Add one line to the table."""
    examples = config.examples(material)
    batches = in_memory(examples, given.batch, given.device) * given.epochs

    def train() -> None:
        config.train(material, device=given.device, checkpoint=checkpoint)
        checkpoint.unlink()

    def loop() -> None:
        with seeded(config.seed):
            network = TSNNetwork(config.backbone, config.modality, CLASSES, dropout=config.fit.dropout, partial_bn=True)
        bare(network, config.fit, batches, given.device)

    ours, peer = fastest(given.rounds, train, loop)
    count = len(examples) * config.fit.segments * given.epochs
    sizes = f"{count} snippets of {given.crop}x{given.crop}, batches of {given.batch} videos"
    pictures = config.modality if encoding == "jpeg" else f"{config.modality}, {encoding} pictures"
    name = f"TSN {config.backbone}, {pictures}; bare loop"
    table.add(Comparison(name, count / ours, count / peer, "1/s", sizes, given.threads))


if __name__ == "__main__":
    main()
