"""Measure how far two sets of features of the same videos are apart."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

Arrays = Mapping[str, np.ndarray]
"""The arrays of one row, by name."""
NUMBERS_AT_ONCE = 1 << 22
"""Number of an array's elements that are compared at a time, in float64."""


class FeatureSet:
    """Arrays of features by video id, in whatever format they are stored.

    Attributes
    ----------
    videos
        Ids of the videos that have rows.
    failed
        Why others have none, by id.
    bare
        Whether each video has a single array without a name, which stands for ``features``; of the other side only
        that array is compared.
    """

    videos: frozenset[str]
    failed: dict[str, str]
    bare: bool

    def read(self, video: str) -> list[Arrays]:
        """Read the arrays of each variant of a video, in order."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference of one array of one row between sides A and B; a measure is None where it does not apply.

    Attributes
    ----------
    video, variant, array
        Id of the video, number of the variant and name of the array.
    remark
        Why nothing could be compared; "" where it could.
    mean_cosine, least_cosine
        Mean and minimum of the cosines of the steps along the first axis, each flattened; an array of one axis is a
        single step.
    max_difference
        Largest absolute difference; infinite where a number is not finite on one side alone, or differently.
    mean_epe_px, epe95_px
        End-point errors of optical flow in px: mean and 95th percentile over all pixels and steps.
    not_finite
        Number of elements that are NaN or infinite, in A and in B.
    """

    video: str
    variant: int | None = None
    array: str = ""
    remark: str = ""
    mean_cosine: float | None = None
    least_cosine: float | None = None
    max_difference: float | None = None
    mean_epe_px: float | None = None
    epe95_px: float | None = None
    not_finite: tuple[int, int] = (0, 0)

    def within(self, tolerance: float) -> bool:
        """Return whether both sides have the array, and no number differs by more than ``tolerance``.

        Examples
        --------
        >>> Difference("a", max_difference=1e-6).within(1e-5)
        True
        """
        return not self.remark and (self.max_difference or 0.0) <= tolerance


def compare(a: FeatureSet, b: FeatureSet, video: str, array: str | None = None) -> Iterator[Difference]:
    """Compare one video's rows, array by array.

    Parameters
    ----------
    a, b
        The two sides.
    video
        The video's id.
    array
        Name of the only array to compare, for which an array without a name stands; None for all.

    Yields
    ------
    Difference
        One for each array of each variant; none where the video failed on both sides.
    """
    if video not in a.videos or video not in b.videos:
        if remark := _absence(a, b, video):
            yield Difference(video, remark=remark)
        return
    ours, theirs = ([_chosen(side, with_flow(arrays), array) for arrays in side.read(video)] for side in (a, b))
    for variant in range(max(len(ours), len(theirs))):
        if variant >= len(ours) or variant >= len(theirs):
            yield Difference(video, variant, remark=_only(variant < len(ours)))
            continue
        left, right = ours[variant], theirs[variant]
        names = left.keys() & right.keys() if a.bare or b.bare else left.keys() | right.keys()
        if not names and array is not None:
            yield Difference(video, variant, remark=f"no array {array!r}")
        elif not names:
            names_of_both = f"{', '.join(sorted(left))} in A, and {', '.join(sorted(right))} in B"
            yield Difference(video, variant, remark=f"no array of one name: {names_of_both}; --array chooses one")
        for name in sorted(names):
            if name in left and name in right:
                yield difference(left[name], right[name], video, variant, name)
            else:
                yield Difference(video, variant, name, _only(name in left))


def difference(a: np.ndarray, b: np.ndarray, video: str, variant: int, name: str) -> Difference:
    """Measure how far two arrays are apart.

    The cosine of two zero vectors is 1, and that of a zero vector and another is 0.

    Parameters
    ----------
    a, b
        The arrays of sides A and B.
    video, variant, name
        What the arrays are, for the result.

    Returns
    -------
    Difference
        With a remark where shapes differ, or the arrays do not hold real numbers.

    Examples
    --------
    >>> measured = difference(np.array([[3.0, 4.0]]), np.array([[4.0, 3.0]]), "a", 0, "features")
    >>> round(measured.mean_cosine, 6), measured.max_difference
    (0.96, 1.0)
    """
    if a.shape != b.shape:
        return Difference(video, variant, name, f"shapes {a.shape} and {b.shape}")
    if not {a.dtype.kind, b.dtype.kind} <= set("fiub"):
        return Difference(video, variant, name, f"types {a.dtype} and {b.dtype}, not real numbers both")
    flow = is_flow(name, a)
    cosines, largest, errors, not_finite = [], 0.0, [], np.zeros(2, int)
    steps = [side[None] if side.ndim < 2 else side for side in (a, b)]
    width = math.prod(steps[0].shape[1:])
    at_once = max(1, NUMBERS_AT_ONCE // max(1, width))
    for start in range(0, len(steps[0]), at_once):
        left, right = (_values(side[start : start + at_once], flow) for side in steps)
        largest = max(largest, _largest(left, right))
        not_finite += [np.count_nonzero(~np.isfinite(side)) for side in (left, right)]
        cosines.append(_cosines(left.reshape(len(left), width), right.reshape(len(right), width)))
        if flow:
            with np.errstate(invalid="ignore"):
                errors.append(np.hypot(*np.moveaxis(left - right, 1, 0)).ravel())
    finite_cosines, finite_errors = _finite(cosines), _finite(errors)
    return Difference(
        video, variant, name,
        mean_cosine=float(finite_cosines.mean()) if finite_cosines.size else None,
        least_cosine=float(finite_cosines.min()) if finite_cosines.size else None,
        max_difference=largest,
        mean_epe_px=float(finite_errors.mean()) if finite_errors.size else None,
        epe95_px=float(np.percentile(finite_errors, 95)) if finite_errors.size else None,
        not_finite=(int(not_finite[0]), int(not_finite[1])),
    )  # fmt: skip


def with_flow(arrays: Arrays) -> Arrays:
    """Join arrays ``x`` and ``y``, or ``flow_x`` and ``flow_y``, (time, height, width), into ``flow``.

    Other arrays stay, and so does such a pair where its shapes or types differ, or there is a ``flow`` already, whose
    components may come last, as ``kinescope export`` writes them.

    Examples
    --------
    >>> {name: array.shape for name, array in with_flow({"x": np.zeros((9, 6, 8)), "y": np.zeros((9, 6, 8))}).items()}
    {'flow': (9, 2, 6, 8)}
    """
    for pair in (("x", "y"), ("flow_x", "flow_y")):
        x, y = (arrays.get(name) for name in pair)
        if "flow" in arrays or x is None or y is None or x.ndim != 3 or x.shape != y.shape or x.dtype != y.dtype:
            continue
        rest = {name: array for name, array in arrays.items() if name not in pair}
        return {**rest, "flow": np.stack((x, y), axis=1)}
    flow = arrays.get("flow")
    if flow is not None and flow.ndim == 4 and flow.shape[3] == 2 != flow.shape[1]:
        return {**arrays, "flow": np.moveaxis(flow, 3, 1)}
    return arrays


def is_flow(name: str, array: np.ndarray) -> bool:
    """Return whether an array is optical flow: ``flow`` of shape (time, 2, height, width)."""
    return name == "flow" and array.ndim == 4 and array.shape[1] == 2


def dequantised(flow: np.ndarray) -> np.ndarray:
    """Return flow in px from the uint8 images of TSN's tools: round((v + 20)·255/40) of v clipped to ±20 px.

    Examples
    --------
    >>> dequantised(np.array([0, 255], np.uint8))
    array([-20.,  20.])
    """
    return flow * (40 / 255) - 20


def _values(steps: np.ndarray, flow: bool) -> np.ndarray:
    values = steps.astype(np.float64)
    return dequantised(values) if flow and steps.dtype == np.uint8 else values


def _largest(a: np.ndarray, b: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):
        distances = np.abs(a - b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    distances = np.where(same, 0.0, np.where(np.isfinite(distances), distances, np.inf))
    return float(distances.max(initial=0.0))


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosines (steps,) of two arrays (steps, dim), NaN where a number is not finite."""
    with np.errstate(invalid="ignore", divide="ignore"):
        # each by its largest number: squares neither overflow nor vanish
        a, b = (side / np.maximum(np.abs(side).max(axis=1, initial=0.0, keepdims=True), 1e-300) for side in (a, b))
        lengths = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
        cosines = np.einsum("ij,ij->i", a, b) / (lengths[0] * lengths[1])
    zero = lengths[0] == 0, lengths[1] == 0
    return np.where(zero[0] | zero[1], np.where(zero[0] & zero[1], 1.0, 0.0), np.clip(cosines, -1, 1))


def _finite(arrays: list[np.ndarray]) -> np.ndarray:
    values = np.concatenate(arrays) if arrays else np.empty(0)
    return values[np.isfinite(values)]


def _chosen(side: FeatureSet, arrays: Arrays, array: str | None) -> Arrays:
    if array is None:
        return arrays
    if side.bare and len(arrays) == 1:
        (only,) = arrays.values()
        return {array: only}
    return {name: values for name, values in arrays.items() if name == array}


def _absence(a: FeatureSet, b: FeatureSet, video: str) -> str:
    """Return why a video cannot be compared; "" where both sides failed on it."""
    if video in a.failed and video in b.failed:
        return ""
    failed = [f"failed in {name}: {side.failed[video]}" for name, side in (("A", a), ("B", b)) if video in side.failed]
    present = [name for name, side in (("A", a), ("B", b)) if video in side.videos]
    return "; ".join([*(f"only in {name}" for name in present), *failed])


def _only(in_a: bool) -> str:
    return f"only in {'A' if in_a else 'B'}"
