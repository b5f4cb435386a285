"""Extraction by a network: batches are prepared, the network computes on each, and rows are made of what it returns."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.rows import Row
from pipeline.training.prefetch import prefetch

Prepared = np.ndarray | Row
"""A batch that a network computes on; or, after all batches of a row, the row without what the network adds to it."""


@dataclass(frozen=True, slots=True)
class NetworkExtraction:
    """An extraction whose network computes apart from what is prepared for it, which another process may do.

    Attributes
    ----------
    prepare
        Turns what the extractor reads into the batches of each row, followed by the row itself. It is pickled where
        another process prepares, and so needs neither the network nor a GPU. No batch has items of two videos, so that
        rows do not depend on each other.
    network
        Computes on a batch, which it must neither keep nor change.
    finish
        Makes a row, given what the network returned for each of its batches, and the row as it was prepared.
    """

    prepare: Callable[[Any], Iterator[Prepared]]
    network: Callable[[np.ndarray], Any]
    finish: Callable[[list[Any], Row], Row]

    def __call__(self, source: Any) -> Iterator[Row]:
        """Make the rows of one video; a batch is prepared in another thread while the network computes on another."""
        return self.compute(prefetch(self.prepare(source)))

    def compute(self, prepared: Iterable[Prepared]) -> Iterator[Row]:
        """Make the rows of one video from what ``prepare`` yields of it."""
        computed: list[Any] = []
        for item in prepared:
            if isinstance(item, Row):
                yield self.finish(computed, item)
                computed = []
            else:
                computed.append(self.network(item))
