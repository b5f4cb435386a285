"""Pictures in a row: each encoded on its own, all in one array, for random access.

Pictures called ``name``, encoded, are ``name (bytes,)`` uint8, one after another, and ``name_offsets (time + 1,)``
int64: picture i lies between offsets i and i + 1. Raw, they are ``name (time, height, width[, 3])`` uint8. Colours are
RGB.
"""

import tempfile
from collections.abc import Mapping
from typing import Literal

import numpy as np

from pipeline.errors import UnusableVideo
from pipeline.rows import Partial

Encoding = Literal["jpeg", "png", "raw"]
Buffer = bytes | memoryview
_LONGEST = {"jpeg": 65500, "png": 2**31 - 1}
"""Pixels either way, by encoding: the libraries' own limits."""


class Spool:
    """Pictures of one size on their way into a row, in a temporary file: memory does not grow with the video."""

    def __init__(self, name: str, encoding: Encoding, quality: int) -> None:
        self.name, self.encoding, self.quality = name, encoding, quality
        self.sizes: list[int] = []
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the array)

    def __len__(self) -> int:
        return len(self.sizes)

    def add(self, picture: np.ndarray) -> None:
        """Append (height, width) or (height, width, 3) uint8. Raises UnusableVideo where the encoding has no room."""
        self.write(self.encoded(picture))

    def encoded(self, picture: np.ndarray) -> Buffer:
        """What of a picture is kept; any thread may ask. Raises as ``add`` does."""
        self._shape = picture.shape
        return np.ascontiguousarray(picture).data if self.encoding == "raw" else self._encoded(picture)

    def write(self, encoded: Buffer) -> None:
        """Append the picture of which this is kept."""
        self.sizes.append(self._file.write(encoded))

    def arrays(self) -> dict[str, np.ndarray]:
        """The row's arrays of all pictures, at least one; the file vanishes with the large one."""
        self._file.flush()
        data = np.memmap(self._file, np.uint8, mode="r")
        if self.encoding == "raw":
            return {self.name: data.reshape(len(self), *self._shape)}
        return {self.name: data, f"{self.name}_offsets": np.cumsum([0, *self.sizes], dtype=np.int64)}

    def _encoded(self, picture: np.ndarray) -> bytes:
        import cv2

        height, width = picture.shape[:2]
        if max(height, width) > _LONGEST[self.encoding]:
            raise UnusableVideo(
                f"{width}x{height} pixels do not fit into a {self.encoding.upper()}; {_LONGEST[self.encoding]} either "
                "way is the most"
            )
        if picture.ndim == 3:
            picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        options = [cv2.IMWRITE_JPEG_QUALITY, self.quality] if self.encoding == "jpeg" else []
        whole, encoded = cv2.imencode({"jpeg": ".jpg", "png": ".png"}[self.encoding], picture, options)
        if not whole:
            raise MemoryError(f"OpenCV could not encode {width}x{height} pixels as a {self.encoding.upper()}")
        return encoded.tobytes()


def picture(arrays: Mapping[str, Partial], name: str, index: int) -> np.ndarray:
    """Picture ``index`` of a row as it was added; no more than that is read.

    Raises IndexError where there is no such picture, and ValueError where its bytes are no whole picture.
    """
    return pictures(arrays, name, index, index + 1)[0]


def pictures(arrays: Mapping[str, Partial], name: str, start: int, stop: int) -> list[np.ndarray]:
    """Pictures ``start`` to ``stop``, which is left out, read at once. Raises what ``picture`` does."""
    if start < 0:
        raise IndexError(f"picture {start}; they count from 0")
    offsets = f"{name}_offsets"
    if offsets not in arrays:
        read = [*np.asarray(arrays[name][start:stop])]
    elif len(bounds := arrays[offsets][start : stop + 1]) > 1:
        encoded = np.asarray(arrays[name][bounds[0] : bounds[-1]])
        read = [_decoded(part, name) for part in np.split(encoded, bounds[1:-1] - bounds[0])]
    else:
        read = []
    if len(read) < stop - start:
        raise IndexError(f"there is no picture {start + len(read)}")
    return read


def _decoded(encoded: np.ndarray, name: str) -> np.ndarray:
    import cv2

    decoded = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise ValueError(f"{len(encoded)} bytes of {name} are no whole picture")
    return decoded if decoded.ndim == 2 else cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
