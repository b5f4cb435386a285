"""Scores of a sequence from a network's outputs at every step, and the loss of either."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.training.batches import IGNORED
from pipeline.training.losses import loss, multi_label_losses


def valid_steps(lengths: Tensor, time: int) -> Tensor:
    """Return a mask (batch, time) of the steps within sequences of the given lengths (batch,)."""
    return torch.arange(time, device=lengths.device) < lengths[:, None]


def blank_padding(values: Tensor, lengths: Tensor) -> Tensor:
    """Return values (batch, time, …) with zeros at and beyond each length, whatever stood there, NaN included."""
    padding = ~valid_steps(lengths, values.shape[1])
    return values.masked_fill(padding.reshape(*padding.shape, *[1] * (values.ndim - 2)), 0)


def last_step(values: Tensor, lengths: Tensor) -> Tensor:
    """Return the last valid step of each sequence, (batch, class), from values (batch, time, class)."""
    return values[torch.arange(len(lengths), device=lengths.device), lengths - 1]


def mean_over_steps(values: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean over the valid steps, (batch, …), of values (batch, time, …)."""
    total = blank_padding(values, lengths).sum(dim=1)
    return total / lengths.reshape(-1, *[1] * (total.ndim - 1))


def log_mean_softmax(logits: Tensor, lengths: Tensor) -> Tensor:
    """Return the logarithm of the steps' mean probability, (batch, class), for logits (batch, time, class)."""
    padding = ~valid_steps(lengths, logits.shape[1])
    logs = logits.log_softmax(dim=2).masked_fill(padding[..., None], -torch.inf)
    return logs.logsumexp(dim=1) - lengths[:, None].log()


class StepTrace(NamedTuple):
    """A network's outputs for one sequence, step by step.

    Attributes
    ----------
    logits : Tensor, shape (time, class)
        Logits of each step, as if the sequence ended there, before any decision over the steps.
    norms : Tensor, shape (time, 3 or more), or None
        ‖s_t‖₂, ‖v_t‖₂, ‖a_t‖₂ … of an internal state and its derivatives; None where the network has none.
    """

    logits: Tensor
    norms: Tensor | None = None


class SequenceClassifier(nn.Module):
    """A network whose loss is the cross-entropy of its scores."""

    def trace(self, inputs: Tensor) -> StepTrace | None:
        """Trace one sequence (time, feature); None for a network that has no output before the end."""
        return None

    def loss(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss, a scalar mean over the batch, and the scores (batch, class).

        Parameters
        ----------
        inputs : Tensor, shape (batch, time, feature)
        lengths : Tensor of int64, shape (batch,)
        targets : Tensor
            As for ``pipeline.training.losses``.
        """
        scores = self(inputs, lengths)
        return loss(scores, targets), scores


@dataclass(frozen=True)
class Decision:
    """Rule that combines the logits of all steps into scores of the sequence, and says which of them are trained.

    Attributes
    ----------
    scores : callable
        Maps logits (batch, time, class) and lengths (batch,) to logits (batch, class).
    trains_every_step : bool
        True: the loss is applied at every step; False: only to the combined scores.
    """

    scores: Callable[[Tensor, Tensor], Tensor]
    trains_every_step: bool = False


class StepClassifier(SequenceClassifier):
    """A causal network with logits at every step, which a subclass gives as ``outputs``, and a decision over them.

    Parameters
    ----------
    decision : Decision
        The rule by which the steps' logits score the sequence.
    """

    def __init__(self, decision: Decision) -> None:
        super().__init__()
        self.decision = decision

    def outputs(self, inputs: Tensor) -> Tensor:
        """Map inputs (batch, time, feature) to logits (batch, time, class); no step sees a later one."""
        raise NotImplementedError

    @torch.no_grad()
    def trace(self, inputs: Tensor) -> StepTrace:
        return StepTrace(self.outputs(inputs[None])[0])

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        return self.decision.scores(self.outputs(blank_padding(inputs, lengths)), lengths)

    def loss(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss, a scalar mean over the batch, and the scores (batch, class).

        Parameters
        ----------
        inputs : Tensor, shape (batch, time, feature)
        lengths : Tensor of int64, shape (batch,)
        targets : Tensor
            As for ``pipeline.training.losses``, one a sequence: the target of its scores, or, where every step is
            trained, of each step, whose losses are averaged. Or int64 (batch, time) where frames are labelled,
            ``IGNORED`` beyond the lengths: the loss of a sequence is then the sum of its frames' losses.
        """
        outputs = self.outputs(blank_padding(inputs, lengths))
        scores = self.decision.scores(outputs, lengths)
        by_frame = targets.ndim == 2 and not targets.is_floating_point()
        if not by_frame and not self.decision.trains_every_step:
            return loss(scores, targets), scores
        if targets.is_floating_point():
            every = targets[:, None].expand_as(outputs)
            losses = multi_label_losses(outputs.flatten(0, 1), every.flatten(0, 1)).unflatten(0, outputs.shape[:2])
        else:
            steps = targets if by_frame else targets[:, None].expand(outputs.shape[:2])
            losses = F.cross_entropy(outputs.mT, steps, ignore_index=IGNORED, reduction="none")  # (batch, time)
        mean = mean_over_steps(losses, lengths)
        return (mean * lengths if by_frame else mean).mean(), scores
