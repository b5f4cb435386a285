"""Chooses the test videos that a report shows: the most confident right and wrong ones, and some that failed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from pipeline.results.result import FUSION, Result
from pipeline.scoring.scores import Scores

SHOWN = 12
SHOWN_FAILED = 2
KINDS = ("right", "mended", "spoilt", "wrong")
"""Right everywhere; right in the fusion, not in every stream; wrong in the fusion, not in every stream; wrong
everywhere. Of one stream alone there are the first and the last."""


class Opinion(NamedTuple):
    """Judgement of a stream, or of the fusion, on a video.

    best: five classes, or all of fewer, and their probabilities, falling; of equal ones the class with the lower index
    comes first, as in the figures. place: of the most probable label, counted from 1; probability: its own.
    """

    name: str
    best: tuple[tuple[str, float], ...]
    label: str
    place: int
    probability: float

    @property
    def right(self) -> bool:
        """Return whether the best class is a label."""
        return self.place == 1


@dataclass(frozen=True, slots=True)
class Example:
    """One test video of the first run.

    opinions: the experiment's own first, the fusion's where there is one, then those of the streams; none of a video
    that failed.
    """

    video: str
    labels: tuple[str, ...]
    opinions: tuple[Opinion, ...] = ()

    @property
    def failed(self) -> bool:
        """Return whether the video could not be used, and so has no scores."""
        return not self.opinions

    @property
    def right(self) -> bool:
        """Return whether the experiment recognises the video."""
        return not self.failed and self.opinions[0].right

    @property
    def kind(self) -> str:
        """Name the group under which it is shown: one of ``KINDS``, or "failed"."""
        if self.failed:
            return "failed"
        agreed = all(opinion.right == self.right for opinion in self.opinions)
        return KINDS[(0 if agreed else 1) if self.right else (3 if agreed else 2)]


def choose(result: Result) -> list[Example]:
    """Choose at most twelve videos of the first run, kind by kind, the most confident of each kind first.

    Each is its class's most confident of its kind, and the kinds have equal shares of the places, or all that there
    are; the first two failed videos are shown. Confidence is that of the experiment's own scores. Deterministic.
    """
    run = result.runs[0]
    names = [stream.name for stream in result.streams]
    fused = [] if run.fused is None else [(FUSION, run.fused)]
    given = [(name, _by_id(scores)) for name, scores in [*fused, *zip(names, run.scores, strict=True)]]
    own = given[0][1]
    order = sorted(own, key=lambda id: (-own[id].max(), id))
    candidates = [_example(result, id, [(name, known[id]) for name, known in given]) for id in order]
    failed = [Example(id, _names(result, id)) for id in sorted(run.final.failed)[:SHOWN_FAILED]]
    kinds = [_one_a_class(each for each in candidates if each.kind == kind) for kind in KINDS]
    chosen = list(_in_turn(kinds))[: SHOWN - len(failed)]
    return [*sorted(chosen, key=lambda example: KINDS.index(example.kind)), *failed]


def _by_id(scores: Scores) -> dict[str, np.ndarray]:
    return dict(zip(scores.ids, scores.probabilities(), strict=True))


def _example(result: Result, id: str, said: Sequence[tuple[str, np.ndarray]]) -> Example:
    return Example(id, _names(result, id), tuple(_opinion(result, id, name, row) for name, row in said))


def _opinion(result: Result, id: str, name: str, probabilities: np.ndarray) -> Opinion:
    order = np.argsort(-probabilities, kind="stable").tolist()
    best = tuple((result.classes[place], float(probabilities[place])) for place in order[:5])
    label = min(result.labels[id], key=order.index)
    return Opinion(name, best, result.classes[label], order.index(label) + 1, float(probabilities[label]))


def _names(result: Result, id: str) -> tuple[str, ...]:
    return tuple(result.classes[label] for label in result.labels[id])


def _one_a_class(examples: Iterable[Example]) -> list[Example]:
    first: dict[str, Example] = {}
    for example in examples:
        first.setdefault(example.labels[0], example)
    return list(first.values())


def _in_turn(kinds: Sequence[Sequence[Example]]) -> Iterator[Example]:
    """The first of each kind, the second of each, and so on."""
    yield from (example for row in zip_longest(*kinds) for example in row if example is not None)
