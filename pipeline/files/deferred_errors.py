"""Files that raise write errors only when they are closed: HDF5 ends the whole process when a write fails under it."""

import io
from pathlib import Path
from typing import Any


class DeferredErrors(io.FileIO):
    """A new file that accepts every write, even where the disk does not.

    ``close`` raises the first OSError that a write met, in place of whatever followed from it. What is written after
    that error is lost, so the file must then be removed.

    Parameters
    ----------
    path
        The file to create, or to empty.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write ``data`` as far as the disk takes it, and return its size in bytes as if all was written."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        while rest and self._error is None:
            try:
                rest = rest[super().write(rest) :]  # the last bytes that fit, before the error comes
            except OSError as error:
                self._error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Resize the file to ``size`` bytes, by default to the current position; an error waits for ``close``."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._error = self._error or error
        return self.tell() if size is None else size

    def close(self) -> None:
        """Close the file, and raise the first OSError that it met."""
        try:
            super().close()  # a network file system may find only now that the disk is full
        except OSError as error:
            self._error = self._error or error
        first, self._error = self._error, None
        if first is not None:
            raise first from None
