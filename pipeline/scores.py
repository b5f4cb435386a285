"""Scores of test videos by id: checked, saved, aligned and fused."""

import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.files.atomic import set_aside, whole

Kind = Literal["logits", "probabilities"]
MOST_TRIED = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One stream's scores of the test videos.

    ids: the videos that have scores; values: (id, class) float64, read-only; kind: before softmax or after it;
    classes: their names; failed: test videos without scores, which count as wrong in every figure.
    Raises InputError where a value is not finite, an id occurs twice, shapes differ or probabilities do not sum to 1.
    """

    ids: tuple[str, ...]
    values: np.ndarray
    kind: Kind
    classes: tuple[str, ...]
    failed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        values = np.array(self.values, np.float64)
        values.setflags(write=False)
        object.__setattr__(self, "values", values)
        if values.shape != (len(self.ids), len(self.classes)):
            raise InputError(
                f"scores have shape {values.shape}; {len(self.ids)} videos × {len(self.classes)} classes are needed"
            )
        if double := _doubled((*self.ids, *self.failed)):
            raise InputError(f"video {double!r} occurs twice among the scores; every id may occur once")
        if double := _doubled(self.classes):
            raise InputError(f"class {double!r} occurs twice; names of classes must differ")
        self._first_wrong(~np.isfinite(values), "scores that are not finite")
        if self.kind == "probabilities":
            self._first_wrong(
                (values < 0) | (np.abs(values.sum(axis=1, keepdims=True) - 1) > 1e-4),
                "probabilities that are negative or do not sum to 1",
            )

    def _first_wrong(self, wrong: np.ndarray, what: str) -> None:
        if wrong.any():
            raise InputError(f"video {self.ids[int(wrong.any(axis=1).argmax())]!r} has {what}")

    def probabilities(self) -> np.ndarray:
        """(id, class): the values themselves, or their softmax."""
        return self.values if self.kind == "probabilities" else np.exp(_log_softmax(self.values))

    def select(self, ids: Sequence[str], failed: Sequence[str] = ()) -> Self:
        """The same scores in the order of ``ids``, each of which must have scores."""
        place = {id: row for row, id in enumerate(self.ids)}
        rows = np.array([place[id] for id in ids], np.intp)
        return type(self)(tuple(ids), self.values[rows], self.kind, self.classes, tuple(failed))

    def save(self, path: Path, provenance: Mapping[str, Any]) -> None:
        """Write an .npz archive atomically; provenance: where the scores come from, JSON values."""
        ids, classes, failed = (np.array(names, np.str_) for names in (self.ids, self.classes, self.failed))
        names = {"ids": ids, "classes": classes, "failed": failed, "kind": np.array(self.kind)}
        origin = np.array(json.dumps(provenance, sort_keys=True))
        with whole(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, values=self.values, provenance=origin, **names)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote. Raises DamagedStore, having set the file aside, where it is not whole."""
        try:
            with np.load(path, allow_pickle=False) as archive:
                ids, classes, failed = (tuple(archive[name].tolist()) for name in ("ids", "classes", "failed"))
                return cls(ids, archive["values"], archive["kind"].item(), classes, failed)
        except (zipfile.BadZipFile, KeyError, ValueError, EOFError, AttributeError) as error:
            set_aside(path, error)


def provenance(path: Path) -> dict[str, Any]:
    """Where a file of scores comes from. Raises what ``np.load`` does where the file is damaged."""
    with np.load(path, allow_pickle=False) as archive:
        return dict(json.loads(archive["provenance"].item()))


class Chosen(Config):
    """Weights that recognise most videos of a validation part of each fold's training videos; never of its test part.

    The weighted streams are trained again, all that is fitted for them too, on the rest of the training videos. Tried
    are all weights that are multiples of 1 / parts and sum to 1; a last stream that is multiplied on has no say.
    """

    validation: float = Field(gt=0, lt=1, description="the share of the training videos that is held out to choose on")
    seed: NonNegativeInt = Field(0, description="of the draw of groups, or of videos where there are no groups")
    parts: PositiveInt = 20


class Fusion(Config):
    """How streams become one.

    sum, weighted and product join the softmax outputs (Lakhal et al. 2018, late fusion); l1 joins the scores before
    softmax, each video's divided by its ℓ1 norm (Ng and Davis 2018). Weights are in the order of the streams, given or
    chosen. times_last: the rule joins all streams but the last, whose probabilities are multiplied onto the result, as
    Lakhal et al. do with improved dense trajectories.
    """

    rule: Literal["sum", "product", "weighted", "l1"] = "product"
    weights: tuple[NonNegativeFloat, ...] | None = None
    choose: Chosen | None = None
    times_last: bool = False

    @model_validator(mode="after")
    def _weights_where_used(self) -> Self:
        given = (self.weights is not None) + (self.choose is not None)
        if self.rule in ("weighted", "l1") and given != 1:
            raise ValueError(
                f"the rule {self.rule!r} needs either weights, one a stream, or choose, by which to find them"
            )
        if self.rule in ("sum", "product") and given:
            raise ValueError(f"the rule {self.rule!r} takes no weights; 'weighted' and 'l1' do")
        if self.weights is not None and not any(self.weights):
            raise ValueError("all weights are 0; at least one must be more")
        return self

    def by(self, weights: tuple[float, ...]) -> Self:
        """The same with the weights that were chosen."""
        return type(self)(rule=self.rule, weights=weights, times_last=self.times_last)

    def check(self, streams: int) -> None:
        """Raises ValueError where the fusion does not fit so many streams."""
        weighted = streams - self.times_last
        if weighted < 2 and self.times_last:
            raise ValueError(f"times_last needs at least 3 streams, two to join and the last; there are {streams}")
        if self.weights is not None and len(self.weights) != weighted:
            last = " before the last" if self.times_last else ""
            raise ValueError(f"fusion has {len(self.weights)} weights for {weighted} streams{last}")
        if self.choose and (tried := comb(self.choose.parts + weighted - 1, weighted - 1)) > MOST_TRIED:
            raise ValueError(
                f"choose has {tried:,} weights to try for {weighted} streams with parts = {self.choose.parts}; "
                f"no more than {MOST_TRIED:,} are tried: take fewer parts"
            )


def align(streams: Sequence[Scores]) -> list[Scores]:
    """All streams in the first one's order of ids; what failed in one has failed in all.

    Raises InputError that names an id which a stream lacks, or where the classes differ.
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
    """One stream out of several, joined by id.

    sum: mean of the probabilities. weighted: their weighted mean. product: their product, renormalised; taken of
    logarithms, so that it never underflows, with a probability of 0 as the smallest positive number. l1: weighted
    sum of ℓ1-normalised logits, which are logits again; a video whose logits are all 0 stays 0.
    Raises InputError where ids or classes differ, the weights are not one a stream, or l1 is given probabilities.
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
    """(stream, id, class): what a rule takes weighted sums of, from streams with the same ids."""
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
        raise InputError("the weights are still to be chosen; fuse wants the chosen ones")
    weights = np.ones(len(aligned)) if fusion.weights is None else np.array(fusion.weights)
    kind: Kind = "logits" if fusion.rule == "l1" else "probabilities"
    first = aligned[0]
    return Scores(first.ids, _RULES[fusion.rule](aligned, weights), kind, first.classes, first.failed)


def _weighted_mean(streams: Sequence[Scores], weights: np.ndarray) -> np.ndarray:
    mean: np.ndarray = np.tensordot(weights / weights.sum(), votes(streams, "weighted"), axes=1)
    return mean


def _product(streams: Sequence[Scores], weights: np.ndarray) -> np.ndarray:
    smallest = np.finfo(np.float64).tiny
    logs = [
        _log_softmax(stream.values) if stream.kind == "logits" else np.log(np.maximum(stream.values, smallest))
        for stream in streams
    ]
    product: np.ndarray = np.exp(_log_softmax(np.sum(logs, axis=0)))
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


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    normalised: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normalised


def _doubled(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)
