"""Decodes a clip that is a folder of pictures, whose frames are numbered.

libav's decoders are used, as for video files: pictures of 16 bits, of a palette, with transparency or CMYK become what
frames of a video of such pixels become, and the orientation noted in a picture's Exif data is applied. A picture is
known by its first bytes, whatever its extension. Its samples are taken as square. JPEG and PNG that are cut off are
noticed, damage inside a JPEG that libav conceals is not.
"""

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import av
from av.error import FFmpegError

from pipeline.errors import InputError, UnusableVideo
from pipeline.files.numbered_pictures import frames
from pipeline.video.picture import Colour, Image, Pictures
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
_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"


def sequence(folder: Path, fps: float | None) -> Generator[Shown]:
    """Yield the frames in a folder, of which each is shown for 1 / fps seconds.

    Raises
    ------
    UnusableVideo
        Where there is none, their numbers do not follow each other, or one does not decode.
    InputError
        Where the frame rate is not given.
    OSError
        Where a picture cannot be read.
    """
    pictures = frames(folder)
    if fps is None:
        raise InputError(f"{folder}: pictures do not say how many of them are shown in a second; fps is needed")
    for number, frame in enumerate(_decoded(pictures)):
        yield Shown(frame, number, False, number / fps, fps, None, None, 0)


def stills_of(folder: Path, fps: float, times_s: Iterable[float]) -> Iterator[Image]:
    """Yield the picture of a folder that is shown at each of some times, in RGB; a time beyond its end has none."""
    pictures = frames(folder)
    shown = [pictures[number] for time_s in times_s if (number := int(time_s * fps)) < len(pictures)]
    return read_pictures(shown, "rgb")


def read_pictures(files: Iterable[Path], colour: Colour) -> Iterator[Image]:
    """Yield pictures, all at the size of the first.

    Raises
    ------
    UnusableVideo
        Where one does not decode.
    OSError
        Where one cannot be read.
    """
    pictures, begun = Pictures(colour), False
    for frame in _decoded(files):
        if not begun:
            pictures.begin(frame, None)
        begun = True
        yield pictures.picture(frame, None)


def _decoded(files: Iterable[Path]) -> Iterator[av.VideoFrame]:
    for file in files:
        data = file.read_bytes()
        codec = next((codec for start, codec in _CODECS.items() if data.startswith(start)), None)
        if codec is None:
            raise UnusableVideo(f"{file.name} is {'no picture of a kind that is known' if data else 'an empty file'}")
        if codec == "mjpeg" and data.rfind(_END_OF_IMAGE) < data.rfind(_SCAN):
            raise UnusableVideo(f"{file.name} is cut off: its image does not end")
        decoder = av.VideoCodecContext.create(codec, "r")  # a new one: libav's PNG decoder adds the picture before
        decoder.thread_count = 1
        try:
            (frame,) = decoder.decode(av.Packet(data))
        except (FFmpegError, ValueError) as error:
            raise UnusableVideo(f"{file.name} does not decode: {getattr(error, 'strerror', error)}") from None
        yield frame
