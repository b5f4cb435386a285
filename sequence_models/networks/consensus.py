"""Consensus of the steps' scores: networks without parameters."""

from torch import Tensor
from torch.nn import functional as F

from sequence_models.networks.steps import SequenceClassifier, StepTrace, blank_padding, mean_over_steps

MIN_SHARE = 1e-30
"""Lower bound of a class's share of the votes, so that its logarithm is finite."""


class Consensus(SequenceClassifier):
    """Network whose inputs are the steps' scores."""

    def trace(self, inputs: Tensor) -> StepTrace:
        return StepTrace(inputs)


class Mean(Consensus):
    """Segmental consensus: the mean of the steps' scores before softmax.

    References
    ----------
    Wang et al., *Temporal Segment Networks: Towards Good Practices for Deep Action Recognition*, ECCV 2016, section
    3.1.
    """

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Map scores (batch, time, class) and lengths (batch,) to scores (batch, class)."""
        return mean_over_steps(inputs, lengths)


class Vote(Consensus):
    """Majority vote of the steps: the score of a class is the logarithm of its share of the votes.

    One additional vote is divided in proportion to the classes' mean probabilities: it breaks ties and keeps every
    score finite.

    References
    ----------
    Baccouche et al., *Sequential Deep Learning for Human Action Recognition*, HBU 2011, section 4.
    """

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Map scores (batch, time, class) and lengths (batch,) to scores (batch, class)."""
        steps = blank_padding(inputs, lengths)
        votes = F.one_hot(steps.argmax(dim=2), steps.shape[2]).to(steps.dtype)
        shares = blank_padding(votes, lengths).sum(dim=1) + mean_over_steps(steps.softmax(dim=2), lengths)
        return (shares / (lengths[:, None] + 1)).clamp_min(MIN_SHARE).log()
