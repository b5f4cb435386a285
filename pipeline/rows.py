"""One row of a store, on its way in or out."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Keys:
    """What a video's rows are known by: its id, the digest of its file, one key a variant."""

    id: str
    source_digest: str
    variants: tuple[str, ...]

    @property
    def name(self) -> str:
        """The key by which the video as a whole is journaled."""
        return self.variants[0]


class Partial(Protocol):
    """An array of which any part is read on its own: in memory, or in a store."""

    def __getitem__(self, part: Any) -> "np.ndarray": ...


@dataclass(frozen=True, slots=True)
class Row:
    """Named arrays and scalar attributes.

    Arrays of a feature row: ``features (time, dim)``, ``start_frames (time,)`` int64 counted within the clip, and
    ``scores (time, class)`` where the network has them. Attributes: ``fps``, ``frames`` (length of the clip).
    """

    arrays: "dict[str, np.ndarray]"
    attributes: dict[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a video has no row, and how many of its frames did decode."""

    reason: str
    frames_decoded: int = 0
