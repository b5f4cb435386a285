"""Train networks and predict with them, on examples of any length, in batches of similar lengths."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import InputError
from pipeline.files.progress import Bar
from pipeline.training import checkpoint as checkpoints
from pipeline.training import random_state
from pipeline.training.batches import AugmentedExamples, Batch, Examples, batches, collate, transfer
from pipeline.training.config import Fit
from pipeline.training.curves import Curves
from pipeline.training.distributed import ProcessShare, in_processes
from pipeline.training.loader import BatchLoader, Key
from pipeline.training.optimisers import OPTIMISERS, groups, learning_rate
from pipeline.training.precision import deterministic, fastest
from pipeline.training.protocols import Network
from pipeline.training.random_state import seeded
from pipeline.training.shared_memory import translate_deaths

CHECKPOINT_S = 120.0
"""Seconds between checkpoints within an epoch, which is what a killed training loses at most."""


class Diverged(InputError):
    """A training whose loss or weights are no longer finite numbers."""


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
    """Train a network in place, and leave it in evaluation mode.

    On the CPU, a training that was killed and continued ends with the same bits as one that was not.

    Parameters
    ----------
    network
        What is trained; it is moved to ``device``, unless several processes train copies of it.
    examples
        Inputs and targets.
    config
        Optimiser, schedule and stopping rule.
    seed
        Seed of batches, augmentation and dropout.
    device
        Such as "cpu" or "cuda".
    checkpoint
        File written after every epoch, within long ones every two minutes, from which the same training continues. The
        caller deletes it.
    loaders
        Number of processes that read examples ahead; they change no bit.
    processes
        Number of processes that share every batch, each with a GPU of its own; all end where one dies. With several,
        sums are added up in another order, each process draws its own random numbers (dropout), and a training that was
        killed within an epoch draws others when it continues.

    Returns
    -------
    Curves
        Loss, accuracy and learning rate of every epoch.

    Raises
    ------
    InputError
        Where there is no example, or nothing to train.
    Diverged
        Where the loss or a weight is no longer finite.
    """
    if not len(examples):
        raise InputError("there are no training examples; at least one video with a label is needed")
    arguments = (network, examples, config, seed, device, checkpoint, loaders)
    if processes == 1:
        with seeded(seed, device):
            return _train(*arguments, ProcessShare())
    found = in_processes(_trained, arguments, processes, device)
    network.load_state_dict(found["network"])
    network.eval()
    return Curves(**found["curves"])


def predict(network: Network, examples: Examples, *, batch: int, device: str) -> np.ndarray:
    """Compute the scores of examples, and leave the network in evaluation mode.

    Parameters
    ----------
    network
        A trained network; it is moved to ``device``.
    examples
        Inputs; their targets are not used.
    batch
        Number of examples in a batch.
    device
        Such as "cpu" or "cuda".

    Returns
    -------
    float32 array, shape (example, class)
        Scores in the order of ``examples``.

    Raises
    ------
    InputError
        Where there is no example.
    """
    if not len(examples):
        raise InputError("there are no examples to predict; at least one is needed")
    network.to(device)
    network.eval()
    order = np.argsort(np.asarray(examples.lengths), kind="stable")
    scores: list[Tensor] = []
    with torch.inference_mode(), deterministic():
        for start in Bar(range(0, len(order), batch), desc="predicting", unit="batch", leave=False):
            indices = order[start : start + batch]
            inputs, lengths, _ = transfer(collate(examples.__getitem__, indices), device)
            scores.append(network(inputs, lengths).float().cpu())
    return torch.cat(scores).numpy()[np.argsort(order)]


def _trained(network: Network, *arguments: Any) -> dict[str, Any]:
    """Train a copy of the network in one of several processes, and return its state on the CPU, and its curves."""
    curves = _train(network, *arguments)
    state = {name: weight.cpu() for name, weight in network.state_dict().items()}
    return {"network": state, "curves": dataclasses.asdict(curves)}


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
    training = _Training(network, examples.lengths, config, seed, device, share)
    identity = checkpoints.identity(network.state_dict(), examples.lengths, config, seed)
    if earlier := checkpoints.read(checkpoint, identity):
        training.restore(earlier)
    largest = -(-min(config.batch, len(examples)) // share.processes)
    loader = BatchLoader(examples, seed=seed, device=device, batch=largest, loaders=loaders)
    saved = time.monotonic()
    with (
        fastest(tf32=config.tf32),
        translate_deaths(),
        Bar(
            desc="training",
            total=training.max_steps,
            initial=training.steps,
            unit="batch",
            disable=None if first else True,
            leave=False,
        ) as bar,
        closing(loader.read(training.keys())) as read,
    ):
        while training.goes_on():
            for _ in training.epoch(read):
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
    """A network and its optimiser in the course of training.

    Attributes
    ----------
    curves
        Curves of the finished epochs.
    done
        Steps of the current epoch that are done.
    totals : float64 tensor, shape (2,)
        Loss and accuracy of the current epoch so far, summed over examples.
    generators
        States of the random generators from a checkpoint within an epoch.
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
        self.epoch_steps = -(-len(lengths) // config.batch)
        self.max_epochs = config.epochs or -(-(config.iterations or 0) // self.epoch_steps)
        self.max_steps = config.iterations or self.max_epochs * self.epoch_steps
        self.curves, self.done = Curves(), 0
        self.totals = torch.zeros(2, dtype=torch.float64, device=device)
        self.generators: list[Tensor] = []

    @property
    def steps(self) -> int:
        """Steps done since the training began."""
        return len(self.curves) * self.epoch_steps + self.done

    def goes_on(self) -> bool:
        """Return whether there is an epoch to begin or to finish."""
        return len(self.curves) < self.max_epochs and not _stalled(self.curves, self.config.patience)

    def keys(self) -> Iterator[Key]:
        """Yield what this process reads, from the next step to the last that is allowed."""
        done = self.done
        for number in range(len(self.curves), self.max_epochs):
            yield from ((number, self.share.part(indices)) for indices in self._batches(number)[done:])
            done = 0

    def epoch(self, read: Iterator[Batch]) -> Iterator[None]:
        """Train for the rest of an epoch on the batches that are read, and yield after every step."""
        number = len(self.curves)
        epoch = self._batches(number)
        self._set_generators(self._entropy(number))
        self.network.train()
        for indices in epoch[self.done :]:
            mean = self._step(next(read), self._rate(self.steps), self.share.weight(indices))
            self.totals += mean * len(indices)
            self.done += 1
            yield
        self._end_epoch(sum(map(len, epoch)), self._rate(self.steps - 1))

    def _entropy(self, number: int) -> np.random.SeedSequence:
        return np.random.SeedSequence((self.seed, number))

    def _batches(self, number: int) -> list[np.ndarray]:
        """Return the batches of an epoch, within the bound on iterations."""
        epoch = batches(self.lengths, self.config.batch, np.random.default_rng(self._entropy(number)))
        return epoch[: self.max_steps - number * self.epoch_steps]

    def _end_epoch(self, examples: int, rate: float) -> None:
        loss, accuracy = (self.totals / examples).tolist()
        if not (np.isfinite(loss) and all(bool(weight.isfinite().all()) for weight in self.trained)):
            raise Diverged(
                f"training diverged in epoch {len(self.curves) + 1}: the loss is {loss:g}; lr = {self.config.lr:g} is"
                " too high, or clip_norm is needed"
            )
        self.curves, self.done = self.curves.extended(loss, accuracy, rate), 0
        self.totals.zero_()
        self.generators = []

    def _rate(self, step: int) -> float:
        return learning_rate(self.config, step // self.epoch_steps if self.config.iterations is None else step)

    def _step(self, batch: Batch, rate: float, weight: float) -> Tensor:
        """Take one step of the optimiser, and return the batch's mean loss and accuracy before it, (2,)."""
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
        """Seed the random generators for the epoch, or restore them from the checkpoint within it."""
        if self.share.rank:
            entropy = np.random.SeedSequence((self.seed, len(self.curves), self.done, self.share.rank))
        random_state.reseed(int(entropy.generate_state(1, np.uint64)[0]), self.device)
        if self.generators and not self.share.rank:
            random_state.restore(self.generators, self.device)

    def state(self) -> dict[str, Any]:
        """Return all that the rest of the training depends on, for a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "curves": dataclasses.asdict(self.curves),
            "done": self.done,
            "totals": self.totals,
            "generators": random_state.states(self.device),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint's state."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.curves, self.done = Curves(**state["curves"]), state["done"]
        self.totals.copy_(state["totals"])
        self.generators = state["generators"] if self.done else []


def _accuracy(scores: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
    """Return the fraction of examples whose best class is the label, the last frame's label, or one of the labels."""
    best = scores.argmax(dim=1)
    if targets.is_floating_point():
        return targets.gather(1, best[:, None]).double().mean()
    last = targets if targets.ndim == 1 else targets.gather(1, lengths[:, None] - 1)[:, 0]
    return (best == last).double().mean()


def _stalled(curves: Curves, patience: int | None) -> bool:
    """Return whether the best training accuracy was first reached ``patience`` epochs ago or earlier."""
    return patience is not None and len(curves) > 0 and len(curves) - 1 - int(np.argmax(curves.accuracy)) >= patience
