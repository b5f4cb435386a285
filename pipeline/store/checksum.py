"""Compute the Fletcher-32 checksums that HDF5 keeps with the chunks of an array."""

import numpy as np

from pipeline.numba_loops import compiled

_BLOCK = 360
"""Most words of which both sums fit into 32 bits."""
_MODULUS = 65535


def fletcher32(data: np.ndarray) -> int:
    """Return HDF5's Fletcher-32 checksum of bytes.

    Parameters
    ----------
    data
        The bytes, shape (size,) uint8, contiguous.

    Examples
    --------
    >>> hex(fletcher32(np.frombuffer(b"abcde", np.uint8)))
    '0x4ff029c7'
    """
    size = len(data)
    words = (data if size % 2 == 0 else data[:-1]).view("<u2")
    if not words.flags.aligned:
        words = words.copy()
    return int(_checksum(words, size % 2, data[-1] if size % 2 else 0))


@compiled
def _checksum(words, odd, last):  # type: ignore[no-untyped-def]
    """Return both sums in one number: of the words, and of all their running sums."""
    first, second, start, count = np.uint64(0), np.uint64(0), 0, len(words)
    while start < count:
        block = words[start : start + _BLOCK]
        size, one, two = len(block), np.uint32(0), np.uint32(0)
        for place in range(size):
            word = np.uint32(block[place])
            one += word
            two += np.uint32(size - place) * word
        second = _reduced(second + np.uint64(size) * first + np.uint64(two))
        first = _reduced(first + np.uint64(one))
        start += size
    if odd:  # the last byte counts as the first of a word
        first = _reduced(first + np.uint64(last))
        second = _reduced(second + first)
    return _swapped(second) << np.uint64(16) | _swapped(first)


@compiled
def _reduced(total):  # type: ignore[no-untyped-def]
    """Return a number modulo 65535, which itself stands for all its multiples but 0."""
    return (total - np.uint64(1)) % np.uint64(_MODULUS) + np.uint64(1) if total else total


@compiled
def _swapped(total):  # type: ignore[no-untyped-def]
    """Return the sum of big-endian words, given that of the same words read as little-endian ones.

    To swap the bytes of a word is to multiply it by 256, modulo 65535.
    """
    return (total & np.uint64(0xFF)) << np.uint64(8) | total >> np.uint64(8)
