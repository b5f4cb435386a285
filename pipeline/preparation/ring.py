"""Places for arrays in a block of memory that two processes share."""

from collections import deque


class Ring:
    """Places in a block of memory, which are given back in the order in which they were taken.

    Parameters
    ----------
    size
        Bytes of the block.

    Examples
    --------
    >>> ring = Ring(10)
    >>> ring.take(4), ring.take(4), ring.take(4)
    (0, 4, None)
    >>> ring.give_back()
    >>> ring.take(4), ring.take(1)
    (0, None)
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._taken: deque[tuple[int, int]] = deque()

    def take(self, size: int) -> int | None:
        """Take a place of ``size`` bytes, at least one, and return where it begins; None where none is free."""
        start = self._free(size)
        if start is not None:
            self._taken.append((start, start + size))
        return start

    def give_back(self) -> None:
        """Give back the place that was taken first."""
        self._taken.popleft()

    def _free(self, size: int) -> int | None:
        if not self._taken:
            return 0 if size <= self.size else None
        first, last = self._taken[0][0], self._taken[-1][1]
        if last <= first:  # the places wrap around the end of the block
            return last if size <= first - last else None
        if size <= self.size - last:
            return last
        return 0 if size <= first else None
