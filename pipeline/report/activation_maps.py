"""Draws class activation maps over the frames that they answer to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.report.thumbnails import image

SHOWN = 4
_OPACITY = 0.5


@dataclass(frozen=True, slots=True)
class Activations:
    """Activation maps of one clip of a test video, for both networks of a temporal difference network.

    Parameters
    ----------
    video
        Id of the video.
    label
        The video's (first) class, which the maps show.
    before, after
        Probability of that class by the images alone, and by images and differences, 0 to 1.
    frames
        First frame of each snippet.
    images, changes
        HTML elements: one a snippet, and one for each two successive snippets.
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
    """Choose the videos whose class gains most probability, at most one of each class.

    Parameters
    ----------
    before, after
        Probabilities (class,) by video id.
    labels
        Class indices by video id.
    """
    gains = {id: float(after[id][labels[id][0]] - before[id][labels[id][0]]) for id in before}
    first: dict[int, str] = {}
    for id in sorted(gains, key=lambda id: (-gains[id], id)):
        if gains[id] > 0:
            first.setdefault(labels[id][0], id)
    return tuple(first.values())[:SHOWN]


def pictures(frames: Sequence[np.ndarray], maps: np.ndarray) -> tuple[str, ...]:
    """Draw maps (n, h, w) over frames (height, width, 3) uint8 RGB, one on each.

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
