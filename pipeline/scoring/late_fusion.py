"""Late fusion: align the scores of several streams by video id, and join them."""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.errors import InputError
from pipeline.scoring.fusion_config import Fusion
from pipeline.scoring.scores import Kind, Scores


def align(streams: Sequence[Scores]) -> list[Scores]:
    """Bring all streams to the first one's order of ids; a video that failed in one has failed in all.

    Parameters
    ----------
    streams
        Scores of the same videos and classes.

    Returns
    -------
    list of Scores
        Streams of the same ids.

    Raises
    ------
    InputError
        Naming an id that a stream lacks, or where the classes differ.
    """
    if not streams:
        raise InputError("there is no stream; at least one is needed")
    first = streams[0]
    expected = {*first.ids, *first.failed}
    failed = {id for stream in streams for id in stream.failed}
    for number, stream in enumerate(streams[1:], 2):
        if stream.classes != first.classes:
            raise InputError(f"stream {number} has other classes than stream 1; they must be the same, in one order")
        if odd := sorted(expected ^ {*stream.ids, *stream.failed}):
            one, other = (number, 1) if odd[0] in expected else (1, number)
            raise InputError(f"stream {one} lacks video {odd[0]!r}, which stream {other} has; ids must be the same")
    ids = [id for id in first.ids if id not in failed]
    return [stream.select(ids, sorted(failed)) for stream in streams]


def fuse(streams: Sequence[Scores], fusion: Fusion) -> Scores:
    """Join several streams into one, by video id.

    The rules are: "sum", the mean of the probabilities; "weighted", their weighted mean; "product", their product,
    renormalised, computed from logarithms so that it never underflows, a probability of 0 taken as the smallest
    positive number; "l1", the weighted sum of ℓ1-normalised logits, which are logits again; a video whose logits are
    all 0 stays 0.

    Parameters
    ----------
    streams
        Scores of the same videos and classes.
    fusion
        The rule and its weights.

    Returns
    -------
    Scores
        Logits for "l1", and probabilities otherwise.

    Raises
    ------
    InputError
        Where ids or classes differ, weights are not one a stream, or "l1" is given probabilities.

    Examples
    --------
    >>> rgb = Scores(("a",), np.array([[0.8, 0.2]]), "probabilities", ("run", "walk"))
    >>> flow = Scores(("a",), np.array([[0.6, 0.4]]), "probabilities", ("run", "walk"))
    >>> fuse([rgb, flow], Fusion(rule="sum")).values.round(3)
    array([[0.7, 0.3]])
    >>> fuse([rgb, flow], Fusion(rule="product")).values.round(3)
    array([[0.857, 0.143]])
    """
    try:
        fusion.check(len(streams))
    except ValueError as error:
        raise InputError(str(error)) from None
    aligned = align(streams)
    if not fusion.times_last:
        return _joined(aligned, fusion)
    return _joined([_joined(aligned[:-1], fusion), aligned[-1]], Fusion(rule="product"))


def votes(streams: Sequence[Scores], rule: str) -> np.ndarray:
    """Return what a rule takes weighted sums of.

    Parameters
    ----------
    streams
        Scores with the same ids.
    rule
        "l1" for ℓ1-normalised logits; any other for probabilities.

    Returns
    -------
    float64 array, shape (stream, id, class)

    Raises
    ------
    InputError
        Where "l1" is given probabilities.
    """
    if rule != "l1":
        return np.stack([stream.probabilities() for stream in streams])
    if any(stream.kind != "logits" for stream in streams):
        raise InputError(
            "the rule 'l1' needs scores before softmax from every stream; use 'weighted' for probabilities"
        )
    norms = [np.abs(stream.values).sum(axis=1, keepdims=True) for stream in streams]
    return np.stack([stream.values / np.where(norm > 0, norm, 1) for stream, norm in zip(streams, norms, strict=True)])


def _joined(aligned: Sequence[Scores], fusion: Fusion) -> Scores:
    if fusion.choose:
        raise InputError("the weights are not chosen yet; fuse needs those that choose found")
    weights = np.ones(len(aligned)) if fusion.weights is None else np.array(fusion.weights)
    kind: Kind = "logits" if fusion.rule == "l1" else "probabilities"
    first = aligned[0]
    return Scores(first.ids, _RULES[fusion.rule](aligned, weights), kind, first.classes, first.failed)


def _weighted_mean(streams: Sequence[Scores], weights: np.ndarray) -> np.ndarray:
    mean: np.ndarray = np.tensordot(weights / weights.sum(), votes(streams, "weighted"), axes=1)
    return mean


def _product(streams: Sequence[Scores], weights: np.ndarray) -> np.ndarray:
    from scipy.special import log_softmax  # slow to import, as in scores

    smallest = np.finfo(np.float64).tiny
    logs = [
        log_softmax(stream.values, axis=1) if stream.kind == "logits" else np.log(np.maximum(stream.values, smallest))
        for stream in streams
    ]
    product: np.ndarray = np.exp(log_softmax(np.sum(logs, axis=0), axis=1))
    return product


def _l1(streams: Sequence[Scores], weights: np.ndarray) -> np.ndarray:
    total: np.ndarray = np.tensordot(weights, votes(streams, "l1"), axes=1)
    return total


_RULES: dict[str, Callable[[Sequence[Scores], np.ndarray], np.ndarray]] = {
    "sum": _weighted_mean,
    "weighted": _weighted_mean,
    "product": _product,
    "l1": _l1,
}
