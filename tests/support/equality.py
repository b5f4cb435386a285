"""When two results count as the same."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from extractors.base import Row
from tests.support.runs import Runs


def same_arrays(arrays: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray]) -> bool:
    """Whether the same names stand for the same numbers."""
    return arrays.keys() == others.keys() and all(np.array_equal(arrays[name], others[name]) for name in arrays)


def same_rows(rows: Sequence[Row], others: Sequence[Row]) -> bool:
    """Whether all arrays and attributes are equal to the last bit."""
    return len(rows) == len(others) and all(
        one.attributes == other.attributes and same_arrays(one.arrays, other.arrays)
        for one, other in zip(rows, others, strict=True)
    )


def same_tensors(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether two states of a network are equal to the last bit."""
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def same_runs(left: Runs, right: Runs) -> None:
    """Assert that two stores hold the same files with the same numbers in them."""
    assert left.files() == right.files()
    wanted: Mapping[str, object] = dict(right.numbers())
    for name, value in left.numbers():
        assert value == wanted[name], name


def close(found: np.ndarray, expected: np.ndarray | Tensor, *, spread: float = 1e-3) -> None:
    """Assert that two ways to the same numbers agree as float32 does, on numbers that vary by more than ``spread``."""
    expected = np.asarray(expected)
    assert expected.std() > spread
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
