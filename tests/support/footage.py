"""Video files that hold exactly the given frames, and rows of flow."""

from pathlib import Path

import cv2
import numpy as np

from extractors.base import Clip, Row


def write(path: Path, frames: np.ndarray) -> Path:
    """Grey frames, uint8 (time, height, width), without loss."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 25, frames.shape[2:0:-1], isColor=True)
    assert writer.isOpened()
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


def film(folder: Path, frames: int) -> Clip:
    """A colourless video of noise, 96×72."""
    noise = np.random.default_rng(frames).integers(0, 256, (frames, 72, 96), np.uint8)
    return Clip(write(folder / f"film-{frames}.avi", noise))


def flows(count: int, stride_frames: int = 1, size: tuple[int, int] = (72, 96), seed: int = 0) -> Row:
    """A row as ``tvl1`` makes it."""
    x, y = np.random.default_rng(seed).integers(0, 256, (2, count, *size), np.uint8)
    starts = np.arange(count, dtype=np.int64) * stride_frames
    attributes = {"fps": 25.0, "frames": count * stride_frames + 1, "clipped_share": 0.1}
    spans = {"times": starts / 25, "ends": (starts + 2) / 25}
    return Row({"x": x, "y": y, "start_frames": starts, **spans}, attributes)


def gradient(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Smooth pictures whose brightness rises with the frame number."""
    y, x = np.mgrid[:height, :width]
    return [np.stack([x + 5 * t, y + 5 * t, 60 + 0 * x + 5 * t], -1).astype(np.uint8) for t in range(count)]
