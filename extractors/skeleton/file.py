"""Reads skeleton files into the body's 20 joints, and repairs frames without a body."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from extractors.skeleton.body import bone_length, interpolated
from extractors.skeleton.layouts import KINECT_V1, Layout, body
from extractors.skeleton.plausibility import check_bones
from extractors.skeleton.recording import Recording, by_number, part
from extractors.skeleton.text import parse
from extractors.skeleton.tracked_bodies import holds_bodies, read_body
from pipeline.errors import UnusableVideo

MAX_BYTES = 64 * 2**20
"""Largest size of a file: some 80,000 frames, more than any clip has."""
MAX_BONE_LENGTHS = 1000
"""Largest distance of a joint from the middle of the clip in mean bone lengths; in real files it is six at most."""


class Skeletons(NamedTuple):
    """A body over time.

    Parameters
    ----------
    joints : ndarray of float64, shape (time, 20, 3)
        x, y and z as in the file.
    notes : dict of str to int or str
        What is out of the ordinary, as attributes of rows: see ``extractors.skeleton.notes``.
    """

    joints: np.ndarray
    notes: dict[str, int | str]


def read(path: Path, frames: tuple[int, int] | None = None, layout: Layout = KINECT_V1) -> Skeletons:
    """Read the joints of a clip; frames that are zero throughout, or not there, are interpolated.

    Parameters
    ----------
    path : Path
    frames : (int, int), optional
        Half-open range of the file's frames: of their own numbers where the layout has some, otherwise counted from 0.
        None for all of them.
    layout : Layout

    Raises
    ------
    UnusableVideo
        Where the file is malformed anywhere, ends before the range does, or holds no body in it, or one whose joints
        cannot belong together or be in the layout's order.
    """
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UnusableVideo(f"over {MAX_BYTES} bytes; a skeleton file is smaller")
    recording = _recording(content, frames, layout)
    lost = int((~recording.points.any(axis=(1, 2))).sum())
    joints = repaired(body(recording.points, layout.joints))
    distance = abs(joints - np.median(joints, axis=(0, 1))).max() / bone_length(joints)
    if distance > MAX_BONE_LENGTHS:
        raise UnusableVideo(f"a joint {distance:.0f} bone lengths from the others: a number is wrong", len(joints))
    notes = dict(recording.notes)
    if lost and layout != KINECT_V1:  # whose rows of before have no such attribute, and stay as they are
        notes["interpolated_frames"] = lost
    return Skeletons(joints, notes)


def _recording(content: bytes, frames: tuple[int, int] | None, layout: Layout) -> Recording:
    """Read the points of a range of frames, in a layout that they can be in."""
    if holds_bodies(content):
        if not layout.bodies:
            raise UnusableVideo("the file begins as NTU RGB+D's .skeleton files do; layout = 'kinect_v2' reads them")
        recording = read_body(content, frames)
        check_bones(recording.seen, layout)
        return recording
    points, numbers = parse(content, layout)
    check_bones(points[points.any(axis=(1, 2))], layout)
    return Recording(points[part(len(points), frames)]) if numbers is None else by_number(points, numbers, frames)


def repaired(joints: np.ndarray) -> np.ndarray:
    """Replace frames that are zero throughout: linearly between the nearest others, at the ends by the nearest one.

    Raises
    ------
    UnusableVideo
        Where all frames are zero.
    """
    seen = np.flatnonzero(joints.any(axis=(1, 2)))
    if not len(seen):
        raise UnusableVideo(f"all {len(joints)} frames are zero: no body was tracked", len(joints))
    return interpolated(joints[seen], np.interp(np.arange(len(joints)), seen, np.arange(len(seen))))
