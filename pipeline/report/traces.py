"""Holds what networks say of a clip step by step, and chooses the clips that are shown so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.video.sampling import segment_centres

SHOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Answers of one network to one clip, step by step.

    frames: (time,), of each step the first frame that it sees, counted within the clip.
    probability: (time,), what the network gives the clip's class at each step.
    norms: (time, 3 or more), ‖s_t‖₂, ‖v_t‖₂, ‖a_t‖₂ … of an internal state and its derivatives; None without one.
    """

    frames: np.ndarray
    probability: np.ndarray
    norms: np.ndarray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TracedClip:
    """One test video on its time axis.

    label: its (first) class; fps: None where nothing says it; strip: HTML elements in the order of time, of equal parts
    of the clip the middle; traces: by the network's name, none of a video that could not be used.
    """

    video: str
    label: str
    length_frames: int = 0
    fps: float | None = None
    strip: tuple[str, ...] = ()
    traces: Mapping[str, Trace] = field(default_factory=dict)


def choose(labels: Mapping[str, tuple[int, ...]], tested: Sequence[str]) -> tuple[str, ...]:
    """Choose the first test video of each of three classes, evenly spread over those that have any.

    Nothing depends on what a network says: all experiments on one fold show the same clips, well recognised or not.
    """
    first: dict[int, str] = {}
    for video in tested:
        first.setdefault(labels[video][0], video)
    videos = [first[label] for label in sorted(first)]
    return tuple(videos[place] for place in np.unique(segment_centres(len(videos), SHOWN)))
