"""What a classification costs: against scikit-learn and by hand."""

import numpy as np
import torch
from sklearn.metrics import log_loss
from torch.nn import functional as F

from pipeline.training.losses import loss, multi_label_losses

CLASSES = 5
SCORES = torch.randn(6, CLASSES, generator=torch.Generator().manual_seed(0))
LABELS = [(0,), (1, 3), (4,), (0, 1, 2), (2,), (3,)]
MARKED = torch.tensor([[float(label in several) for label in range(CLASSES)] for several in LABELS])


def test_class_indices_cost_their_cross_entropy() -> None:
    targets = torch.tensor([0, 4, 2, 1, 1, 3])
    expected = log_loss(targets.numpy(), SCORES.double().softmax(1).numpy(), labels=range(CLASSES))
    assert abs(float(loss(SCORES, targets)) - expected) < 1e-6


def test_one_marked_label_costs_as_much_as_its_index() -> None:
    single = [row for row, several in enumerate(LABELS) if len(several) == 1]
    expected = F.cross_entropy(SCORES[single], torch.tensor([LABELS[row][0] for row in single]), reduction="none")
    torch.testing.assert_close(multi_label_losses(SCORES, MARKED)[single], expected)


def test_several_labels_cost_the_logistic_loss_of_every_class() -> None:
    for row, several in enumerate(LABELS):
        if len(several) > 1:
            chance = 1 / (1 + np.exp(-SCORES[row].double().numpy()))
            expected = -sum(np.log(chance[c] if c in several else 1 - chance[c]) for c in range(CLASSES))
            assert abs(float(multi_label_losses(SCORES, MARKED)[row]) - expected) < 1e-5
    torch.testing.assert_close(loss(SCORES, MARKED), multi_label_losses(SCORES, MARKED).mean())


def test_a_class_pulls_with_a_strength_of_one_at_most() -> None:
    scores = (10 * SCORES).requires_grad_()
    multi_label_losses(scores, MARKED).sum().backward()
    assert scores.grad is not None
    assert 0.9 < scores.grad.abs().max() <= 1
