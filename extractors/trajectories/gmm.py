"""Mixtures of Gaussians with diagonal covariances, fitted by expectation maximisation after k-means.

scikit-learn's holds all responsibilities in memory, 256,000 × 256 of them several times over. Here samples are
processed in blocks, on any device.
"""

import math
from dataclasses import dataclass

import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor

from pipeline.errors import InputError
from pipeline.files.progress import Bar

BLOCK = 1024
"""Samples whose responsibilities are in memory at once: in the cache of a core."""
KMEANS_ITERATIONS, ITERATIONS = 10, 100
"""Largest numbers of iterations of k-means and of expectation maximisation."""
TOLERANCE = 1e-3
"""Increase of the mean log-likelihood below which fitting ends."""
MIN_VARIANCE = 1e-3
"""Least variance of a Gaussian along a dimension, as a share of that of all samples."""
MIN_COUNT = 1e-3
"""Least number of samples that a Gaussian stands for, so that nothing is divided by 0 where one has lost its own."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Mixture of Gaussians with diagonal covariances.

    Parameters
    ----------
    weights : Tensor of float64, shape (gaussians,)
        They add up to 1.
    means, variances : Tensor of float64, shape (gaussians, dim)
    """

    weights: Tensor
    means: Tensor
    variances: Tensor

    def log_joint(self, samples: Tensor) -> Tensor:
        """Compute the logarithm of each Gaussian's weight times its density.

        Parameters
        ----------
        samples : Tensor, shape (n, dim)

        Returns
        -------
        Tensor, shape (n, gaussians)
            In the precision of the samples.
        """
        at_origin = (self.means**2 / self.variances + (2 * math.pi * self.variances).log()).sum(dim=1) / 2
        constants = (self.weights.log() - at_origin).to(samples.dtype)
        factors = torch.cat([-0.5 / self.variances, self.means / self.variances], dim=1).to(samples.dtype)
        return torch.addmm(constants, torch.cat([samples**2, samples], dim=1), factors.T)

    def moments(self, samples: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
        """Sum powers of the samples, weighted by each Gaussian's responsibilities.

        Parameters
        ----------
        samples : Tensor, shape (n, dim)

        Returns
        -------
        s0 : Tensor of float64, shape (gaussians,)
            Sums of the responsibilities.
        s1, s2 : Tensor of float64, shape (gaussians, dim)
            Weighted sums of the samples and of their squares.
        likelihood : float
            Log-likelihood of all samples.
        """
        s0, s1 = torch.zeros_like(self.weights), torch.zeros_like(self.means)
        s2, likelihood = torch.zeros_like(self.means), 0.0
        for block in samples.split(BLOCK):
            log_weighted = self.log_joint(block)
            highest = log_weighted.amax(dim=1, keepdim=True)
            responsibilities = log_weighted.sub_(highest).exp_()
            totals = responsibilities.sum(dim=1, keepdim=True)
            responsibilities /= totals
            s0 += responsibilities.sum(dim=0)
            s1 += responsibilities.T @ block
            s2 += responsibilities.T @ block**2
            likelihood += float((highest + totals.log()).double().sum())
        return s0, s1, s2, likelihood


def fit_mixture(samples: Tensor, gaussians: int, seed: int, name: str) -> Mixture:
    """Fit a mixture.

    Parameters
    ----------
    samples : Tensor, shape (n, dim)
    gaussians : int
    seed : int
        Seed of k-means.
    name : str
        What the samples are, for the progress bar.

    Raises
    ------
    InputError
        Where there are fewer samples than Gaussians.
    """
    if len(samples) < gaussians:
        raise InputError(f"{gaussians} Gaussians need at least as many samples of {name}; there are {len(samples)}")
    least = MIN_VARIANCE * samples.double().var(dim=0, correction=0)
    mixture, before = _clusters(samples, gaussians, seed, least), -math.inf
    bar = Bar(range(ITERATIONS), desc=f"fitting Gaussians to {name}", unit="iteration", leave=False)
    for _ in bar:
        s0, s1, s2, likelihood = mixture.moments(samples)
        mixture = _maximised(s0, s1, s2, least)
        bar.set_postfix(likelihood=f"{likelihood / len(samples):.4f}")
        if likelihood - before < TOLERANCE * len(samples):
            break
        before = likelihood
    return mixture


def _clusters(samples: Tensor, gaussians: int, seed: int, least: Tensor) -> Mixture:
    """Start with the counts and centres of k-means, and with the average variance of its clusters."""
    kmeans = KMeans(gaussians, n_init=1, max_iter=KMEANS_ITERATIONS, random_state=seed)
    with threadpool_limits(1, "openmp"):  # several threads add up in whatever order they end
        found = kmeans.fit(samples.cpu().numpy())
    labels = torch.from_numpy(found.labels_).long().to(samples.device)
    means = torch.from_numpy(found.cluster_centers_).to(samples)
    width = (samples - means[labels]).square_().mean(dim=0, dtype=torch.float64)
    counts = labels.bincount(minlength=gaussians).double().clamp(min=MIN_COUNT)
    return Mixture(counts / counts.sum(), means.double(), torch.maximum(width, least).expand_as(means).clone())


def _maximised(s0: Tensor, s1: Tensor, s2: Tensor, least: Tensor) -> Mixture:
    """Return the mixture that is most likely under the responsibilities, with ``least`` variances."""
    counts = s0.clamp(min=MIN_COUNT)
    means = s1 / counts[:, None]
    return Mixture(counts / counts.sum(), means, torch.maximum(s2 / counts[:, None] - means**2, least))
