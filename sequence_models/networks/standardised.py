"""Features brought to mean 0 and deviation 1 before a network."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import InputError
from sequence_models.networks.steps import StepTrace

if TYPE_CHECKING:
    from pipeline.training.batches import Examples

CONSTANT = 1e-6
"""A feature whose deviation is no more than this share of its root mean square is constant."""


class Scaling(nn.Module):
    """(x − mean)·scale for each feature; both are buffers, so that a state dict carries them."""

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    @classmethod
    def of(cls, sequences: Iterable[np.ndarray]) -> Self:
        """To mean 0 and deviation 1 over all steps of the sequences (time, feature); constant features to 0.

        Raises InputError where there are no sequences, or a number is not finite.
        """
        arrays = list(sequences)
        if not arrays:
            raise InputError("there are no training examples to standardise features by; at least one is needed")
        steps = sum(map(len, arrays))
        mean = sum(array.sum(axis=0, dtype=np.float64) for array in arrays) / steps
        deviation = np.sqrt(sum(((array - mean) ** 2).sum(axis=0) for array in arrays) / steps)
        if not np.isfinite(deviation).all():
            place = int(np.flatnonzero(~np.isfinite(deviation))[0])
            raise InputError(f"feature {place} of the training sequences is not always finite")
        varies = deviation > CONSTANT * np.hypot(deviation, mean)
        made = cls(len(mean))
        made.mean.copy_(torch.from_numpy(mean))
        made.scale.copy_(torch.from_numpy(varies / np.where(varies, deviation, 1)))
        return made

    def forward(self, inputs: Tensor) -> Tensor:
        """(…, feature) -> (…, feature)."""
        return (inputs - self.mean) * self.scale


class Standardised(nn.Module):
    """A network that sees scaled features, and in training a random share of them as 0."""

    def __init__(self, network: Any, features: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.network = network
        self.scaling = Scaling(features)
        self.dropout = nn.Dropout(dropout)

    def measure(self, examples: "Examples") -> None:
        """Scale by the training examples."""
        self.scaling = Scaling.of(examples[index][0] for index in range(len(examples)))

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """(batch, time, feature), (batch,) -> scores (batch, class)."""
        scores: Tensor = self.network(self.dropout(self.scaling(inputs)), lengths)
        return scores

    def loss(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The network's own."""
        loss: tuple[Tensor, Tensor] = self.network.loss(self.dropout(self.scaling(inputs)), lengths, targets)
        return loss

    def trace(self, inputs: Tensor) -> StepTrace | None:
        """The network's own, of one sequence (time, feature)."""
        trace: StepTrace | None = self.network.trace(self.scaling(inputs))
        return trace

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The network's own, or all its parameters alike."""
        asked = getattr(self.network, "parameter_groups", None)
        return asked() if asked else [{"params": list(self.network.parameters())}]
