"""Holds what a page of predictions shows of a video: pictures, and what each stream says of it step by step."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """What one stream says of a video, step by step.

    starts: (time,), when each step begins, in seconds, or in frames of a file without a clock; probabilities: (time,
    class); end: of the last step, in the same unit; unit: "s" or "frame".
    """

    starts: np.ndarray
    probabilities: np.ndarray
    end: float
    unit: str


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What the page shows of a video besides its answer: HTML pictures, and by the stream's name what it says when.

    Of a film, the steps are its moments.
    """

    strip: tuple[str, ...] = ()
    steps: Mapping[str, Steps] = field(default_factory=dict)
