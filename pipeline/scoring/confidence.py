"""Compute confidence intervals of figures on a finite number of test videos.

They tell what other test videos of the same kind would give; what another seed or fold would give is told by the
deviation over runs.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
"""Probability with which an interval holds the true figure."""
_QUANTILE = 1.959963984540054
"""Quantile of the standard normal distribution at (1 + ``LEVEL``) / 2."""
_RESAMPLES = 2000
_NUMBERS = 2**22
"""Numbers of confusions that are computed with at once."""


class Interval(NamedTuple):
    """Lower and upper end, as fractions."""

    low: float
    high: float


def wilson(hits: int, total: int) -> Interval:
    """Return Wilson's score interval of a share of hits.

    References
    ----------
    Wilson, *Probable Inference, the Law of Succession, and Statistical Inference*, Journal of the American Statistical
    Association 22 (1927).

    Examples
    --------
    >>> [round(end, 4) for end in wilson(9, 10)]
    [0.5958, 0.9821]
    """
    share, square = hits / total, _QUANTILE**2 / total
    centre = (share + square / 2) / (1 + square)
    half = _QUANTILE * math.sqrt(share * (1 - share) / total + square / (4 * total)) / (1 + square)
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def bootstrap(figures: Mapping[str, Callable[[np.ndarray], np.ndarray]], counts: np.ndarray) -> dict[str, Interval]:
    """Return the percentile intervals of figures over test videos that are drawn again and again with replacement.

    Drawing as many videos as there are is drawing a confusion from the multinomial distribution of its cells, so that a
    figure of the confusion needs no video itself. The same counts give the same intervals.

    Parameters
    ----------
    figures
        By name, what computes a figure (…) from confusions (…, class, class + 1); the last column counts failed videos.
    counts
        The confusion of the test videos.

    References
    ----------
    Efron and Tibshirani, *An Introduction to the Bootstrap* (1993), section 13.3.
    """
    rng, cells = np.random.default_rng(0), np.flatnonzero(counts)
    total, found = int(counts.sum()), np.empty((len(figures), _RESAMPLES))
    shares = counts.ravel()[cells] / total
    at_once = max(1, _NUMBERS // counts.size)
    for start in range(0, _RESAMPLES, at_once):
        block = found[:, start : start + at_once]
        drawn = np.zeros((block.shape[1], counts.size), np.int64)
        drawn[:, cells] = rng.multinomial(total, shares, block.shape[1])
        block[:] = [figure(drawn.reshape(-1, *counts.shape)) for figure in figures.values()]
    ends = np.nanquantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1).T.tolist()
    return {name: Interval(*pair) for name, pair in zip(figures, ends, strict=True)}
