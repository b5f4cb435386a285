"""What is known of a decoded frame besides its picture."""

from dataclasses import dataclass
from fractions import Fraction

import av


@dataclass(frozen=True, slots=True)
class Shown:
    """A decoded frame with what the file says of it; times in seconds, from the first frame on."""

    frame: av.VideoFrame
    number: int  # counted from 0
    was_interlaced: bool
    time: float
    fps: float
    sample_aspect: Fraction | None
    stream: int | None  # its number, where others come before it
    restarts: int  # of the file's clock, so far

    @property
    def end(self) -> float:
        """Time at which it ends: by its duration, which is 1 / fps where the file says none."""
        duration, base = self.frame.duration, self.frame.time_base
        return self.time + (float(duration * base) if duration and base else 1 / self.fps)
