"""Cuts consecutive pictures of a clip into windows, and makes rows of what a network says of them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from pipeline.rows import Row


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


def described(dtype: str, batches: list[tuple[np.ndarray, np.ndarray]], row: Row) -> Row:
    """Complete a row by what a network that was trained on Kinetics says of its windows.

    Parameters
    ----------
    dtype : str
        Type of what is added.
    batches : list of (ndarray, ndarray)
        Features (batch, dim) and scores (batch, 400) of each batch of windows.
    row : Row
        What else is known of the windows.

    Returns
    -------
    Row
        With ``features`` (time, dim) and ``kinetics_scores`` (time, 400).
    """
    names = ("features", "kinetics_scores")
    parts = zip(names, zip(*batches, strict=True), strict=True)
    return Row({**{name: np.concatenate(part).astype(dtype) for name, part in parts}, **row.arrays}, row.attributes)
