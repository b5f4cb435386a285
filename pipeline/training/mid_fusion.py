"""Mid fusion: join the sequences of several inputs into one, which the model reads."""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from pipeline.errors import InputError

Join = Literal["sum", "product"]
"""Rule by which inputs are joined, element by element."""


def join(rule: Join, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Join inputs step by step and feature by feature: x = x¹ ∘ x² ∘ …

    Parameters
    ----------
    rule
        "sum" or "product".
    inputs : mapping of arrays, shape (time, feature)
        Sequences by the name of the input.

    Returns
    -------
    array, shape (time, feature)

    Raises
    ------
    InputError
        Where the shapes differ.

    References
    ----------
    Lakhal et al., *Residual Stacked RNNs for Action Recognition* (ECCV Workshops 2018), section 3: mid fusion.

    Examples
    --------
    >>> join("product", {"rgb": np.array([[1, 2], [3, 4]]), "flow": np.array([[5, 6], [7, 8]])})
    array([[ 5, 12],
           [21, 32]])
    """
    (name, first), *others = inputs.items()
    for other, sequence in others:
        if sequence.shape[1] != first.shape[1]:
            raise InputError(
                f"{name} has {first.shape[1]} features and {other} {sequence.shape[1]}: joined inputs need the same "
                "number, such as by a reducer with the same dims for each"
            )
        if len(sequence) != len(first):
            raise InputError(
                f"{name} has {len(first)} steps and {other} {len(sequence)}: give the model steps, to which joined "
                "inputs are sampled"
            )
    joined = first
    for _, sequence in others:
        joined = _RULES[rule](joined, sequence)
    return joined


_RULES: dict[Join, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"sum": np.add, "product": np.multiply}
