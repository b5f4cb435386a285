"""Make the picture that a player shows of a decoded frame: its colours, proportions and orientation."""

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from pipeline.video.light import BT2020, TRANSFERS, standard_range
from pipeline.video.resize import resized

Image = NDArray[np.uint8]
"""Pixels, (height, width, 3) RGB or (height, width) grey, or frames of them along a first axis."""
Colour = Literal["rgb", "grey"]

_FAST = ("yuv420p", "yuvj420p")
"""Formats that swscale has a fast path for; decoded frames of them take half the memory of their pictures."""
# Without these swscale halves the chroma's width, which costs 4:2:0 nothing, and rounds by table.
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_SQUARE = 0.01  # programs that scale films leave aspects of 224:225 and the like behind
_WIDEST_SAMPLE = 8  # samples that are longer than this one way are taken as square: the header lies
Turns = tuple[bool, bool, bool]
"""Whether rows and columns change places first, then left and right, then top and bottom."""
ORIENTATIONS: dict[Turns, str] = {
    (False, True, False): "mirrored left to right",
    (False, False, True): "mirrored top to bottom",
    (False, True, True): "turned by 180 degrees",
    (True, False, False): "transposed",
    (True, True, False): "turned clockwise by 90 degrees",
    (True, False, True): "turned anticlockwise by 90 degrees",
    (True, True, True): "transposed along the other diagonal",
}


class Pictures:
    """Converts a video's frames, all to the size of the first, and notes what that took.

    Parameters
    ----------
    colour
        "rgb" or "grey".

    Attributes
    ----------
    notes
        What was done besides converting colours: ``sample_aspect``, ``orientation`` and ``transfer``, texts, and
        ``resized_frames``, a number; none of them where nothing was.
    """

    def __init__(self, colour: Colour) -> None:
        self.colour = colour
        self.notes: dict[str, str | int] = {}
        self._size: tuple[int, int] | None = None
        self._sample_aspect: Fraction | None = None
        self._squares: dict[tuple[int, int], tuple[int, int]] = {}
        self._reformatter = VideoReformatter()
        self._converted: tuple[object, ...] | None = None

    def begin(self, frame: av.VideoFrame, sample_aspect: Fraction | None) -> None:
        """Take the size of all pictures from the video's first frame, given as to ``picture``."""
        width, height = self._square(frame, sample_aspect)
        self._size = (height, width) if _turns(frame)[0] else (width, height)

    def picture(self, frame: av.VideoFrame, sample_aspect: Fraction | None) -> Image:
        """Return the picture of a frame, which may share the memory of the frame's conversion.

        Parameters
        ----------
        frame
            The decoded frame.
        sample_aspect
            Width of its samples in units of their height; None where that is not known.
        """
        picture = self._coloured(frame)
        size = self._square(frame, sample_aspect)
        if sample_aspect is not None and size != (frame.width, frame.height):
            self._note("sample_aspect", f"{sample_aspect.numerator}:{sample_aspect.denominator}")
            picture = resized(picture, size)
        if any(turns := _turns(frame)):
            self._note("orientation", ORIENTATIONS[turns])
            picture = oriented(picture, turns)
        if self._size not in (None, picture.shape[1::-1]):
            self.notes["resized_frames"] = int(self.notes.get("resized_frames", 0)) + 1
            picture = resized(picture, self._size)
        return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if self.colour == "grey" else picture  # type: ignore[return-value]

    def deferred(self, frame: av.VideoFrame, sample_aspect: Fraction | None) -> "Image | Deferred":
        """Return the picture of a frame, or what makes it when it is asked for, and keeps the frame until then.

        Only what cannot fail and leaves no note is put off: a change of colours, of a frame of the format, matrix and
        range of the one before it that was converted at once. What decoding says of a file is thereby the same.

        Parameters
        ----------
        frame, sample_aspect
            As for ``picture``.
        """
        kind = frame.format.name, frame.colorspace, frame.color_range
        as_it_is = self._square(frame, sample_aspect) == (frame.width, frame.height) == self._size
        if as_it_is and kind == self._converted and frame.color_trc not in TRANSFERS and not any(_turns(frame)):
            return Deferred(frame, sample_aspect, self)
        picture = self.picture(frame, sample_aspect)
        self._converted = kind if kind[0] in _FAST else None
        return picture.copy()

    def _square(self, frame: av.VideoFrame, sample_aspect: Fraction | None) -> tuple[int, int]:
        """Return the size at which a frame's samples are square; fractions are slow, and few sizes occur."""
        if sample_aspect != self._sample_aspect:
            self._sample_aspect, self._squares = sample_aspect, {}
        size = frame.width, frame.height
        if size not in self._squares:
            self._squares[size] = _proportioned(*size, sample_aspect)
        return self._squares[size]

    def _note(self, name: str, text: str) -> None:
        """Note what was done to a frame; a video whose frames differ in it has several texts."""
        known = str(self.notes.get(name, ""))
        if text not in known.split(", "):
            self.notes[name] = f"{known}, {text}" if known else text

    def _coloured(self, frame: av.VideoFrame) -> Image:
        if transfer := TRANSFERS.get(frame.color_trc):
            self._note("transfer", transfer)
            return standard_range(self._deep(frame), transfer, wide_gamut=frame.color_primaries == BT2020)
        flags = None if frame.format.name in _FAST else _EXACT
        (plane,) = self._reformatter.reformat(frame, format="rgb24", interpolation=flags, threads=1).planes
        lines = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        return lines[:, : 3 * plane.width].reshape(plane.height, plane.width, 3)  # no copy yet: the block takes one

    def _deep(self, frame: av.VideoFrame) -> NDArray[np.uint16]:
        """Return RGB of 16 bits; by planes, since swscale's own interleaved RGB of 16 bits loses its green."""
        planes = self._reformatter.reformat(frame, format="gbrp16le", interpolation=_EXACT, threads=1).planes
        green, blue, red = (np.frombuffer(memoryview(plane), np.uint16).reshape(plane.height, -1) for plane in planes)
        return np.stack([red, green, blue], -1)[:, : frame.width]


@dataclass(frozen=True, slots=True)
class Deferred:
    """A picture that is made of its decoded frame whenever ``numpy.asarray`` asks for it."""

    frame: av.VideoFrame
    sample_aspect: Fraction | None
    pictures: Pictures

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Image:
        return self.pictures.picture(self.frame, self.sample_aspect).astype(dtype or np.uint8)

    def copy(self) -> "Deferred":
        """Return itself: it shares no memory with other pictures, and cannot be changed."""
        return self

    @property
    def nbytes(self) -> int:
        """Size of the picture as RGB, twice what the frame takes."""
        return 3 * self.frame.width * self.frame.height


def orientation(matrix: NDArray[np.int32]) -> Turns:
    """Return the one of the eight orientations that is nearest to a display matrix.

    Parameters
    ----------
    matrix : int32 array, shape (9,)
        a, b, u, c, d, v, x, y, w of ISO/IEC 14496-12, section 6.2.2: a point (p, q) is shown at (a p + c q, b p + d q).

    Examples
    --------
    >>> orientation(np.array([0, 1, 0, -1, 0, 0, 0, 0, 1], np.int32))  # a quarter turn clockwise
    (True, True, False)
    """
    a, b, _, c, d, *_ = matrix.tolist()
    transposed = abs(b) + abs(c) > abs(a) + abs(d)
    x, y = (c, b) if transposed else (a, d)
    return transposed, x < 0, y < 0


def oriented(picture: Image, turns: Turns) -> Image:
    """Return a picture, (height, width[, channel]), in another orientation."""
    transposed, left_right, top_bottom = turns
    picture = picture.swapaxes(0, 1) if transposed else picture
    picture = picture[:, ::-1] if left_right else picture
    return np.ascontiguousarray(picture[::-1] if top_bottom else picture)


def _turns(frame: av.VideoFrame) -> Turns:
    """Return a frame's orientation.

    ``frame.side_data`` would refer to the frame and the frame to it: frames would stay until a garbage collection. The
    container of them stops at what PyAV knows no name for; what is behind that is told by the angle alone.
    """
    known = SideDataContainer.__new__(SideDataContainer)
    with suppress(ValueError):
        known.__init__(frame)  # type: ignore[misc, call-arg]
    if not len(known):  # as most frames have none; looking one up takes longer than all else here
        return _QUARTERS[0]
    if (matrix := known.get(Type.DISPLAYMATRIX)) is not None:  # type: ignore[call-overload]
        return orientation(np.frombuffer(matrix, np.int32))
    return _QUARTERS[round(frame.rotation / 90) % 4]


_QUARTERS: tuple[Turns, ...] = ((False, False, False), (True, False, True), (False, True, True), (True, True, False))
"""Orientations by the number of quarter turns anticlockwise."""


def _proportioned(width: int, height: int, sample_aspect: Fraction | None) -> tuple[int, int]:
    """Return the size at which samples are square: of another width."""
    if (
        not sample_aspect
        or not 1 / _WIDEST_SAMPLE <= sample_aspect <= _WIDEST_SAMPLE
        or abs(sample_aspect - 1) < _SQUARE
    ):
        return width, height
    return max(1, round(width * sample_aspect)), height
