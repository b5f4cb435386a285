"""Read arrays from where their chunks lie in a file, and cut arrays into chunks.

A chunk has some entries of an array's first axis, and a Fletcher-32 checksum, which is compared whenever it is read.
The chunks of an array are of one size: the last is filled up with zeros.
"""

import math
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from pipeline.files.place import Contradiction
from pipeline.store.checksum import fletcher32

CHUNK_BYTES = 1 << 17
"""Largest size of a chunk, but for a single entry that is larger."""
CHECKSUM_BYTES = 4
"""Size of a chunk's checksum in a file."""
_KINDS = "biufcS"
"""Kinds of numbers and strings that HDF5 stores as they are."""


class StoredArray(NamedTuple):
    """Type, shape and chunks of an array in a file.

    Attributes
    ----------
    dtype
        NumPy's name of its type, with the order of the bytes.
    shape
        Its shape.
    entries
        Number of entries of the first axis in a chunk; 0 where there are no chunks.
    offsets
        Where each chunk begins in the file, in bytes.
    checksums
        Fletcher-32 of each chunk.
    value
        The bytes of an array without axes, in hexadecimal digits: it has no chunks.
    """

    dtype: str
    shape: tuple[int, ...]
    entries: int
    offsets: tuple[int, ...] = ()
    checksums: tuple[int, ...] = ()
    value: str = ""

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """Shape of a chunk."""
        return (self.entries, *self.shape[1:])

    @property
    def chunk_bytes(self) -> int:
        """Size of a chunk in bytes."""
        return np.dtype(self.dtype).itemsize * math.prod(self.chunk_shape)

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self.shape[0] // self.entries) if self.entries else 0

    def read(self, file: int, part: Any = ()) -> np.ndarray:
        """Read the array, or a part of it.

        Parameters
        ----------
        file
            Descriptor of the file.
        part
            What is read, as NumPy indexes arrays. Where it begins with a number or a slice, only the chunks that this
            touches are read and checked, otherwise all of them.

        Raises
        ------
        Contradiction
            Where a chunk is not what it was when it was written.
        """
        first, *others = part if isinstance(part, tuple) and part else (part,)
        if not self.shape or not self.entries or not isinstance(first, int | np.integer | slice):
            return self._whole(file)[part]  # type: ignore[no-any-return]
        touched = range(self.shape[0])[first]
        span = touched if isinstance(touched, range) else range(touched, touched + 1)
        if not span:
            return np.empty((0, *self.shape[1:]), self.dtype)[(slice(None), *others)]  # type: ignore[no-any-return]
        begin = min(span[0], span[-1]) // self.entries * self.entries
        block = self._chunks(file, begin, max(span[0], span[-1]) + 1)
        if isinstance(touched, int):
            return block[(touched - begin, *others)]  # type: ignore[no-any-return]
        stop = span[-1] - begin + (1 if span.step > 0 else -1)
        within = slice(span[0] - begin, stop if stop >= 0 else None, span.step)
        return np.ascontiguousarray(block[(within, *others)])

    def chunk(self, file: int, number: int) -> np.ndarray:
        """Read the bytes of one chunk, followed by those of its checksum, as in an HDF5 file. Raises as ``read``."""
        size = self.chunk_bytes
        content = np.empty(size + CHECKSUM_BYTES, np.uint8)
        self._fill(file, number, content[:size])
        content[size:] = np.frombuffer(self.checksums[number].to_bytes(CHECKSUM_BYTES, "little"), np.uint8)
        return content

    def _whole(self, file: int) -> np.ndarray:
        if self.entries and self.entries == self.shape[0]:  # most arrays: one chunk, which nothing fills up
            block = np.empty(self.shape, self.dtype)
            self._fill(file, 0, block.reshape(-1).view(np.uint8))
            return block
        if not self.shape:
            return np.frombuffer(bytes.fromhex(self.value), self.dtype).reshape(())
        return self._chunks(file, 0, self.shape[0]) if self.entries else np.empty(self.shape, self.dtype)

    def _chunks(self, file: int, begin: int, stop: int) -> np.ndarray:
        """Read the chunks from the one that begins at an entry to the one that holds that before ``stop``."""
        numbers = range(begin // self.entries, -(-stop // self.entries))
        end = min(numbers.stop * self.entries, self.shape[0])
        block = np.empty((end - begin, *self.shape[1:]), self.dtype)
        content, size = block.reshape(-1).view(np.uint8), self.chunk_bytes
        for place, number in enumerate(numbers):
            part = content[place * size : (place + 1) * size]
            if len(part) == size:
                self._fill(file, number, part)
            else:  # the zeros at the end of the last one are checked as well
                part[:] = self.chunk(file, number)[: len(part)]
        return block

    def _fill(self, file: int, number: int, content: np.ndarray) -> None:
        """Read a chunk into its place."""
        done = 0
        while done < len(content):  # a network's file system may give a part
            more = os.preadv(file, [content[done:].data], self.offsets[number] + done)
            if not more:
                raise Contradiction(f"it ends before byte {self.offsets[number] + len(content)}")
            done += more
        if fletcher32(content) != self.checksums[number]:
            raise Contradiction(f"the checksum of what lies at byte {self.offsets[number]} does not match")


class Cut(NamedTuple):
    """An array that is about to be stored, and what it will be, but for offsets and checksums.

    Attributes
    ----------
    array
        The array, in memory or mapped.
    stored
        Its type, shape and number of entries a chunk.
    """

    array: np.ndarray
    stored: StoredArray

    def chunks(self) -> Iterator[np.ndarray]:
        """Yield the bytes of each chunk, (size,) uint8, one after another: an array may be larger than the memory."""
        for first in range(0, len(self.array), self.stored.entries) if self.stored.entries else ():
            part = np.ascontiguousarray(self.array[first : first + self.stored.entries]).reshape(-1).view(np.uint8)
            missing = self.stored.chunk_bytes - len(part)
            yield np.concatenate([part, np.zeros(missing, np.uint8)]) if missing else part


def cut(array: np.ndarray) -> Cut:
    """Divide an array into chunks of about equally many entries. Raises TypeError for what HDF5 does not store."""
    array = np.asarray(array)
    if array.dtype.kind not in _KINDS:
        raise TypeError(f"an array of {array.dtype} cannot be stored: numbers, or strings of bytes, can")
    if not array.shape:
        return Cut(array, StoredArray(array.dtype.str, (), 0, value=array.tobytes().hex()))
    if not array.size:
        return Cut(array, StoredArray(array.dtype.str, array.shape, 0))
    most = max(1, CHUNK_BYTES * len(array) // array.nbytes)
    return Cut(array, StoredArray(array.dtype.str, array.shape, -(-len(array) // -(-len(array) // most))))
