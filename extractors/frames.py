"""The frames store: decoded frames for random access, which training on snippets and thumbnails need."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, PositiveInt

from extractors.base import Clip, Extraction, Extractor, Row
from pipeline.errors import UnusableVideo

_JPEG_PIXELS = 65500  # libjpeg's own limit


class Frames(Extractor):
    """Every frame of a video, scaled and encoded on its own.

    A row of JPEGs holds ``data (bytes,)`` uint8, all frames one after another, and ``offsets (time + 1,)`` int64: frame
    i lies between offsets i and i + 1. A raw row holds ``frames (time, height, width, 3)`` uint8 RGB. Both have
    ``start_frames (time,)``. Their large array lies in a temporary file: memory does not grow with the video.
    """

    name: Literal["frames"] = "frames"
    short_side: PositiveInt | None = Field(256, description="pixels; None keeps the video's own size")
    encoding: Literal["jpeg", "raw"] = "jpeg"
    quality: int = Field(95, ge=1, le=100, description="of JPEG")

    def build(self, device: str, states: Mapping[str, Path] = {}) -> Extraction:
        """Runs on the CPU whatever the device."""
        return partial(_extract, self)


def scaled(frame: np.ndarray, short_side: int) -> np.ndarray:
    """(height, width, 3) uint8 with its shorter side ``short_side`` pixels long, and the other in proportion.

    Shrunk by averaging over areas, which does not alias; enlarged bilinearly.
    """
    import cv2

    height, width = frame.shape[:2]
    shorter = min(height, width)
    if shorter == short_side:
        return frame
    size = (round(width * short_side / shorter), round(height * short_side / shorter))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if shorter > short_side else cv2.INTER_LINEAR)


def decode_frame(arrays: Mapping[str, np.ndarray], index: int) -> np.ndarray:
    """Frame ``index`` of a row, (height, width, 3) uint8 RGB; reads no more than that frame from an open data set.

    Raises IndexError where the clip is shorter, and ValueError where the bytes are no whole JPEG.
    """
    import cv2

    length = len(arrays["start_frames"])
    if not 0 <= index < length:
        raise IndexError(f"frame {index} of a clip of {length} frames")
    if "frames" in arrays:
        return np.asarray(arrays["frames"][index])
    start, stop = arrays["offsets"][[index, index + 1]]
    frame = cv2.imdecode(np.asarray(arrays["data"][start:stop]), cv2.IMREAD_COLOR)
    if frame is None:
        raise ValueError(f"bytes {start} to {stop} of the row are no whole JPEG")
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def _extract(config: Frames, clip: Clip | Sequence[Row]) -> Iterator[Row]:
    from pipeline.video import decode

    if not isinstance(clip, Clip):
        raise TypeError("frames reads a video file, not rows")
    sizes: list[int] = []
    with tempfile.TemporaryFile() as spool:
        for block in decode(clip.path, frames=clip.frames):
            for frame in block.frames:
                frame = frame if config.short_side is None else scaled(frame, config.short_side)
                sizes.append(spool.write(frame.data if config.encoding == "raw" else _jpeg(frame, config.quality)))
        spool.flush()
        data = np.memmap(spool, np.uint8, mode="r")  # outlives the file's name and handle
    arrays: dict[str, np.ndarray] = {"start_frames": np.arange(len(sizes), dtype=np.int64)}
    if config.encoding == "raw":
        arrays["frames"] = data.reshape(len(sizes), *frame.shape)
    else:
        arrays |= {"data": data, "offsets": np.cumsum([0, *sizes], dtype=np.int64)}
    yield Row(arrays, {"fps": block.fps, "frames": len(sizes)})


def _jpeg(frame: np.ndarray, quality: int) -> bytes:
    import cv2

    height, width = frame.shape[:2]
    if max(height, width) > _JPEG_PIXELS:
        raise UnusableVideo(f"{width}x{height} pixels do not fit into a JPEG; {_JPEG_PIXELS} either way is the most")
    whole, encoded = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not whole:
        raise MemoryError(f"OpenCV could not encode {width}x{height} pixels as a JPEG")
    return encoded.tobytes()
