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
    """Linear classifier of a sequence's mean over time, from features (batch, time, feature) to margins.

    The means are shifted and scaled before they are classified.

    Parameters
    ----------
    features, classes : int
        Numbers of features of a step, and of classes.
    """

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
    """Fit scikit-learn's one-against-rest LinearSVC to the examples, and write it into the network.

    A class without examples gets a margin of 1 below the lowest of the others.

    Parameters
    ----------
    network : PooledLinear
        The network, changed in place.
    examples : Examples
        Sequences (time, feature), each with one class index.
    penalty : float
        C of the machine.
    seed : int
        Seed of the order in which the solver visits coordinates.
    scaling : str
        A name of ``SCALINGS``.

    Raises
    ------
    InputError
        Where fewer than two classes have examples, or videos have several labels.
    """
    targets = np.array([examples[index][1] for index in range(len(examples))])
    if targets.ndim > 1:
        raise InputError("an SVM needs one label for each video: for videos with several labels, train another model")
    classes = np.unique(targets)
    if len(classes) < 2:
        raise InputError(f"an SVM needs at least two classes; the training examples have {len(classes)}")
    pooled = np.stack([examples[index][0].mean(axis=0, dtype=np.float64) for index in range(len(examples))])
    shift, scale = SCALINGS[scaling](pooled)
    pooled -= shift  # in place: Fisher vectors of UCF-101 are 8 GB
    pooled /= scale
    if pooled.shape[1] > len(pooled) and pooled.any():
        inputs, basis = _in_span(pooled)
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


def _divided_by_largest(pooled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, scale = _standardised(pooled)
    return mean, np.full_like(scale, scale.max())


def _unscaled(pooled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(pooled.shape[1]), np.ones(pooled.shape[1])


SCALINGS = {"standardise": _standardised, "largest": _divided_by_largest, "none": _unscaled}
"""Functions from means (examples, feature) to the number subtracted from each feature and the one that divides it."""


def _in_span(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Map rows (n, dim) to the rank ≤ n dimensions that they span; inner products stay the same.

    A machine's weights lie in that span: its weights w there are w @ basis @ rows among all features.

    Returns
    -------
    tuple of np.ndarray
        The rows in the span (n, rank), and the basis (rank, n).
    """
    values, vectors = np.linalg.eigh(rows @ rows.T)
    kept = values > len(rows) * np.finfo(values.dtype).eps * values[-1]
    roots = np.sqrt(values[kept])
    return vectors[:, kept] * roots, (vectors[:, kept] / roots).T
