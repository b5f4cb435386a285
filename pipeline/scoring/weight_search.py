"""Weights of late fusion, chosen by what the fusion recognises of validation videos."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np

from pipeline.errors import InputError
from pipeline.scoring.fusion_config import Fusion
from pipeline.scoring.late_fusion import align, votes
from pipeline.scoring.metrics import accuracy
from pipeline.scoring.scores import Scores


class Choice(NamedTuple):
    """Chosen weights, and on what.

    weights: one a stream, of sum 1; accuracy: of the fusion by them, a fraction; alone: of each stream; videos: ids of
    those that have scores; failed: of those that have none, which count as wrong.
    """

    weights: tuple[float, ...]
    accuracy: float
    alone: tuple[float, ...]
    videos: tuple[str, ...]
    failed: tuple[str, ...]


def choose(streams: Sequence[Scores], labels: Mapping[str, tuple[int, ...]], fusion: Fusion) -> Choice:
    """The weights of the streams that recognise most of their videos, which must not be those that are reported on.

    All of ``simplex`` are tried. Of several that recognise as many those win that are nearest to equal, and of these
    those that give the labels the largest share.
    Raises InputError where ids or classes differ, or no video has scores in every stream.
    """
    assert fusion.choose is not None
    aligned = align(streams)
    ids, failed = aligned[0].ids, aligned[0].failed
    if not ids:
        raise InputError("no validation video could be used in every stream: there is nothing to choose weights on")
    known, lacking = [labels[id] for id in ids], [labels[id] for id in failed]
    stacked = votes(aligned, fusion.rule)  # (stream, id, class)
    parts = fusion.choose.parts

    def merit(counts: tuple[int, ...]) -> tuple[float, int, float]:
        values = np.tensordot(np.array(counts) / parts, stacked, axes=1)
        spread = sum((len(counts) * count - parts) ** 2 for count in counts)
        share = float(np.mean([values[row, list(several)].sum() for row, several in enumerate(known)]))
        return accuracy(values, known, lacking), -spread, share

    best = max(simplex(len(streams), parts), key=merit)
    alone = tuple(accuracy(each, known, lacking) for each in stacked)
    return Choice(tuple(count / parts for count in best), merit(best)[0], alone, ids, failed)


def simplex(streams: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to deal so many parts to the streams, C(parts + streams − 1, streams − 1) of them.

    >>> list(simplex(2, 2))
    [(0, 2), (1, 1), (2, 0)]
    """
    places = parts + streams - 1
    for bars in combinations(range(places), streams - 1):
        edges = (-1, *bars, places)
        yield tuple(right - left - 1 for left, right in pairwise(edges))
