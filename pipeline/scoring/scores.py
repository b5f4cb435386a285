"""Check, save and load the scores of test videos by id."""

import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from pipeline.errors import InputError
from pipeline.files.atomic import atomic_path, quarantine
from pipeline.files.place import check_place

Kind = Literal["logits", "probabilities"]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One stream's scores of the test videos.

    Parameters
    ----------
    ids
        Videos that have scores.
    values : array, shape (id, class)
        Scores; kept as a read-only float64 copy.
    kind
        "logits", before softmax, or "probabilities".
    classes
        Names of the classes.
    failed
        Test videos without scores, which count as wrong in every metric.

    Raises
    ------
    InputError
        Where a value is not finite, an id or a class occurs twice, shapes differ, or probabilities do not sum to 1.

    Examples
    --------
    >>> scores = Scores(("a", "b"), np.zeros((2, 4)), "logits", ("box", "clap", "run", "walk"))
    >>> scores.probabilities()[0]
    array([0.25, 0.25, 0.25, 0.25])
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
        if duplicate := _duplicate((*self.ids, *self.failed)):
            raise InputError(f"video {duplicate!r} occurs twice among the scores; every id may occur once")
        if duplicate := _duplicate(self.classes):
            raise InputError(f"class {duplicate!r} occurs twice; names of classes must differ")
        self._refuse(~np.isfinite(values), "scores that are not finite")
        if self.kind == "probabilities":
            self._refuse(
                (values < 0) | (np.abs(values.sum(axis=1, keepdims=True) - 1) > 1e-4),
                "probabilities that are negative or do not sum to 1",
            )

    def _refuse(self, wrong: np.ndarray, what: str) -> None:
        if wrong.any():
            raise InputError(f"video {self.ids[int(wrong.any(axis=1).argmax())]!r} has {what}")

    def probabilities(self) -> np.ndarray:
        """Return probabilities (id, class): the values themselves, or the softmax of logits."""
        from scipy.special import log_softmax  # takes half a second, which most commands have no use for

        return self.values if self.kind == "probabilities" else np.exp(log_softmax(self.values, axis=1))

    def select(self, ids: Sequence[str], failed: Sequence[str] = ()) -> Self:
        """Return the scores of ``ids``, in their order. Raises KeyError where one has no scores."""
        row_of = {id: row for row, id in enumerate(self.ids)}
        rows = np.array([row_of[id] for id in ids], np.intp)
        return type(self)(tuple(ids), self.values[rows], self.kind, self.classes, tuple(failed))

    def save(self, path: Path, provenance: Mapping[str, Any]) -> None:
        """Write an .npz archive atomically.

        Parameters
        ----------
        path
            The file to write.
        provenance
            Where the scores come from, JSON values.
        """
        ids, classes, failed = (np.array(names, np.str_) for names in (self.ids, self.classes, self.failed))
        names = {"ids": ids, "classes": classes, "failed": failed, "kind": np.array(self.kind)}
        origin = np.array(json.dumps(provenance, sort_keys=True))
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, values=self.values, provenance=origin, **names)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote. Raises DamagedStore where it is damaged or lies elsewhere, and quarantines it."""
        try:
            with np.load(path, allow_pickle=False) as archive:
                check_place(path, _provenance(archive))
                ids, classes, failed = (tuple(archive[name].tolist()) for name in ("ids", "classes", "failed"))
                return cls(ids, archive["values"], archive["kind"].item(), classes, failed)
        except (zipfile.BadZipFile, KeyError, ValueError, EOFError, AttributeError) as error:
            quarantine(path, error)


def provenance(path: Path) -> dict[str, Any]:
    """Return where a file of scores comes from.

    Raises what ``np.load`` does where the file is damaged, KeyError where it does not say, Contradiction where it lies
    elsewhere.
    """
    with np.load(path, allow_pickle=False) as archive:
        check_place(path, _provenance(archive))
        return dict(json.loads(archive["provenance"].item()))


def _provenance(archive: Any) -> str | None:
    return archive["provenance"].item() if "provenance" in archive else None


def _duplicate(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)
