"""Losses of classification, with one label an example or several."""

import torch
from torch import Tensor
from torch.nn import functional as F


def loss(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the mean loss over a batch.

    Parameters
    ----------
    scores : tensor, shape (batch, class)
        Scores before the softmax.
    targets : tensor
        Class indices (batch,) int64, for the cross-entropy; or (batch, class) float32, 1 for each label, for
        ``multi_label_losses``.

    Returns
    -------
    tensor, a scalar
    """
    if targets.is_floating_point():
        return multi_label_losses(scores, targets).mean()
    return F.cross_entropy(scores, targets)


def multi_label_losses(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each example, whatever its number of labels.

    An example with one label costs its cross-entropy, one with several the sum of every class's logistic loss. It is
    the sum because the gradient of a class's score is then at most 1 in either.

    Parameters
    ----------
    scores : tensor, shape (batch, class)
        Scores before the softmax.
    targets : float32 tensor, shape (batch, class)
        1 for each label, 0 elsewhere.

    Returns
    -------
    tensor, shape (batch,)

    References
    ----------
    Ng and Davis, *Temporal Difference Networks for Video Action Recognition* (WACV 2018), on FCVID.
    """
    cross_entropy = -(scores.log_softmax(dim=1) * targets).sum(dim=1)
    logistic = F.binary_cross_entropy_with_logits(scores, targets, reduction="none").sum(dim=1)
    return torch.where(targets.sum(dim=1) > 1, logistic, cross_entropy)
