"""Video files that hold exactly the given frames."""

from pathlib import Path

import cv2
import numpy as np


def write(path: Path, frames: np.ndarray) -> Path:
    """Grey frames, uint8 (time, height, width), without loss."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 25, frames.shape[2:0:-1], isColor=True)
    assert writer.isOpened()
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path
