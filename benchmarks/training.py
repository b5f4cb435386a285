"""Measures a Res-LSTM's epoch from the store, against a bare loop over tensors.

    python benchmarks/training.py [--json]

Ours is what ``Train`` does: sequences are read from the store, once a training, and ``training.loop`` batches, pads,
trains, adds up its curves and writes a checkpoint after each epoch. The peer has everything in one tensor already, of
one length, and does nothing but forward, backward and the optimiser's step, with the same network.
"""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from store import features, sealed
from table import Comparison, fastest, options

from pipeline.store import Store
from pipeline.training.config import Fit
from pipeline.training.loop import fit
from pipeline.training.random_state import seeded
from pipeline.training.sequences import Sequences, Source, StoredRows, sequences
from sequence_models.networks.res_lstm import ResLSTM

CLASSES = 101


def read(index: Path, labels: dict[str, tuple[int, ...]], steps: int) -> Sequences:
    """Read all sequences of a store."""
    rows = StoredRows(Store(index), list(labels))
    return sequences([Source("features", rows, "features", lambda array: array)], labels, CLASSES, steps=steps)


def bare(network: ResLSTM, inputs: torch.Tensor, targets: torch.Tensor, config: Fit) -> None:
    """Train for one epoch, in random order."""
    optimiser = torch.optim.RMSprop(network.parameters(), lr=config.lr, alpha=config.smoothing)
    lengths = torch.full((config.batch,), inputs.shape[1])
    for part in torch.randperm(len(inputs)).split(config.batch):
        loss, _ = network.loss(inputs[part], lengths[: len(part)], targets[part])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()


def main() -> None:
    given, table = options(__doc__ or "", rows=1024, steps=25, width=512, batch=32, threads=2, rounds=2)
    torch.set_num_threads(given.threads)
    config = Fit(optimiser="rmsprop", epochs=1, batch=given.batch)
    with tempfile.TemporaryDirectory() as folder, seeded(0):
        rows = features(given.rows, given.steps, given.width)
        labels = {video: (number % CLASSES,) for number, (video, _) in enumerate(rows)}
        index = sealed(Path(folder), rows)
        network = ResLSTM(given.width, CLASSES, hidden=given.width, layers=2, residual=True, classify="m")
        stacked = torch.from_numpy(np.stack([row.arrays["features"] for _, row in rows]))
        targets = torch.tensor([labels[video][0] for video, _ in rows])
        held = read(index, labels, given.steps)
        checkpoint = Path(folder) / "checkpoint.pt"

        def epoch(examples: Sequences) -> None:
            fit(network, examples, config, seed=0, device="cpu", checkpoint=checkpoint)
            checkpoint.unlink()

        reading, first, further, peer = fastest(
            given.rounds,
            partial(read, index, labels, given.steps),
            lambda: epoch(read(index, labels, given.steps)),
            lambda: epoch(held),
            lambda: bare(network, stacked, targets, config),
        )
    sizes = f"{given.rows} sequences of {given.steps} x {given.width}, batches of {given.batch}"
    for what, ours in (
        (f"the first epoch, {reading:.2g} s of reading included", first),
        ("every further epoch", further),
    ):
        rates = (given.rows / ours, given.rows / peer)
        table.add(Comparison(f"Res-LSTM, {what}; bare loop", *rates, "1/s", sizes, given.threads))


if __name__ == "__main__":
    main()
