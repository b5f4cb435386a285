"""Draws small pictures of a clip as HTML elements: frames as JPEG, skeletons as line drawings."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from pipeline.errors import UnusableVideo
from pipeline.video.decode import decode
from pipeline.video.stills import stills

HEIGHT_PX = 108
"""Twice the height at which they are shown, for fine screens."""
_JPEG_QUALITY = 72
_KEPT = 16


class Sampling(NamedTuple):
    """Number of pictures of a clip; of one longer than ``longest_frames`` they come from that much of its beginning."""

    pictures: int
    longest_frames: int | None

    def places(self, length: int) -> list[int]:
        """List the frames that are shown of a clip of so many: the middles of equal parts."""
        length = length if self.longest_frames is None else min(length, self.longest_frames)
        return sorted({(2 * part + 1) * length // (2 * self.pictures) for part in range(self.pictures)})


CARD = Sampling(4, 1000)
FILM = Sampling(8, None)
TIMELINE = Sampling(6, None)
"""Over an axis of time, which is the whole clip's."""


def of_clip(
    path: Path, frames: tuple[int, int] | None = None, sampling: Sampling = CARD, fps: float | None = None
) -> tuple[str, ...]:
    """Draw evenly spaced frames of a video, or of a range of its frames; fps: that of a folder of pictures.

    Raises UnusableVideo where not one of them decodes, OSError where the file cannot be read.
    """
    with closing(decode(path, frames=frames, fps=fps)) as blocks:  # type: ignore[type-var]
        small = (_small(frame) for block in blocks for frame in block.frames)
        decoded = _until_unusable(islice(small, sampling.longest_frames))
        return tuple(map(image, _spread(decoded, sampling)))


def of_film(path: Path, length_s: float, sampling: Sampling = FILM, fps: float | None = None) -> tuple[str, ...]:
    """Draw frames of a long video at evenly spaced times, without decoding all that lies between them.

    Raises OSError where the file cannot be opened.
    """
    times = [(2 * part + 1) * length_s / (2 * sampling.pictures) for part in range(sampling.pictures)]
    return of_frames(list(stills(path, times, fps)))


def of_frames(frames: Sequence[np.ndarray]) -> tuple[str, ...]:
    """Draw frames, (height, width, 3) uint8 RGB each."""
    return tuple(image(_small(frame)) for frame in frames)


def image(frame: np.ndarray) -> str:
    """Return an HTML image that holds its own data; the surrounding element has the alternative text."""
    height, width = frame.shape[:2]
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), quality)
    data = base64.b64encode(encoded.tobytes()).decode()
    return f'<img src="data:image/jpeg;base64,{data}" width="{width}" height="{height}" alt="">'


def of_skeleton(joints: np.ndarray, bones: np.ndarray, head: int, sampling: Sampling = CARD) -> tuple[str, ...]:
    """Draw evenly spaced poses of joints (time, joint, 2 or more), y upwards, all at one scale; bones: (bone, 2)."""
    chosen = joints[sampling.places(len(joints))][..., :2]
    centred = chosen - (chosen.min(axis=1, keepdims=True) + chosen.max(axis=1, keepdims=True)) / 2
    extent = 2 * np.abs(centred).max(axis=(0, 1)) + 1e-9
    scale = 0.86 * HEIGHT_PX / extent.max()
    width = max(HEIGHT_PX // 2, round(extent[0] * scale + 0.14 * HEIGHT_PX))
    pixels = centred * (scale, -scale) + (width / 2, HEIGHT_PX / 2)
    return tuple(_pose(pose, bones, head, width) for pose in pixels)


def _pose(pose: np.ndarray, bones: np.ndarray, head: int, width: int) -> str:
    lines = "".join("M{:.1f} {:.1f}L{:.1f} {:.1f}".format(*pose[start], *pose[end]) for start, end in bones)
    x, y = pose[head]
    return (
        f'<svg viewBox="0 0 {width} {HEIGHT_PX}" width="{width}" height="{HEIGHT_PX}" aria-hidden="true">'
        f'<path d="{lines}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="5"/></svg>'
    )


def _small(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    size = (max(1, round(width * HEIGHT_PX / height)), HEIGHT_PX)
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if height > HEIGHT_PX else cv2.INTER_LINEAR)


def _until_unusable(frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """What decodes; raises UnusableVideo where nothing does."""
    count = 0
    try:
        for frame in frames:
            count += 1
            yield frame
    except UnusableVideo:
        if not count:
            raise


def _spread(frames: Iterable[np.ndarray], sampling: Sampling) -> list[np.ndarray]:
    """Evenly spaced ones of a stream of unknown length, of which few are kept at a time."""
    kept: list[np.ndarray] = []
    stride = 1
    for index, frame in enumerate(frames):
        if index % stride == 0:
            kept.append(frame)
            if len(kept) == sampling.pictures * _KEPT:
                kept, stride = kept[::2], 2 * stride
    return [kept[place] for place in sampling.places(len(kept))]
