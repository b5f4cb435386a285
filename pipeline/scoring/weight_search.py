"""Choose the weights of late fusion by the validation videos that it recognises."""

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
    """Chosen weights, and the validation that they were chosen by.

    Attributes
    ----------
    weights
        One weight a stream, of sum 1.
    accuracy
        Accuracy of the fusion by these weights, a fraction.
    alone
        Accuracy of each stream alone.
    videos
        Ids of the validation videos that have scores.
    failed
        Ids of those that have none, which count as wrong.
    """

    weights: tuple[float, ...]
    accuracy: float
    alone: tuple[float, ...]
    videos: tuple[str, ...]
    failed: tuple[str, ...]


def choose(streams: Sequence[Scores], labels: Mapping[str, tuple[int, ...]], fusion: Fusion) -> Choice:
    """Choose the weights by which the fusion recognises most validation videos.

    All weights of ``simplex`` are tried. Of those that recognise equally many the nearest to equal weights win, and of
    these the ones that give the labels the highest mean score.

    Parameters
    ----------
    streams
        Scores of validation videos, which must not be those that are reported on.
    labels
        Class indices of each video, by id.
    fusion
        A fusion with ``choose``.

    Returns
    -------
    Choice

    Raises
    ------
    InputError
        Where ids or classes differ, or no video has scores in every stream.
    """
    assert fusion.choose is not None
    aligned = align(streams)
    ids, failed = aligned[0].ids, aligned[0].failed
    if not ids:
        raise InputError("no validation video could be used in every stream: there is nothing to choose weights on")
    scored_labels, failed_labels = [labels[id] for id in ids], [labels[id] for id in failed]
    stacked = votes(aligned, fusion.rule)  # (stream, id, class)
    parts = fusion.choose.parts

    def merit(counts: tuple[int, ...]) -> tuple[float, int, float]:
        values = np.tensordot(np.array(counts) / parts, stacked, axes=1)
        inequality = sum((len(counts) * count - parts) ** 2 for count in counts)
        label_score = float(np.mean([values[row, list(several)].sum() for row, several in enumerate(scored_labels)]))
        return accuracy(values, scored_labels, failed_labels), -inequality, label_score

    best = max(simplex(len(streams), parts), key=merit)
    alone = tuple(accuracy(each, scored_labels, failed_labels) for each in stacked)
    return Choice(tuple(count / parts for count in best), merit(best)[0], alone, ids, failed)


def simplex(streams: int, parts: int) -> Iterator[tuple[int, ...]]:
    """Yield all ways to distribute ``parts`` over the streams, C(parts + streams − 1, streams − 1) of them.

    Examples
    --------
    >>> list(simplex(2, 2))
    [(0, 2), (1, 1), (2, 0)]
    """
    places = parts + streams - 1
    for bars in combinations(range(places), streams - 1):
        edges = (-1, *bars, places)
        yield tuple(right - left - 1 for left, right in pairwise(edges))
