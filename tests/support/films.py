"""Films of numbered pictures, in the containers that people have."""

import itertools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from pipeline.errors import UnusableVideo
from pipeline.video.decode import Block, decode

CORNERS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "yellow": (220, 220, 30)}
FPS = 25


def numbered(count: int, width: int = 160, height: int = 120) -> list[np.ndarray]:
    """Pictures with a colour in each corner, and a bar code of eight bars in the middle that is their number."""
    return [_picture(number, width, height) for number in range(count)]


def _picture(number: int, width: int, height: int) -> np.ndarray:
    picture = np.full((height, width, 3), 110, np.uint8)
    y, x = height // 4, width // 4
    places = [
        (slice(y), slice(x)),
        (slice(y), slice(-x, None)),
        (slice(-y, None), slice(x)),
        (slice(-y, None), slice(-x, None)),
    ]
    for place, colour in zip(places, CORNERS.values(), strict=True):
        picture[place] = colour
    edges = np.linspace(width / 10, width * 9 / 10, 9).astype(int)
    for bit, (left, right) in enumerate(itertools.pairwise(edges)):
        picture[height * 2 // 5 : height * 3 // 5, left:right] = 235 if number >> (7 - bit) & 1 else 20
    return picture


def number_of(picture: np.ndarray) -> int:
    """The number that a picture's bar code says."""
    height, width = picture.shape[:2]
    centres = (width * (0.1 + 0.8 * (np.arange(8) + 0.5) / 8)).astype(int)
    return int(sum(int(picture[height // 2, x].mean() > 128) << 7 - bit for bit, x in enumerate(centres)))


def corners(picture: np.ndarray) -> list[str]:
    """Names of the colours at top left, top right, bottom left and bottom right."""
    names, colours = list(CORNERS), np.array(list(CORNERS.values()))
    seen = [picture[6, 6], picture[6, -7], picture[-7, 6], picture[-7, -7]]
    return [names[np.abs(colours - colour).sum(-1).argmin()] for colour in seen]


def encode(
    path: Path,
    pictures: Sequence[np.ndarray],
    codec: str = "libx264",
    container: str | None = None,
    *,
    times: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    **stream_options: object,
) -> Path:
    """Write pictures at 25 frames a second, or at given times in units of 1/25 s, with PyAV alone."""
    with av.open(str(path), "w", format=container, options=options or {}) as file:
        add(file, pictures, codec, times=times, **stream_options)()
    return path


def add(file, pictures, codec="libx264", *, times=None, encoder=None, pixels="yuv420p", **context):
    """Add a stream of pictures to an open container, and return a function that writes them all."""
    stream = file.add_stream(codec, FPS, options={"g": "10", **(encoder or {})})
    stream.height, stream.width = pictures[0].shape[:2]
    stream.pix_fmt = pixels
    for name, value in context.items():
        setattr(stream.codec_context, name, value)

    def write() -> None:
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = (times[number] if times else number), Fraction(1, FPS)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))

    return write


def decoded(path: Path, **options: object) -> tuple[list[Block], str]:
    """The blocks that decode, and what is wrong with the file: nothing, or why it is unusable."""
    blocks: list[Block] = []
    try:
        for block in decode(path, **options):
            blocks.append(block)
    except UnusableVideo as fault:
        return blocks, fault.reason
    return blocks, ""


def pictures_of(blocks: list[Block]) -> list[np.ndarray]:
    return [frame for block in blocks for frame in block.frames]
