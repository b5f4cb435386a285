"""Stores pictures in a row, each encoded on its own, all in one array, for random access.

Encoded pictures called ``name`` are the arrays ``name`` (bytes,) uint8, one after another, and ``name_offsets`` (time +
1,) int64: picture i lies between offsets i and i + 1. Raw pictures are the array ``name`` (time, height, width[, 3])
uint8. Colours are RGB.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from pipeline.errors import UnusableVideo
from pipeline.files.temporary_array import TemporaryArray
from pipeline.rows import Partial

Encoding = Literal["jpeg", "png", "raw"]
"""Formats of stored pictures."""
Buffer = bytes | memoryview
_MAX_PX = {"jpeg": 65500, "png": 2**31 - 1}
"""Largest width and height in pixels by encoding: the libraries' own limits."""


class Spool:
    """Collects the pictures of a row in a temporary file, so that memory does not grow with the video.

    Parameters
    ----------
    name : str
        Name of the pictures in the row.
    encoding : Encoding
    quality : int
        Quality of JPEG, 1 to 100.
    """

    def __init__(self, name: str, encoding: Encoding, quality: int) -> None:
        self.name, self.encoding, self.quality = name, encoding, quality
        self.sizes: list[int] = []
        self._content = TemporaryArray()

    def __len__(self) -> int:
        return len(self.sizes)

    def add(self, picture: np.ndarray) -> None:
        """Append a picture.

        Parameters
        ----------
        picture : ndarray of uint8, shape (height, width) or (height, width, 3)
            All pictures have one shape.

        Raises
        ------
        UnusableVideo
            Where it is too large for the encoding.
        """
        self.write(self.encoded(picture))

    def encoded(self, picture: np.ndarray) -> Buffer:
        """Encode a picture, in any thread. Raises as ``add`` does."""
        self._shape = picture.shape
        return np.ascontiguousarray(picture).data if self.encoding == "raw" else self._encoded(picture)

    def write(self, encoded: Buffer) -> None:
        """Append a picture that ``encoded`` has encoded."""
        self.sizes.append(self._content.write(encoded))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the row's arrays of all pictures, at least one; the file vanishes with the large array."""
        data = self._content.mapped(np.uint8)
        if self.encoding == "raw":
            return {self.name: data.reshape(len(self), *self._shape)}
        return {self.name: data, f"{self.name}_offsets": np.cumsum([0, *self.sizes], dtype=np.int64)}

    def _encoded(self, picture: np.ndarray) -> bytes:
        import cv2

        height, width = picture.shape[:2]
        if max(height, width) > _MAX_PX[self.encoding]:
            raise UnusableVideo(
                f"{width}x{height} pixels do not fit into a {self.encoding.upper()}; at most {_MAX_PX[self.encoding]} "
                "either way do"
            )
        if picture.ndim == 3:
            picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        options = [cv2.IMWRITE_JPEG_QUALITY, self.quality] if self.encoding == "jpeg" else []
        succeeded, encoded = cv2.imencode({"jpeg": ".jpg", "png": ".png"}[self.encoding], picture, options)
        if not succeeded:
            raise MemoryError(f"OpenCV could not encode {width}x{height} pixels as a {self.encoding.upper()}")
        return encoded.tobytes()


def picture(arrays: Mapping[str, Partial], name: str, index: int) -> np.ndarray:
    """Read one picture of a row, and no more than that.

    Parameters
    ----------
    arrays : mapping of str to Partial
        The row's arrays.
    name : str
        Name of the pictures.
    index : int

    Returns
    -------
    ndarray of uint8, shape (height, width) or (height, width, 3)

    Raises
    ------
    IndexError
        Where there is no such picture.
    ValueError
        Where its bytes are not a complete picture.
    """
    return pictures(arrays, name, index, index + 1)[0]


def pictures(arrays: Mapping[str, Partial], name: str, start: int, stop: int) -> list[np.ndarray]:
    """Read pictures ``start`` to ``stop``, which is left out, at once. Raises what ``picture`` does."""
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
        raise ValueError(f"{len(encoded)} bytes of {name} are not a complete picture")
    return decoded if decoded.ndim == 2 else cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
