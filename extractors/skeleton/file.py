"""Reads skeleton files into the body's 20 joints."""

from codecs import BOM_UTF8
from pathlib import Path
from typing import NamedTuple

import numpy as np

from extractors.skeleton.body import bone_length
from extractors.skeleton.layouts import KINECT_V1, Layout
from extractors.skeleton.neighbouring_columns import neighbouring
from extractors.skeleton.plausibility import check_bones
from extractors.skeleton.recording import Recording, by_number, part
from extractors.skeleton.repair import repaired_body
from extractors.skeleton.text import parse
from extractors.skeleton.tracked_bodies import holds_bodies, read_body
from pipeline.errors import UnusableVideo

MAX_BYTES = 64 * 2**20
"""Largest size of a file: of MSR Action3D's lines some 80,000 frames, more than any clip has."""
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
    """Read the joints of a clip; frames and joints that are zero, or not there, are interpolated.

    With ``kinect_v1`` a single joint that is zero is a place.

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
        were never detected, cannot belong together or be in the layout's order.
    """
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UnusableVideo(f"over {MAX_BYTES} bytes; a skeleton file is smaller")
    recording = _recording(content.removeprefix(BOM_UTF8), frames, layout)
    joints, repairs = repaired_body(recording.points, layout)
    distance = abs(joints - np.median(joints, axis=(0, 1))).max() / bone_length(joints)
    if distance > MAX_BONE_LENGTHS:
        raise UnusableVideo(f"a joint {distance:.0f} bone lengths from the others: a number is wrong", len(joints))
    return Skeletons(joints, {**recording.notes, **repairs})


def _recording(content: bytes, frames: tuple[int, int] | None, layout: Layout) -> Recording:
    """Read the points of a range of frames, in a layout that they can be in."""
    if not layout.header_lines and holds_bodies(content):
        if not layout.bodies:
            raise UnusableVideo("the file begins as NTU RGB+D's .skeleton files do; layout = 'kinect_v2' reads them")
        recording = read_body(content, frames)
        check_bones(recording.points, layout)
        return recording
    points, numbers = parse(content, layout)
    check_bones(points, layout, neighbouring(content, layout))
    return Recording(points[part(len(points), frames)]) if numbers is None else by_number(points, numbers, frames)
