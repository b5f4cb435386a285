"""Scaling of features to mean 0 and standard deviation 1 before a network."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import InputError
from sequence_models.networks.steps import StepTrace

if TYPE_CHECKING:
    from pipeline.training.batches import Examples

CONSTANT_RATIO = 1e-6
"""Ratio of standard deviation to root mean square up to which a feature counts as constant."""


class Scaling(nn.Module):
    """Affine scaling (x − mean)·scale of each feature; both are buffers, so that a state dict carries them.

    Parameters
    ----------
    features : int
        Number of features of a step.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    @classmethod
    def of(cls, sequences: Iterable[np.ndarray]) -> Self:
        """Return the scaling to mean 0 and standard deviation 1 over all steps, and of constant features to 0.

        Parameters
        ----------
        sequences : Iterable of np.ndarray
            Sequences (time, feature).

        Raises
        ------
        InputError
            Where there are no sequences, or a number is not finite.
        """
        arrays = list(sequences)
        if not arrays:
            raise InputError("there are no training examples to standardise the features by; at least one is needed")
        steps = sum(map(len, arrays))
        mean = sum(array.sum(axis=0, dtype=np.float64) for array in arrays) / steps
        std = np.sqrt(sum(((array - mean) ** 2).sum(axis=0) for array in arrays) / steps)
        if not np.isfinite(std).all():
            place = int(np.flatnonzero(~np.isfinite(std))[0])
            raise InputError(f"feature {place} of the training sequences is not finite everywhere; all numbers must be")
        varies = std > CONSTANT_RATIO * np.hypot(std, mean)
        made = cls(len(mean))
        made.mean.copy_(torch.from_numpy(mean))
        made.scale.copy_(torch.from_numpy(varies / np.where(varies, std, 1)))
        return made

    def forward(self, inputs: Tensor) -> Tensor:
        """Scale inputs (…, feature)."""
        return (inputs - self.mean) * self.scale


class Standardised(nn.Module):
    """A network behind a scaling of its features and, in training, dropout of them.

    Parameters
    ----------
    network : nn.Module
        The network that sees the scaled features.
    features : int
        Number of features of a step.
    dropout : float
        Probability that a feature is set to 0 in training.
    """

    def __init__(self, network: Any, features: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.network = network
        self.scaling = Scaling(features)
        self.dropout = nn.Dropout(dropout)

    def fit_scaling(self, examples: "Examples") -> None:
        """Take mean and scale from the training examples."""
        self.scaling = Scaling.of(examples[index][0] for index in range(len(examples)))

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Map inputs (batch, time, feature) and lengths (batch,) to scores (batch, class)."""
        scores: Tensor = self.network(self.dropout(self.scaling(inputs)), lengths)
        return scores

    def loss(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the network's own loss and scores for scaled inputs (batch, time, feature)."""
        loss: tuple[Tensor, Tensor] = self.network.loss(self.dropout(self.scaling(inputs)), lengths, targets)
        return loss

    def trace(self, inputs: Tensor) -> StepTrace | None:
        """Return the network's own trace of one sequence (time, feature)."""
        trace: StepTrace | None = self.network.trace(self.scaling(inputs))
        return trace

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the network's own groups of parameters, or one group of all."""
        asked = getattr(self.network, "parameter_groups", None)
        return asked() if asked else [{"params": list(self.network.parameters())}]
