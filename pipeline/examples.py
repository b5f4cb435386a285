"""Which test videos a report shows: the most confident right ones, the most confident mistakes, and failed ones."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.results import Result

SHOWN = 12
SHOWN_FAILED = 2


@dataclass(frozen=True, slots=True)
class Example:
    """One test video of the first run; best: up to five classes and their probabilities, falling, none of a failed one.

    Of equal probabilities the class with the lower index comes first, as in the figures.
    """

    video: str
    labels: tuple[str, ...]
    best: tuple[tuple[str, float], ...] = ()

    @property
    def failed(self) -> bool:
        """Whether there are no scores of it."""
        return not self.best

    @property
    def right(self) -> bool:
        """Whether the best class is a label."""
        return not self.failed and self.best[0][0] in self.labels


def choose(result: Result) -> list[Example]:
    """At most twelve of the first run: right ones, mistakes, failed ones, each kind by falling confidence.

    Each is its class's most confident of its kind; the first two failed videos are shown. Deterministic.
    """
    scores = result.runs[0].final
    probabilities = scores.probabilities()
    order = sorted(range(len(scores.ids)), key=lambda row: (-probabilities[row].max(), scores.ids[row]))
    candidates = [_example(result, scores.ids[row], probabilities[row]) for row in order]
    failed = [Example(id, _names(result, id)) for id in sorted(scores.failed)[:SHOWN_FAILED]]
    right = _one_a_class(example for example in candidates if example.right)
    wrong = _one_a_class(example for example in candidates if not example.right)
    places = SHOWN - len(failed)
    wrong = wrong[: max(places // 2, places - len(right))]
    return [*right[: places - len(wrong)], *wrong, *failed]


def _example(result: Result, id: str, probabilities: np.ndarray) -> Example:
    best = np.argsort(-probabilities, kind="stable")[:5]
    return Example(
        id, _names(result, id), tuple((result.classes[place], float(probabilities[place])) for place in best)
    )


def _names(result: Result, id: str) -> tuple[str, ...]:
    return tuple(result.classes[label] for label in result.labels[id])


def _one_a_class(examples: Iterable[Example]) -> list[Example]:
    first: dict[str, Example] = {}
    for example in examples:
        first.setdefault(example.labels[0], example)
    return list(first.values())
