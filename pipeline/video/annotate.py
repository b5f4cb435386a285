"""Writes a copy of a video with a caption on every frame."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np

from pipeline.errors import UnusableVideo
from pipeline.files.progress import Bar
from pipeline.video.decode import Image, decode
from pipeline.video.encode import write_at_times

_SHARE = 18
"""Height of a frame in lines of text."""
_OPACITY = 0.65
"""Of the dark band behind the text."""


def annotate(path: Path, target: Path, caption: Callable[[float], str], fps: float | None = None) -> None:
    """Write a video's frames, as far as they decode, with captions at the bottom, as an MP4 file without sound.

    Parameters
    ----------
    path
        The video, a file or a folder of numbered pictures.
    target
        The file to write, atomically.
    caption
        Given a time in seconds from the first frame on, the text of the frame that is shown then.
    fps
        Of a folder, how many of its frames are shown in a second.

    Raises
    ------
    UnusableVideo
        Where no frame decodes.
    OSError
        Where a file cannot be read or written.
    """
    blocks = decode(path, fps=fps)
    first = next(blocks)

    def frames() -> Iterator[tuple[float, Image]]:
        yield from zip(first.times.tolist(), first.frames, strict=True)
        with suppress(UnusableVideo):
            for block in blocks:
                yield from zip(block.times.tolist(), block.frames, strict=True)

    with Bar(frames(), desc=f"annotating {path.name}", unit="frame") as shown:
        write_at_times(target, ((time, captioned(frame, caption(time))) for time, frame in shown), first.fps)


def captioned(frame: Image, text: str) -> Image:
    """Return a frame with a text at the bottom on the left, less a row or column where their number is odd."""
    even = frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2].copy()
    ink, cover = _band(text, even.shape[0])
    height, width = min(even.shape[0], len(ink)), min(even.shape[1], ink.shape[1])
    place = even[-height:, :width]
    ink, cover = ink[-height:, :width, None], cover[-height:, :width, None]
    place[:] = np.rint(place * (1 - cover) + 255 * ink * cover)
    return even


@lru_cache(maxsize=64)
def _band(text: str, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Return brightness and opacity, in [0, 1] each, of a text on a dark band."""
    from matplotlib import get_data_path
    from PIL import Image as Pictures
    from PIL import ImageDraw, ImageFont

    size = max(10, height // _SHARE)
    font = ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
    left, _, right, _ = font.getbbox(text)
    band = Pictures.new("L", (int(right - left) + size, size * 3 // 2))
    ImageDraw.Draw(band).text((size // 2 - left, size // 8), text, fill=255, font=font)
    ink = np.asarray(band, np.float32) / 255
    return ink, np.maximum(ink, np.float32(_OPACITY))
