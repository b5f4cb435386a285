"""Fisher vectors: Sánchez, Perronnin, Mensink, Verbeek, *Image Classification with the Fisher Vector* (IJCV 2013)."""

from collections.abc import Mapping
from itertools import count, takewhile

import numpy as np
import torch
from torch import Tensor

from extractors.trajectories.gmm import Mixture


def fisher_vector(samples: Tensor, mixture: Mixture) -> Tensor:
    """(n, dim) float64 -> (2, gaussians, dim): section 2.3, the gradient of their mean log-likelihood.

    By the means, then by the deviations; both divided by the approximate root of the Fisher information, which is
    √weight / deviation for means, and √2 times as much for deviations. Without samples it is 0.
    """
    ones, firsts, seconds, _ = mixture.moments(samples)
    means, variances, share = mixture.means, mixture.variances, mixture.weights[:, None].sqrt() * max(1, len(samples))
    by_means = (firsts - means * ones[:, None]) / variances.sqrt()
    by_deviations = (seconds - 2 * means * firsts + (means**2 - variances) * ones[:, None]) / variances
    return torch.stack([by_means / share, by_deviations / (2**0.5 * share)])


class FisherVectors:
    """Features (n, dim) of several descriptors side by side to one vector (2·gaussians·Σ dims,) float32.

    Of each descriptor its principal components' Fisher vector, by signed square root (section 2.3) and divided by its
    length; these one after the other, each of length 1, or all 0 where there are no features.

    state: for descriptor n the tensors ``n.mean (width,)`` and ``n.components (dims, width)``, and the mixture's
    ``n.weights``, ``n.means`` and ``n.variances``.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        numbers = list(takewhile(lambda number: f"{number}.mean" in state, count()))
        self.projections = [(state[f"{n}.mean"], state[f"{n}.components"].double()) for n in numbers]
        self.mixtures = [
            Mixture(*(state[f"{n}.{name}"] for name in ("weights", "means", "variances"))) for n in numbers
        ]

    @torch.inference_mode()
    def __call__(self, features: np.ndarray) -> np.ndarray:
        widths = [len(mean) for mean, _ in self.projections]
        parts = torch.from_numpy(features).split(widths, dim=1)
        vectors = []
        for part, (mean, components), mixture in zip(parts, self.projections, self.mixtures, strict=True):
            vector = fisher_vector((part.double() - mean) @ components.T, mixture).flatten()
            rooted = vector.sign() * vector.abs().sqrt()
            vectors.append(torch.nn.functional.normalize(rooted, dim=0))
        return torch.cat(vectors).float().numpy()
