"""From what a network says at every step to the scores of the sequence, and the loss of either."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.training.batches import IGNORED
from pipeline.training.losses import loss, multi_label_losses


def valid_steps(lengths: Tensor, time: int) -> Tensor:
    """(batch,) -> (batch, time): whether a step lies within its sequence."""
    return torch.arange(time, device=lengths.device) < lengths[:, None]


def blank_padding(values: Tensor, lengths: Tensor) -> Tensor:
    """(batch, time, ...) with zeros at and beyond each length, whatever stood there, NaN included."""
    padding = ~valid_steps(lengths, values.shape[1])
    return values.masked_fill(padding.reshape(*padding.shape, *[1] * (values.ndim - 2)), 0)


def last_step(values: Tensor, lengths: Tensor) -> Tensor:
    """(batch, time, class) -> (batch, class): the last valid step's."""
    return values[torch.arange(len(lengths), device=lengths.device), lengths - 1]


def mean_over_steps(values: Tensor, lengths: Tensor) -> Tensor:
    """(batch, time, ...) -> (batch, ...): the mean of the valid steps."""
    total = blank_padding(values, lengths).sum(dim=1)
    return total / lengths.reshape(-1, *[1] * (total.ndim - 1))


def log_mean_softmax(logits: Tensor, lengths: Tensor) -> Tensor:
    """(batch, time, class) -> (batch, class): the logarithm of the mean probability, whose softmax is that mean."""
    padding = ~valid_steps(lengths, logits.shape[1])
    logs = logits.log_softmax(dim=2).masked_fill(padding[..., None], -torch.inf)
    return logs.logsumexp(dim=1) - lengths[:, None].log()


class StepTrace(NamedTuple):
    """What a network does with one sequence, step by step.

    logits: (time, class), as if the sequence ended with each step, but for the decision.
    norms: (time, 3 or more), ‖s_t‖₂, ‖v_t‖₂, ‖a_t‖₂ … of an internal state and its derivatives; None without one.
    """

    logits: Tensor
    norms: Tensor | None = None


class SequenceClassifier(nn.Module):
    """A network whose loss is the cross-entropy of its scores."""

    def trace(self, inputs: Tensor) -> StepTrace | None:
        """Of one sequence (time, feature); None of a network that says nothing before the end."""
        return None

    def loss(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Scalar mean over the batch, and the scores (batch, class); targets as for ``pipeline.training.losses``."""
        scores = self(inputs, lengths)
        return loss(scores, targets), scores


@dataclass(frozen=True)
class Decision:
    """How a sequence is scored by its steps' logits.

    scores: (batch, time, class), (batch,) -> (batch, class) logits.
    trains_every_step: whether each step's output is trained towards the label, or the scores alone.
    """

    scores: Callable[[Tensor, Tensor], Tensor]
    trains_every_step: bool = False


class StepClassifier(SequenceClassifier):
    """A causal network that has logits at every step: ``outputs``, which a subclass gives, and a decision on them."""

    def __init__(self, decision: Decision) -> None:
        super().__init__()
        self.decision = decision

    def outputs(self, inputs: Tensor) -> Tensor:
        """(batch, time, feature) -> logits (batch, time, class); no step sees a later one."""
        raise NotImplementedError

    @torch.no_grad()
    def trace(self, inputs: Tensor) -> StepTrace:
        return StepTrace(self.outputs(inputs[None])[0])

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        return self.decision.scores(self.outputs(blank_padding(inputs, lengths)), lengths)

    def loss(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Scalar mean over the batch, and the scores (batch, class).

        targets: as for ``pipeline.training.losses``; or (batch, time) int64 where frames are labelled, ``IGNORED``
        beyond the lengths: then the loss of a sequence is the sum of its frames'. A sequence's label is the target of
        its scores; if every step is trained, the loss is the mean of the steps'.
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
