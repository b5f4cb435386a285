"""The only training loop, and prediction: examples of any length, in batches of similar lengths."""

import dataclasses
import hashlib
import io
import json
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from pipeline.atomic import whole
from pipeline.batches import Examples, batches, collate
from pipeline.errors import InputError
from pipeline.hyperparameters import Fit


class Diverged(InputError):
    """The loss or a weight is no longer a finite number."""


class Network(Protocol):
    """A ``torch.nn.Module`` with a loss.

    ``forward(inputs, lengths) -> scores``: (batch, time, ...) padded with zeros, (batch,) int64 -> (batch, class).
    ``parameter_groups() -> [{params, lr_multiplier, decay}]`` is optional; without it all parameters that require
    a gradient are trained at the same rate and decay.
    """

    __call__: Callable[..., Any]

    def loss(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Scalar mean over the batch, and scores (batch, class); padded labels of frames are ``IGNORED``."""

    def train(self, mode: bool = True) -> Any: ...
    def eval(self) -> Any: ...
    def to(self, device: Any, /) -> Any: ...
    def parameters(self) -> Iterator[torch.nn.Parameter]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Curves:
    """Means over the training examples of each epoch: loss, accuracy in [0, 1], and the rate of its last step."""

    loss: tuple[float, ...] = ()
    accuracy: tuple[float, ...] = ()
    lr: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.loss)

    def extended(self, loss: float, accuracy: float, lr: float) -> Self:
        """With one epoch more."""
        return type(self)((*self.loss, loss), (*self.accuracy, accuracy), (*self.lr, lr))

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**{name: tuple(values) for name, values in json.loads(text).items()})


@contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[None]:
    """Torch's global generator (and that of ``device``) seeded inside, and as it was outside."""
    devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        _reseed(seed, device)
        yield


def fit(network: Network, examples: Examples, config: Fit, *, seed: int, device: str, checkpoint: Path) -> Curves:
    """Train ``network`` in place on ``device`` and leave it in evaluation mode.

    checkpoint: written after every epoch and continued from if it belongs to the same training; on the CPU a
    training that was killed ends with the same bits as one that was not. Deleting it is the caller's.
    Raises InputError where there is nothing to train on, Diverged where the loss is no longer finite.
    """
    if not len(examples):
        raise InputError("there are no training examples; at least one video with a label is needed")
    training = _Training(network, examples, config, seed, device)
    identity = _identity(network, examples, config, seed)
    curves = training.resume(checkpoint, identity)
    bar = tqdm(desc="training", total=training.epochs, initial=len(curves), unit="epoch", disable=None, leave=False)
    with seeded(seed, device), bar:
        while len(curves) < training.epochs and not _stalled(curves, config.patience):
            curves = training.epoch(curves)
            training.save(checkpoint, identity, curves)
            bar.set_postfix(loss=f"{curves.loss[-1]:.4g}", accuracy=f"{curves.accuracy[-1]:.3f}")
            bar.update()
    network.eval()
    return curves


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
            inputs, lengths, _ = collate(examples, order[start : start + batch], device)
            scores.append(network(inputs, lengths).float().cpu())
    return torch.cat(scores).numpy()[np.argsort(order)]


def learning_rate(config: Fit, done: int) -> float:
    """The rate after ``done`` units (epochs or iterations, whichever bounds the training)."""
    return config.lr * config.gamma ** sum(milestone <= done for milestone in config.milestones)


class _Training:
    """A network with its optimiser, between two epochs."""

    def __init__(self, network: Network, examples: Examples, config: Fit, seed: int, device: str) -> None:
        self.network, self.examples, self.config, self.seed, self.device = network, examples, config, seed, device
        network.to(device)
        self.optimiser = _OPTIMISERS[config.optimiser](_groups(network, config), config)
        self.trained = [weight for group in self.optimiser.param_groups for weight in group["params"]]
        self.passes = -(-len(examples) // config.batch)  # iterations an epoch
        self.epochs = config.epochs or -(-(config.iterations or 0) // self.passes)

    def epoch(self, curves: Curves) -> Curves:
        """One pass over the examples, or what the bound on iterations leaves of it."""
        number = len(curves)
        entropy = np.random.SeedSequence((self.seed, number))
        _reseed(int(entropy.generate_state(1, np.uint64)[0]), self.device)
        parts = batches(self.examples.lengths, self.config.batch, np.random.default_rng(entropy))
        if self.config.iterations is not None:
            parts = parts[: self.config.iterations - number * self.passes]
        self.network.train()
        totals = torch.zeros(2, dtype=torch.float64, device=self.device)  # loss, correct
        for iteration, part in enumerate(parts, number * self.passes):
            rate = learning_rate(self.config, number if self.config.iterations is None else iteration)
            totals += self._step(part, rate) * len(part)
        loss, accuracy = (totals / sum(map(len, parts))).tolist()
        if not (np.isfinite(loss) and all(bool(weight.isfinite().all()) for weight in self.trained)):
            raise Diverged(
                f"training diverged in epoch {number + 1}: the loss is {loss:g}; lr = {self.config.lr:g} is too high,"
                " or clip_norm is needed"
            )
        return curves.extended(loss, accuracy, rate)

    def _step(self, part: np.ndarray, rate: float) -> Tensor:
        """One step of the optimiser; mean loss and accuracy of the batch before it, (2,)."""
        inputs, lengths, targets = collate(self.examples, part, self.device)
        kind = torch.device(self.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=self.config.bf16 and kind == "cuda"):
            loss, scores = self.network.loss(inputs, lengths, targets)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.trained, self.config.clip_norm)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["lr_multiplier"]
        self.optimiser.step()
        return torch.stack([loss.detach().double(), _accuracy(scores.detach(), lengths, targets)])

    def save(self, checkpoint: Path, identity: str, curves: Curves) -> None:
        state = {
            "identity": identity,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "curves": dataclasses.asdict(curves),
        }
        content = io.BytesIO()
        torch.save(state, content)  # its own writing hides a full disk's errno
        with whole(checkpoint) as temporary:
            temporary.write_bytes(content.getbuffer())

    def resume(self, checkpoint: Path, identity: str) -> Curves:
        """What an earlier run left; nothing where there is none, or one that cannot be trusted."""
        if not checkpoint.exists():
            return Curves()
        content = io.BytesIO(checkpoint.read_bytes())
        try:
            state = torch.load(content, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            warnings.warn(f"{checkpoint} is damaged ({reason}): training starts anew", RuntimeWarning, stacklevel=3)
            return Curves()
        if not isinstance(state, dict) or state.get("identity") != identity:
            warnings.warn(f"{checkpoint} is of another training: starting anew", RuntimeWarning, stacklevel=3)
            return Curves()
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        return Curves(**state["curves"])


_OPTIMISERS: dict[str, Callable[[list[dict[str, Any]], Fit], torch.optim.Optimizer]] = {
    "sgd": lambda groups, config: torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum),
    "adam": lambda groups, config: torch.optim.Adam(groups, lr=config.lr),
    "rmsprop": lambda groups, config: torch.optim.RMSprop(groups, lr=config.lr, alpha=config.smoothing),
}


def _groups(network: Network, config: Fit) -> list[dict[str, Any]]:
    """The optimiser's groups: parameters that require a gradient, their rate's multiplier and decay."""
    asked = getattr(network, "parameter_groups", None)
    given: list[dict[str, Any]] = asked() if asked else [{"params": network.parameters()}]
    groups = [
        {
            "params": [weight for weight in group["params"] if weight.requires_grad],
            "lr_multiplier": float(group.get("lr_multiplier", 1)),
            "weight_decay": config.weight_decay if group.get("decay", True) else 0.0,
        }
        for group in given
    ]
    if not any(group["params"] for group in groups):
        raise InputError(f"{type(network).__name__} has nothing to train: no parameter requires a gradient")
    return [group for group in groups if group["params"]]


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


def _reseed(seed: int, device: str) -> None:
    torch.default_generator.manual_seed(seed)
    if torch.device(device).type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def _identity(network: Network, examples: Examples, config: Fit, seed: int) -> str:
    """Digest of all that a training depends on, as far as it is known here: not the examples' content."""
    digest = hashlib.blake2b(f"{config.canonical()} {seed} {list(examples.lengths)}".encode(), digest_size=16)
    for name, weight in network.state_dict().items():
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        digest.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
