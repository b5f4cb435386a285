"""The body of 20 joints on which skeleton features are computed: its bones, their lengths, its size and its place.

Joints are in the order of MSR Action3D, counted from 0 here: Li, Zhang, Liu, "Action Recognition Based on a Bag of 3D
Points", CVPR4HB 2010.
"""

from collections.abc import Iterator

import numpy as np

from pipeline.errors import UnusableVideo

NAMES = (
    "left_shoulder", "right_shoulder", "neck", "spine", "left_hip", "right_hip", "hip_centre", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand", "left_knee", "right_knee", "left_ankle",
    "right_ankle", "left_foot", "right_foot", "head",
)  # fmt: skip
"""Names of the joints, left and right being the person's own.

The data set names no sides; its actors were told to use the right arm or leg where one is enough, and in all waves and
nearly all kicks of one side what moves is the second joint of each pair. It is also at the larger x of a person who
faces the sensor, as the right side is in the coordinates of both Kinects."""
JOINTS = len(NAMES)
"""Joints of a body."""
HIP_CENTRE = NAMES.index("hip_centre")
FEET = (17, 18)
HEAD = NAMES.index("head")
BONES = np.array(
    [
        (19, 0, 1, 0, 7, 9, 1, 8, 10, 2, 3, 6, 6, 4, 5, 13, 14, 15, 16),
        (2, 2, 2, 7, 9, 11, 8, 10, 12, 3, 6, 4, 5, 13, 14, 15, 16, 17, 18),
    ]
).T
"""Joints of each bone, (19, 2); it points from the first to the second."""


def _outwards() -> Iterator[tuple[int, int]]:
    """Order the bones from the hip centre outwards."""
    reached = {HIP_CENTRE}
    while len(reached) < JOINTS:
        for pair in BONES.tolist():
            inner = reached.intersection(pair)
            if len(inner) == 1:
                (outer,) = set(pair) - inner
                reached.add(outer)
                yield inner.pop(), outer


OUTWARDS = tuple(_outwards())
"""Bones from the hip centre outwards (inner joint, outer joint): an inner joint is an outer one of an earlier bone."""


def interpolated(joints: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Interpolate joints (time, 20, 3) linearly at times in frames, from 0 to time − 1; whole frames keep every bit."""
    before = np.floor(times).astype(int)
    after = np.minimum(before + 1, len(joints) - 1)
    return np.asarray(joints[before] + (times - before)[:, None, None] * (joints[after] - joints[before]))


def bone_lengths(joints: np.ndarray) -> np.ndarray:
    """Compute the lengths (time, 19) of the bones in each frame."""
    lengths: np.ndarray = np.linalg.norm(joints[:, BONES[:, 1]] - joints[:, BONES[:, 0]], axis=2)
    return lengths


def bone_length(joints: np.ndarray) -> float:
    """Compute the size of the body: the median over frames of the mean length of its 19 bones.

    Raises
    ------
    UnusableVideo
        Where it is zero.
    """
    size = float(np.median(bone_lengths(joints).mean(axis=1)))
    if not size:
        raise UnusableVideo("the joints coincide: the body has no size", len(joints))
    return size


def normalised(joints: np.ndarray, *, each_frame: bool = True) -> np.ndarray:
    """Express joints relative to the hip centre of each frame, or of the first, in the clip's mean bone lengths."""
    centres = joints[:, HIP_CENTRE, None] if each_frame else joints[0, HIP_CENTRE]
    return np.asarray((joints - centres) / bone_length(joints))


def equal_bones(joints: np.ndarray) -> np.ndarray:
    """Make all bones as long as the clip's mean bone and keep hip centres and directions; no length, no direction.

    Notes
    -----
    Vemulapalli, Arrate, Chellappa, "Human Action Recognition by Representing 3D Skeletons as Points in a Lie Group",
    CVPR 2014, give all bodies the lengths of one of them; equal lengths need no such body.
    """
    length = bone_length(joints)
    equal = joints.copy()
    for inner, outer in OUTWARDS:
        bone = joints[:, outer] - joints[:, inner]
        size = np.linalg.norm(bone, axis=1, keepdims=True)
        equal[:, outer] = equal[:, inner] + length * np.divide(bone, size, out=np.zeros_like(bone), where=size > 0)
    return equal
