"""Mid fusion: the sequences of several inputs become one before any model sees them."""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from pipeline.errors import InputError

Join = Literal["sum", "product"]


def join(rule: Join, parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """x = x¹ ∘ x² ∘ …, step by step and feature by feature (Lakhal et al., ECCVW 2018, section 3: mid fusion).

    parts: by the name of the input, (time, feature). Raises InputError where the shapes differ.
    """
    (name, first), *others = parts.items()
    for other, part in others:
        if part.shape[1] != first.shape[1]:
            raise InputError(
                f"{name} has {first.shape[1]} features and {other} {part.shape[1]}: inputs that are joined need "
                "the same number, such as by a reducer with the same dims for each"
            )
        if len(part) != len(first):
            raise InputError(
                f"{name} has {len(first)} steps and {other} {len(part)}: give the model steps, to which inputs that "
                "are joined are sampled"
            )
    joined = first
    for _, part in others:
        joined = _RULES[rule](joined, part)
    return joined


_RULES: dict[Join, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"sum": np.add, "product": np.multiply}
