"""Decodes a clip that is a folder of pictures, whose frames are numbered.

libav's decoders are used, as for video files: pictures of 16 bits, of a palette, with transparency or CMYK become what
frames of a video of such pixels become, and the orientation noted in a picture's Exif data is applied. A picture is
known by its first bytes, whatever its extension. Its samples are taken as square. JPEG and PNG that are cut off are
noticed, damage inside a JPEG that libav conceals is not.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from av.error import FFmpegError

from pipeline.errors import UnusableVideo
from pipeline.files.numbered_pictures import checked_rate, frames
from pipeline.video.picture import Image, Pictures
from pipeline.video.shown import Shown

_CODECS = {
    b"\xff\xd8\xff": "mjpeg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"BM": "bmp",
    b"RIFF": "webp",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
}
"""Decoders by a file's first bytes."""
_BITS = 8
_COLOURLESS = 8
"""Levels by which the colours of a grey picture may differ, where it was stored as a coloured JPEG."""
_ROUNDING = 1e-3
"""Part of a frame by which the product of time and rate may lie below the frame's number, as that of 0.29 s and 100 a
second does."""
_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"


def sequence(folder: Path, fps: float | None) -> Generator[Shown]:
    """Yield the frames in a folder, of which each is shown for 1 / fps seconds.

    Raises
    ------
    UnusableVideo
        Where there is none, their numbers do not follow each other, or one does not decode.
    InputError
        Where the frame rate is not given, or not finite and positive.
    OSError
        Where a picture cannot be read.
    """
    pictures = list(map(Path, frames(folder)))
    rate = checked_rate(folder, fps)
    for number, frame in enumerate(_decoded(pictures)):
        yield Shown(frame, number, False, number / rate, rate, None, None, 0)


def stills_of(folder: Path, fps: float, times_s: Iterable[float]) -> Iterator[Image]:
    """Yield the picture of a folder that is shown at each of some times, in RGB; a time beyond its end has none."""
    pictures, rate = list(map(Path, frames(folder))), checked_rate(folder, fps)
    numbers = (int(time_s * rate + _ROUNDING) for time_s in times_s)
    shown = [pictures[number] for number in numbers if number < len(pictures)]
    converted = Pictures("rgb")
    for place, frame in enumerate(_decoded(shown)):
        if not place:
            converted.begin(frame, None)
        yield converted.picture(frame, None)


def read_grey(files: Sequence[Path]) -> Iterator[Image]:
    """Yield grey pictures of 8 bits, whose values are numbers such as those of flow.

    Raises
    ------
    UnusableVideo
        Where one does not decode, has colours or more bits, is turned by its Exif data, or has another size than the
        first.
    OSError
        Where one cannot be read.
    """
    pictures, size = Pictures("rgb"), None
    for file, frame in zip(files, _decoded(files), strict=True):
        coloured = pictures.picture(frame, None)
        size = size or coloured.shape
        deep = max(component.bits for component in frame.format.components) > _BITS
        if deep or pictures.notes or np.ptp(coloured, axis=-1).max() > _COLOURLESS:
            fault = f"has more than {_BITS} bits" if deep else "is turned" if pictures.notes else "has colours"
            raise UnusableVideo(f"{file.name} {fault}; a grey picture of {_BITS} bits is needed")
        if coloured.shape != size:
            raise UnusableVideo(f"{file.name} has another size than {files[0].name}; all must have one")
        yield cv2.cvtColor(coloured, cv2.COLOR_RGB2GRAY)  # type: ignore[misc]


def _decoded(files: Iterable[Path]) -> Iterator[av.VideoFrame]:
    for file in files:
        data = file.read_bytes()
        codec = next((codec for start, codec in _CODECS.items() if data.startswith(start)), None)
        if codec is None:
            raise UnusableVideo(f"{file.name} is {'no picture of a kind that is known' if data else 'an empty file'}")
        if codec == "mjpeg" and data.rfind(_END_OF_IMAGE) < data.rfind(_SCAN):
            raise UnusableVideo(f"{file.name} is cut off: its image does not end")
        decoder = av.CodecContext.create(codec, "r")  # a new one: libav's PNG decoder mixes in the picture before
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.thread_count = 1
        try:
            (frame,) = decoder.decode(av.Packet(data))
        except (FFmpegError, ValueError) as error:
            raise UnusableVideo(f"{file.name} does not decode: {getattr(error, 'strerror', error)}") from None
        yield frame
