"""Cuts consecutive pictures of a clip into windows, and has a network describe them."""

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


def described(
    windows: Iterable[np.ndarray],
    at_once: int,
    extract: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    dtype: str,
) -> dict[str, np.ndarray]:
    """Compute what a network that was trained on Kinetics says of windows, batch by batch.

    Parameters
    ----------
    windows : iterable of ndarray
    at_once : int
        Windows of a batch.
    extract : callable
        Computes features and scores of a batch.
    dtype : str
        Type of what is returned.

    Returns
    -------
    dict of str to ndarray
        ``features`` (time, dim) and ``kinetics_scores`` (time, 400); nothing where there is no window.
    """
    from pipeline.training.prefetch import prefetch, stacks

    batches = [extract(batch) for batch in prefetch(stacks(windows, at_once))]
    parts = dict(zip(("features", "kinetics_scores"), zip(*batches, strict=True), strict=False))
    return {name: np.concatenate(arrays).astype(dtype) for name, arrays in parts.items()}
