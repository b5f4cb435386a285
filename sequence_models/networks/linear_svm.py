"""A linear classifier of the mean over time, and its fit by scikit-learn."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import Tensor, nn

from pipeline.errors import InputError
from sequence_models.networks.steps import SequenceClassifier, mean_over_steps

if TYPE_CHECKING:
    from pipeline.training.batches import Examples


class PooledLinear(SequenceClassifier):
    """(batch, time, feature), (batch,) -> (batch, class) margins; features are scaled after pooling."""

    shift: Tensor
    scale: Tensor
    seen: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(features, dtype=torch.float64))
        self.register_buffer("seen", torch.ones(classes, dtype=torch.bool))
        self.margins = nn.Linear(features, classes)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        # Features far from 0 would lose their digits in float32 before the shift.
        pooled = (mean_over_steps(inputs.double(), lengths) - self.shift) * self.scale
        margins: Tensor = self.margins(pooled.to(self.margins.weight.dtype))
        lowest = margins.masked_fill(~self.seen, torch.inf).amin(dim=1, keepdim=True)
        return torch.where(self.seen, margins, lowest - 1)


def fit_svm(network: PooledLinear, examples: "Examples", penalty: float, seed: int, scaling: str) -> None:
    """Put one of ``SCALINGS`` and scikit-learn's one-against-rest LinearSVC into the network.

    A class without examples gets a margin of 1 below the lowest of the others. Raises InputError where fewer than two
    classes have examples.
    """
    targets = np.array([examples[index][1] for index in range(len(examples))])
    if targets.ndim > 1:
        raise InputError("an SVM needs one label a video: of videos with several, train another model")
    classes = np.unique(targets)
    if len(classes) < 2:
        raise InputError(f"an SVM needs two at least: the training examples are of {len(classes)} classes")
    pooled = np.stack([examples[index][0].mean(axis=0, dtype=np.float64) for index in range(len(examples))])
    shift, scale = SCALINGS[scaling](pooled)
    pooled -= shift  # in place: Fisher vectors of UCF-101 are 8 GB
    pooled /= scale
    if pooled.shape[1] > len(pooled) and pooled.any():
        inputs, basis = _in_own_space(pooled)
        machine = LinearSVC(C=penalty, random_state=seed, max_iter=50_000, tol=1e-7).fit(inputs, targets)
        weights, biases = machine.coef_ @ basis @ pooled, machine.intercept_
    else:
        machine = LinearSVC(C=penalty, random_state=seed, max_iter=50_000).fit(pooled, targets)
        weights, biases = machine.coef_, machine.intercept_
    if len(classes) == 2:
        weights, biases = np.concatenate([-weights, weights]), np.concatenate([-biases, biases])
    state = network.state_dict()
    state["shift"].copy_(torch.from_numpy(shift))
    state["scale"].copy_(torch.from_numpy(1 / scale))
    state["seen"].fill_(False)[classes] = True
    state["margins.weight"].zero_()[classes] = torch.from_numpy(weights).float()
    state["margins.bias"].zero_()[classes] = torch.from_numpy(biases).float()


def _standardised(pooled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scaler = StandardScaler().fit(pooled)
    return scaler.mean_, scaler.scale_


def _by_the_largest(pooled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, scale = _standardised(pooled)
    return mean, np.full_like(scale, scale.max())


def _as_they_are(pooled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(pooled.shape[1]), np.ones(pooled.shape[1])


SCALINGS = {"standardise": _standardised, "largest": _by_the_largest, "none": _as_they_are}
"""From means (examples, feature) to what is subtracted from each feature, and what it is divided by."""


def _in_own_space(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, dim) in the rank ≤ n dimensions that they span, with the same inner products, and the way back.

    A machine's weights lie in that span: w there is w @ basis @ rows among all features.
    """
    values, vectors = np.linalg.eigh(rows @ rows.T)
    kept = values > len(rows) * np.finfo(values.dtype).eps * values[-1]
    roots = np.sqrt(values[kept])
    return vectors[:, kept] * roots, (vectors[:, kept] / roots).T
