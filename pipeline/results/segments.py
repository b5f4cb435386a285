"""Joins what is said of a film window by window into what is said of each moment, and that into segments."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np

UNKNOWN = "unknown"
"""Answer about what shows its best class less probably than the threshold."""


def named(probabilities: np.ndarray, classes: Sequence[str], threshold: float) -> str:
    """Return the most probable class, or ``UNKNOWN`` where it is less probable than the threshold."""
    return classes[int(probabilities.argmax())] if probabilities.max() >= threshold else UNKNOWN


class Segment(NamedTuple):
    """Part of a film, in seconds, that shows one class, with the mean of its probability."""

    start_s: float
    end_s: float
    name: str
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Probabilities of the classes over a film: those of a moment are the mean of all windows that hold it.

    Attributes
    ----------
    edges : array, shape (moments + 1,)
        Times in seconds between which the probabilities stay the same: where windows begin or end.
    probabilities : array, shape (moments, class)
        NaN where no window could be used.
    """

    edges: np.ndarray
    probabilities: np.ndarray

    @classmethod
    def of(cls, spans: Sequence[tuple[float, float]], probabilities: np.ndarray) -> "Moments":
        """Smooth what is said of windows.

        Parameters
        ----------
        spans
            Beginning and end of each window, in seconds.
        probabilities : array, shape (window, class)
            What is said of each.

        Examples
        --------
        >>> moments = Moments.of([(0.0, 2.0), (1.0, 3.0)], np.array([[1.0, 0.0], [0.0, 1.0]]))
        >>> moments.edges, moments.probabilities[:, 0]
        (array([0., 1., 2., 3.]), array([1. , 0.5, 0. ]))
        """
        edges = np.unique(np.array(spans))
        sums, counts = np.zeros((len(edges) - 1, probabilities.shape[1])), np.zeros((len(edges) - 1, 1))
        for (first, last), row in zip(np.searchsorted(edges, np.array(spans)), probabilities, strict=True):
            sums[first:last] += row
            counts[first:last] += 1
        means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
        return cls(edges, means)

    @property
    def middles(self) -> np.ndarray:
        """Time of the middle of each moment, (moments,), in seconds."""
        middles: np.ndarray = (self.edges[:-1] + self.edges[1:]) / 2
        return middles

    def at(self, time_s: float) -> np.ndarray:
        """Return the probabilities at a time, (class,): those of the nearest moment outside of all."""
        place = np.searchsorted(self.edges, time_s, side="right") - 1
        return np.asarray(self.probabilities[np.clip(place, 0, len(self.probabilities) - 1)])

    def segments(self, classes: Sequence[str], threshold: float = 0.0) -> list[Segment]:
        """List the longest parts throughout which the same class is the most probable one.

        Where it is less probable than the threshold, the answer is "unknown"; where no window could be used there is no
        segment.

        Examples
        --------
        >>> moments = Moments.of([(0.0, 2.0), (1.0, 3.0)], np.array([[0.9, 0.1], [0.2, 0.8]]))
        >>> [(segment.start_s, segment.end_s, segment.name) for segment in moments.segments(["run", "walk"])]
        [(0.0, 2.0, 'run'), (2.0, 3.0, 'walk')]
        """
        known = [place for place, row in enumerate(self.probabilities) if not np.isnan(row).any()]
        names = {place: named(self.probabilities[place], classes, threshold) for place in known}
        found = []
        for _, group in groupby(enumerate(known), key=lambda pair: (pair[1] - pair[0], names[pair[1]])):
            places = [place for _, place in group]
            lengths = np.diff(self.edges)[places]
            best = self.probabilities[places].max(axis=1)
            start, end = self.edges[places[0]], self.edges[places[-1] + 1]
            confidence = float(np.average(best, weights=lengths))
            found.append(Segment(float(start), float(end), names[places[0]], confidence))
        return found
