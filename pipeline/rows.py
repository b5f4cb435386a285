"""Rows of a store, their keys and names, and failures."""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

REASON = "reason"
"""Name under which a store keeps why a video has no rows."""


def variant_name(number: int) -> str:
    """Return the name under which a store keeps a variant of a video."""
    return f"variant-{number}"


def variant_number(name: str) -> int | None:
    """Return the number of the variant that a store keeps under a name; None where it is not a variant's.

    Examples
    --------
    >>> variant_number("variant-12"), variant_number("variant-")
    (12, None)
    """
    match = re.fullmatch(r"variant-(\d+)", name)
    return int(match[1]) if match else None


def is_reserved(name: str) -> bool:
    """Return whether a store uses a name for itself, so that no part of a video's id may have it."""
    return name == REASON or variant_number(name) is not None


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys under which a video's rows are stored.

    Attributes
    ----------
    id
        Id of the video.
    source_digest
        Digest of the video's file.
    variants
        One key a variant, in order.
    """

    id: str
    source_digest: str
    variants: tuple[str, ...]

    @property
    def name(self) -> str:
        """Key under which the video as a whole is journaled: that of variant 0."""
        return self.variants[0]


class Partial(Protocol):
    """Array, in memory or in a store, of which only the indexed part is read."""

    def __getitem__(self, part: Any) -> "np.ndarray": ...


@dataclass(frozen=True, slots=True)
class Row:
    """Row of a store: what is kept of one variant of a video.

    Attributes
    ----------
    arrays
        Arrays by name. A row of features has ``features (time, dim)``, ``start_frames (time,)`` int64, counted within
        the clip, ``times`` and ``ends (time,)`` float64, in seconds from the file's first frame on, where it is a
        video, and ``scores (time, class)`` where the network computes them.
    attributes
        Scalars by name, such as ``fps`` and ``frames``, the length of the clip, and what decoding notes.
    """

    arrays: "dict[str, np.ndarray]"
    attributes: dict[str, float | int | str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> "np.ndarray":
        """Return one of the arrays."""
        return self.arrays[name]


@dataclass(frozen=True, slots=True)
class Failure:
    """Reason why a video has no row, and number of its frames that did decode."""

    reason: str
    frames_decoded: int = 0
