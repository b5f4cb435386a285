"""A file whose errors come at its end: HDF5 ends the whole process, sooner or later, when a write fails under it."""

import io
from pathlib import Path
from typing import Any


class LateErrors(io.FileIO):
    """A new file that takes every write, also where the disk does not.

    ``close`` raises the first OSError that a write met, in place of whatever followed from it.
    What is written after that goes nowhere, so the file is then good for nothing but removal.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._error: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        while rest and self._error is None:
            try:
                rest = rest[super().write(rest) :]  # the last bytes that fit, before the error comes
            except OSError as error:
                self._error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self._error = self._error or error
        return self.tell() if size is None else size

    def close(self) -> None:
        try:
            super().close()  # a network file system may find only now that the disk is full
        except OSError as error:
            self._error = self._error or error
        met, self._error = self._error, None
        if met is not None:
            raise met from None
