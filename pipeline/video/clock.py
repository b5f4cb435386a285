"""Tell the times of a video's frames, where a file notes none, and where its clock begins anew."""

_MIN_STEP_S = 1e-6
RESTART_S = 1.0
"""Seconds by which a time runs back where a file's clock begins anew."""


class Clock:
    """Clock of the frames of a file, from the first one on; its times strictly increase.

    A time that is missing or runs back becomes the one before plus 1 / fps (AVI notes none). Where two in a row lie
    more than a second back, the second after the first, the file's clock has begun anew, as where recordings were
    joined: the times go on by the new one.

    Parameters
    ----------
    fps
        Frame rate.

    Attributes
    ----------
    restarts
        Number of times that the file's clock has begun anew.

    Examples
    --------
    >>> clock = Clock(fps=10)
    >>> [round(clock.time_of(noted), 1) for noted in (3.0, 3.1, None, 5.0, 0.0, 0.5, 1.0)]
    [0.0, 0.1, 0.2, 2.0, 2.1, 2.6, 3.1]
    >>> clock.restarts
    1
    """

    def __init__(self, fps: float) -> None:
        self.restarts = 0
        self._step, self._time = 1 / fps, 0.0
        self._start: float | None = None
        self._fallen: float | None = None

    def time_of(self, noted: float | None) -> float:
        """Return the time of the next frame, in seconds, given what the file notes of it."""
        if self._start is None:
            self._start = noted or 0.0
            return self._time
        before, self._fallen = self._fallen, None
        if noted is not None and noted - self._start >= self._time + _MIN_STEP_S:
            self._time = noted - self._start
        elif noted is not None and before is not None and noted >= before + _MIN_STEP_S:
            self._start = before - self._time
            self._time = noted - self._start
            self.restarts += 1
        else:
            if noted is not None and noted - self._start < self._time - RESTART_S:
                self._fallen = noted
            self._time += self._step
        return self._time
