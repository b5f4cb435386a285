"""Times of consecutive pictures of a clip."""

from dataclasses import dataclass

import numpy as np

from pipeline.rows import Row


@dataclass(frozen=True, slots=True)
class Clock:
    """When each picture of a clip is shown, in seconds from the first frame of its file on.

    Parameters
    ----------
    times : ndarray of float64, shape (pictures,)
        Time at which each begins.
    ends : ndarray of float64, shape (pictures,)
        Time at which each ends.
    """

    times: np.ndarray
    ends: np.ndarray

    @classmethod
    def of_row(cls, row: Row) -> "Clock":
        """Return the times of a row's entries, taken as pictures."""
        return cls(row.arrays["times"], row.arrays["ends"])

    def spans(self, first: np.ndarray, last: np.ndarray) -> dict[str, np.ndarray]:
        """Return the arrays of a row that say when its entries begin and end.

        Parameters
        ----------
        first, last : ndarray of int64, shape (time,)
            First and last picture of each entry, which is included.

        Examples
        --------
        >>> clock = Clock(np.array([0.0, 0.4, 2.8]), np.array([0.4, 2.8, 3.2]))
        >>> clock.spans(np.array([0, 1]), np.array([1, 2]))
        {'times': array([0. , 0.4]), 'ends': array([2.8, 3.2])}
        """
        return {"times": self.times[first], "ends": self.ends[last]}
