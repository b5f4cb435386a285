"""Decisions without a sequence model: nothing is trained."""

from torch import Tensor
from torch.nn import functional as F

from sequence_models.networks.steps import SequenceClassifier, blank_padding, mean_over_steps

SMALLEST = 1e-30
"""The share of a class whose mean probability is no longer a number of its own."""


class Mean(SequenceClassifier):
    """Segmental consensus: the mean of the steps' scores before softmax (Wang et al. 2016, section 3.1)."""

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """(batch, time, class), (batch,) -> (batch, class)."""
        return mean_over_steps(inputs, lengths)


class Vote(SequenceClassifier):
    """Majority voting over the steps (Baccouche et al. 2011, section 4): logarithms of each class's share.

    One vote more is divided by mean probability: it decides ties, and keeps every score finite.
    """

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """(batch, time, class), (batch,) -> (batch, class)."""
        steps = blank_padding(inputs, lengths)
        votes = F.one_hot(steps.argmax(dim=2), steps.shape[2]).to(steps.dtype)
        shares = blank_padding(votes, lengths).sum(dim=1) + mean_over_steps(steps.softmax(dim=2), lengths)
        return (shares / (lengths[:, None] + 1)).clamp_min(SMALLEST).log()
