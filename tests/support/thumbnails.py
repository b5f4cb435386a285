"""Frames that tell their number, and what thumbnails show of them."""

import base64
import re

import cv2
import numpy as np


def ramp(frames: int, height: int = 64, width: int = 96) -> list[np.ndarray]:
    """Frames that grow brighter: frame i has the level 2 i."""
    return [np.full((height, width, 3), 2 * number, np.uint8) for number in range(frames)]


def levels(elements: tuple[str, ...]) -> list[float]:
    """The mean brightness of each picture; its size must be what the element says."""
    found = []
    for element in elements:
        match = re.fullmatch(r'<img src="data:image/jpeg;base64,([^"]+)" width="(\d+)" height="(\d+)" alt="">', element)
        assert match
        frame = cv2.imdecode(np.frombuffer(base64.b64decode(match[1]), np.uint8), cv2.IMREAD_COLOR)
        assert frame is not None
        assert frame.shape[:2] == (int(match[3]), int(match[2]))
        found.append(float(frame.mean()))
    return found
