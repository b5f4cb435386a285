"""What a classification costs."""

import torch
from torch import Tensor
from torch.nn import functional as F


def loss(scores: Tensor, targets: Tensor) -> Tensor:
    """Scores before the softmax (batch, class) and targets -> the mean over the batch, a scalar.

    targets: class indices (batch,) int64, for the cross-entropy; or of videos with any number of labels (batch, class)
    float32, 1 for each label, for ``losses_of_labels``.
    """
    if targets.is_floating_point():
        return losses_of_labels(scores, targets).mean()
    return F.cross_entropy(scores, targets)


def losses_of_labels(scores: Tensor, targets: Tensor) -> Tensor:
    """Scores and targets (batch, class) -> (batch,).

    An example with one label costs its cross-entropy, one with several the sum of every class's logistic loss: Ng and
    Davis, *Temporal Difference Networks for Video Action Recognition* (WACV 2018), on FCVID. The sum, as in either a
    class then pulls with a strength of up to 1.
    """
    of_one = -(scores.log_softmax(dim=1) * targets).sum(dim=1)
    of_several = F.binary_cross_entropy_with_logits(scores, targets, reduction="none").sum(dim=1)
    return torch.where(targets.sum(dim=1) > 1, of_several, of_one)
