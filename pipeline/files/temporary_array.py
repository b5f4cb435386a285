"""Gather more bytes than memory holds in a temporary file."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError, naming


class TemporaryArray:
    """Temporary file without a name, which vanishes with the arrays that it is mapped to.

    Raises
    ------
    InputError
        Where no folder for temporary files can be written to.
    OSError
        Where a write fails; for lack of space it names that folder.
    """

    def __init__(self) -> None:
        try:
            self._folder = Path(tempfile.gettempdir())
        except FileNotFoundError as error:
            raise InputError(f"{error.strerror}; set TMPDIR to a writable folder with free space") from None
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the arrays)

    def write(self, data: bytes | memoryview) -> int:
        """Append bytes, and return their number."""
        with naming(self._folder):
            return self._file.write(data)

    def mapped(self, dtype: Any) -> np.ndarray:
        """Map all that was written to an array of one axis."""
        with naming(self._folder):
            self._file.flush()
        return np.memmap(self._file, dtype, mode="r")
