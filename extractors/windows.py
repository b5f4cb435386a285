"""Cuts consecutive pictures of a clip into windows."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np


def windowed(
    pictures: Iterable[np.ndarray], length: int, stride: int, prepare: Callable[[np.ndarray], np.ndarray]
) -> Iterator[np.ndarray]:
    """Cut pictures that pass by once into windows, which may overlap; what is left at the end is in none.

    Parameters
    ----------
    pictures : iterable of ndarray
    length : int
        Pictures in a window.
    stride : int
        Pictures between the first ones of two windows.
    prepare : callable
        Prepares each picture that is in a window, once.

    Yields
    ------
    ndarray, shape (length, …)

    Examples
    --------
    >>> [window.tolist() for window in windowed(map(np.array, range(7)), 3, 2, np.negative)]
    [[0, -1, -2], [-2, -3, -4], [-4, -5, -6]]
    """
    held: deque[np.ndarray] = deque(maxlen=length)
    for number, picture in enumerate(pictures):
        if number % stride < length:
            held.append(prepare(picture))
        start = number + 1 - length
        if start >= 0 and start % stride == 0:
            yield np.stack(held)
