"""Fisher vectors: Sánchez, Perronnin, Mensink, Verbeek, *Image Classification with the Fisher Vector* (IJCV 2013)."""

from collections.abc import Mapping
from itertools import count, takewhile

import numpy as np
import torch
from torch import Tensor

from extractors.trajectories.gmm import Mixture


def fisher_vector(samples: Tensor, mixture: Mixture) -> Tensor:
    """Compute the normalised gradient of the samples' mean log-likelihood.

    Parameters
    ----------
    samples : Tensor of float64, shape (n, dim)
    mixture : Mixture

    Returns
    -------
    Tensor of float64, shape (2, gaussians, dim)
        By the means, then by the standard deviations; 0 without samples.

    Notes
    -----
    Both are divided by the approximate root of the Fisher information, which is √weight / std for means, and √2 times
    as much for standard deviations.

    References
    ----------
    Sánchez, Perronnin, Mensink, Verbeek, *Image Classification with the Fisher Vector* (IJCV 2013), section 2.3.
    """
    s0, s1, s2, _ = mixture.moments(samples)
    means, variances, scale = mixture.means, mixture.variances, mixture.weights[:, None].sqrt() * max(1, len(samples))
    by_means = (s1 - means * s0[:, None]) / variances.sqrt()
    by_stds = (s2 - 2 * means * s1 + (means**2 - variances) * s0[:, None]) / variances
    return torch.stack([by_means / scale, by_stds / (2**0.5 * scale)])


class FisherVectors:
    """Encodes the features of a video as one Fisher vector for each of their descriptors, one after the other.

    Parameters
    ----------
    state : mapping of str to Tensor
        For descriptor n the PCA, ``n.mean (width,)`` and ``n.components (dims, width)``, and the mixture,
        ``n.weights``, ``n.means`` and ``n.variances``.

    Notes
    -----
    The Fisher vector of a descriptor's principal components goes through the signed square root and is normalised to
    a length of 1.

    References
    ----------
    Sánchez, Perronnin, Mensink, Verbeek, *Image Classification with the Fisher Vector* (IJCV 2013), section 2.3.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        numbers = list(takewhile(lambda number: f"{number}.mean" in state, count()))
        self.projections = [(state[f"{n}.mean"], state[f"{n}.components"].double()) for n in numbers]
        self.mixtures = [
            Mixture(*(state[f"{n}.{name}"] for name in ("weights", "means", "variances"))) for n in numbers
        ]

    @torch.inference_mode()
    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Encode features.

        Parameters
        ----------
        features : ndarray of float, shape (n, Σ widths)
            All descriptors side by side.

        Returns
        -------
        ndarray of float32, shape (2·gaussians·Σ dims,)
            0 throughout where there are no features.
        """
        widths = [len(mean) for mean, _ in self.projections]
        parts = torch.from_numpy(features).split(widths, dim=1)
        vectors = []
        for part, (mean, components), mixture in zip(parts, self.projections, self.mixtures, strict=True):
            vector = fisher_vector((part.double() - mean) @ components.T, mixture).flatten()
            rooted = vector.sign() * vector.abs().sqrt()
            vectors.append(torch.nn.functional.normalize(rooted, dim=0))
        return torch.cat(vectors).float().numpy()
