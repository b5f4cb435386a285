"""The only training loop, and prediction: examples of any length, in batches of similar lengths."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from pipeline.errors import InputError
from pipeline.training import checkpoint as checkpoints
from pipeline.training import random_state
from pipeline.training.batches import AugmentedExamples, Batch, Examples, batches, collate, transfer
from pipeline.training.config import Fit
from pipeline.training.curves import Curves
from pipeline.training.distributed import ProcessShare, companions
from pipeline.training.loader import BatchLoader
from pipeline.training.optimisers import OPTIMISERS, groups, learning_rate
from pipeline.training.protocols import Network
from pipeline.training.random_state import seeded

CHECKPOINT_S = 120.0
"""Within an epoch a checkpoint is written so often: what a killed training loses at most."""


class Diverged(InputError):
    """The loss or a weight is no longer a finite number."""


def fit(
    network: Network,
    examples: Examples | AugmentedExamples,
    config: Fit,
    *,
    seed: int,
    device: str,
    checkpoint: Path,
    loaders: int = 0,
    processes: int = 1,
) -> Curves:
    """Train ``network`` in place on ``device`` and leave it in evaluation mode.

    checkpoint: written after every epoch, within long ones every two minutes, and continued from if it belongs to the
    same training; on the CPU a training that was killed ends with the same bits as one that was not. Deleting it is the
    caller's.
    loaders: processes that read examples ahead; they change no bit.
    processes: those that share every batch, one a GPU. Sums are then added up in another order, each process has its
    own random numbers (dropout), and one that was killed within an epoch draws others.
    Raises InputError where there is nothing to train on, Diverged where the loss is no longer finite.
    """
    if not len(examples):
        raise InputError("there are no training examples; at least one video with a label is needed")
    arguments = (network, examples, config, seed, device, checkpoint, loaders)
    with seeded(seed, device), companions(_accompany, arguments, processes, device) as share:
        return _train(*arguments, share)


def predict(network: Network, examples: Examples, *, batch: int, device: str) -> np.ndarray:
    """Scores (example, class) float32, in the order of ``examples``. The network is left in evaluation mode."""
    if not len(examples):
        raise InputError("there are no examples to predict; at least one is needed")
    network.to(device)
    network.eval()
    order = np.argsort(np.asarray(examples.lengths), kind="stable")
    scores: list[Tensor] = []
    with torch.inference_mode():
        for start in tqdm(range(0, len(order), batch), desc="scores", unit="batch", disable=None, leave=False):
            part = order[start : start + batch]
            inputs, lengths, _ = transfer(collate(examples.__getitem__, part), device)
            scores.append(network(inputs, lengths).float().cpu())
    return torch.cat(scores).numpy()[np.argsort(order)]


def _accompany(*arguments: Any) -> None:
    """One of the other processes; what went wrong in all of them is for the first to say."""
    with suppress(Diverged):
        _train(*arguments)


def _train(
    network: Network,
    examples: Examples | AugmentedExamples,
    config: Fit,
    seed: int,
    device: str,
    checkpoint: Path,
    loaders: int,
    share: ProcessShare,
) -> Curves:
    device, first = share.device(device), share.rank == 0
    loading = BatchLoader(examples, seed=seed, device=device, loaders=loaders)
    training = _Training(network, examples.lengths, config, seed, device, share)
    identity = checkpoints.identity(network.state_dict(), examples.lengths, config, seed)
    if earlier := checkpoints.read(checkpoint, identity):
        training.take(earlier)
    saved = time.monotonic()
    # a GPU adds up in no fixed order anyway: the fastest algorithms, then
    with (
        torch.backends.cudnn.flags(enabled=True, benchmark=True),
        tqdm(
            desc="training",
            total=training.bound,
            initial=training.steps,
            unit="batch",
            disable=None if first else True,
            leave=False,
        ) as bar,
    ):
        while training.goes_on():
            for _ in training.epoch(loading):
                bar.update()
                if first and time.monotonic() - saved >= CHECKPOINT_S:
                    checkpoints.write(checkpoint, identity, training.state())
                    saved = time.monotonic()
            if first:
                checkpoints.write(checkpoint, identity, training.state())
            bar.set_postfix(loss=f"{training.curves.loss[-1]:.4g}", accuracy=f"{training.curves.accuracy[-1]:.3f}")
    network.eval()
    return training.curves


class _Training:
    """A network with its optimiser, between two steps.

    curves: of the epochs that are over; done: steps of the one in hand; totals (2,): its loss and accuracy so far,
    summed over examples; kept: the generators' states of a checkpoint within an epoch.
    """

    def __init__(
        self, network: Network, lengths: Sequence[int], config: Fit, seed: int, device: str, share: ProcessShare
    ) -> None:
        self.network, self.lengths, self.config, self.seed = network, lengths, config, seed
        self.device, self.share = device, share
        network.to(device)
        self.loss = share.loss(network, device)
        self.optimiser = OPTIMISERS[config.optimiser](groups(network, config), config)
        self.trained = [weight for group in self.optimiser.param_groups for weight in group["params"]]
        self.passes = -(-len(lengths) // config.batch)  # steps an epoch
        self.epochs = config.epochs or -(-(config.iterations or 0) // self.passes)
        self.bound = config.iterations or self.epochs * self.passes
        self.curves, self.done = Curves(), 0
        self.totals = torch.zeros(2, dtype=torch.float64, device=device)
        self.kept: list[Tensor] = []

    @property
    def steps(self) -> int:
        """All so far."""
        return len(self.curves) * self.passes + self.done

    def goes_on(self) -> bool:
        """Whether there is an epoch to begin, or to go on with."""
        return len(self.curves) < self.epochs and not _stalled(self.curves, self.config.patience)

    def epoch(self, loading: BatchLoader) -> Iterator[None]:
        """What is left of one pass over the examples, within the bound on iterations: step by step."""
        number = len(self.curves)
        entropy = np.random.SeedSequence((self.seed, number))
        parts = batches(self.lengths, self.config.batch, np.random.default_rng(entropy))
        parts = parts[: self.bound - number * self.passes]
        self._set_generators(entropy)
        self.network.train()
        rest = parts[self.done :]
        for part, batch in zip(rest, loading.epoch(number, [self.share.part(part) for part in rest]), strict=True):
            self.totals += self._step(batch, self._rate(self.steps), self.share.weight(part)) * len(part)
            self.done += 1
            yield
        self._end_epoch(sum(map(len, parts)), self._rate(self.steps - 1))

    def _end_epoch(self, examples: int, rate: float) -> None:
        loss, accuracy = (self.totals / examples).tolist()
        if not (np.isfinite(loss) and all(bool(weight.isfinite().all()) for weight in self.trained)):
            raise Diverged(
                f"training diverged in epoch {len(self.curves) + 1}: the loss is {loss:g}; lr = {self.config.lr:g} is"
                " too high, or clip_norm is needed"
            )
        self.curves, self.done = self.curves.extended(loss, accuracy, rate), 0
        self.totals.zero_()
        self.kept = []

    def _rate(self, step: int) -> float:
        return learning_rate(self.config, step // self.passes if self.config.iterations is None else step)

    def _step(self, batch: Batch, rate: float, weight: float) -> Tensor:
        """One step of the optimiser; mean loss and accuracy of the batch before it, (2,)."""
        inputs, lengths, targets = batch
        kind = torch.device(self.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=self.config.bf16 and kind == "cuda"):
            loss, scores = self.loss(inputs, lengths, targets)
        self.optimiser.zero_grad(set_to_none=True)
        (loss * weight).backward()
        if self.config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.trained, self.config.clip_norm)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["lr_multiplier"]
        self.optimiser.step()
        figures = torch.stack([loss.detach().double(), _accuracy(scores.detach(), lengths, targets)])
        return self.share.mean(figures * weight)

    def _set_generators(self, entropy: np.random.SeedSequence) -> None:
        """As they are at the epoch's beginning, or were at the checkpoint within it."""
        if self.share.rank:
            entropy = np.random.SeedSequence((self.seed, len(self.curves), self.done, self.share.rank))
        random_state.reseed(int(entropy.generate_state(1, np.uint64)[0]), self.device)
        if self.kept and not self.share.rank:
            random_state.restore(self.kept, self.device)

    def state(self) -> dict[str, Any]:
        """All that the rest of the training depends on, for a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "curves": dataclasses.asdict(self.curves),
            "done": self.done,
            "totals": self.totals,
            "generators": random_state.states(self.device),
        }

    def take(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.curves, self.done = Curves(**state["curves"]), state["done"]
        self.totals.copy_(state["totals"])
        self.kept = state["generators"] if self.done else []


def _accuracy(scores: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
    """Share of examples whose best class is the label, the last frame's label, or one of the labels."""
    best = scores.argmax(dim=1)
    if targets.is_floating_point():
        return targets.gather(1, best[:, None]).double().mean()
    last = targets if targets.ndim == 1 else targets.gather(1, lengths[:, None] - 1)[:, 0]
    return (best == last).double().mean()


def _stalled(curves: Curves, patience: int | None) -> bool:
    """Whether the best training accuracy was first reached ``patience`` epochs ago or earlier."""
    return patience is not None and len(curves) > 0 and len(curves) - 1 - int(np.argmax(curves.accuracy)) >= patience
