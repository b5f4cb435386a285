"""Class activation maps over the frames that they answer to, as pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.report.thumbnails import image

SHOWN = 4
_OPACITY = 0.5


@dataclass(frozen=True, slots=True)
class Activations:
    """Where the two networks of a temporal difference network see a class in one clip of a test video.

    label: the video's (first) class, which the maps are of; before, after: its probability by the images alone, and by
    images and differences; frames: the first frame of each snippet; images, changes: HTML elements, one a snippet, and
    one for each two that follow each other.
    """

    video: str
    label: str
    before: float
    after: float
    frames: tuple[int, ...]
    images: tuple[str, ...]
    changes: tuple[str, ...]


def most_improved(
    before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], labels: Mapping[str, tuple[int, ...]]
) -> tuple[str, ...]:
    """Of the videos whose class gains most probability those that gain most, one of a class.

    before, after: (class,) probabilities by video id.
    """
    gains = {id: float(after[id][labels[id][0]] - before[id][labels[id][0]]) for id in before}
    first: dict[int, str] = {}
    for id in sorted(gains, key=lambda id: (-gains[id], id)):
        if gains[id] > 0:
            first.setdefault(labels[id][0], id)
    return tuple(first.values())[:SHOWN]


def pictures(frames: Sequence[np.ndarray], maps: np.ndarray) -> tuple[str, ...]:
    """Frames (height, width, 3) uint8 RGB with maps (n, h, w) over them, one each.

    A map is enlarged bilinearly to the frame (7×7 to 224×224: Ng and Davis, WACV 2018, figure 3). Its smallest value is
    blue, its largest red, whatever they are.
    """
    return tuple(image(_over(frame, answers)) for frame, answers in zip(frames, maps, strict=True))


def _over(frame: np.ndarray, answers: np.ndarray) -> np.ndarray:
    spread = answers - answers.min()
    levels = np.rint(255 * spread / max(float(spread.max()), 1e-9)).astype(np.float32)
    enlarged = cv2.resize(levels, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    heat = cv2.cvtColor(cv2.applyColorMap(enlarged.astype(np.uint8), cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    blended: np.ndarray = cv2.addWeighted(frame, 1 - _OPACITY, heat, _OPACITY, 0)
    return blended
