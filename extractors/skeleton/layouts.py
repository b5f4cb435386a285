"""Layouts of skeleton files: which numbers of a file are which of the 20 joints.

References
----------
MSR Action3D: Li, Zhang, Liu, "Action Recognition Based on a Bag of 3D Points", CVPR4HB 2010.

NTU RGB+D: Shahroudy, Liu, Ng, Wang, "NTU RGB+D: A Large Scale Dataset for 3D Human Activity Analysis", CVPR 2016,
table 1 and figure 1; its repository describes the ``.skeleton`` files.

UTKinect-Action3D: Xia, Chen, Aggarwal, "View Invariant Human Action Recognition Using Histograms of 3D Joints", CVPRW
2012, and the data set's page; joints are those of the Kinect for Windows SDK, in the order of its ``JointType``.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from extractors.skeleton.body import NAMES

Places = tuple[tuple[int, ...], ...]
"""For each of the 20 joints the points of a frame whose mean it is, counted from 0."""

KINECT_SDK = (
    "hip_centre", "spine", "neck", "head", "left_shoulder", "left_elbow", "left_wrist", "left_hand", "right_shoulder",
    "right_elbow", "right_wrist", "right_hand", "left_hip", "left_knee", "left_ankle", "left_foot", "right_hip",
    "right_knee", "right_ankle", "right_foot",
)  # fmt: skip
"""Joints in the order of the first Kinect's SDK, whose ShoulderCenter is the neck here."""
NTU = {
    1: "hip_centre",  # base of the spine, SpineBase
    2: "spine",  # middle of the spine, SpineMid
    3: None,  # Neck: some 8 cm above where the first Kinect's ShoulderCenter and MSR's third joint are
    4: "head",
    5: "left_shoulder",
    6: "left_elbow",
    7: "left_wrist",
    8: "left_hand",
    9: "right_shoulder",
    10: "right_elbow",
    11: "right_wrist",
    12: "right_hand",
    13: "left_hip",
    14: "left_knee",
    15: "left_ankle",
    16: "left_foot",
    17: "right_hip",
    18: "right_knee",
    19: "right_ankle",
    20: "right_foot",
    21: "neck",  # spine, SpineShoulder: between the shoulders, where spine, head and both shoulders meet
    22: None,  # tip of the left hand
    23: None,  # left thumb
    24: None,  # tip of the right hand
    25: None,  # right thumb
}
"""Joint that each of NTU RGB+D's 25 is, in its own numbers; None for those that the 20 have not."""


class Layout(NamedTuple):
    """Form of a file.

    Parameters
    ----------
    name : str
        What messages call it.
    line : str
        What a line holds, for messages.
    lines : int
        Lines of a frame.
    columns : tuple of tuple of int
        Columns of the coordinates of each point of a line, counted from 0: three, or two for a flat body.
    joints : Places
        Of the points of all lines of a frame.
    widths : tuple of int
        Numbers of columns that a line may have; none where any number does that is large enough.
    header_lines : int
        Lines before the first frame.
    numbered : bool
        Whether the first column is the number of the frame, by which ranges of frames are meant.
    bodies : bool
        Whether NTU RGB+D's ``.skeleton`` files are read as well.
    """

    name: str
    line: str
    lines: int
    columns: tuple[tuple[int, ...], ...]
    joints: Places
    widths: tuple[int, ...] = ()
    header_lines: int = 0
    numbered: bool = False
    bodies: bool = False

    @property
    def points(self) -> int:
        """Number of points of a frame."""
        return self.lines * len(self.columns)


def body(points: np.ndarray, joints: Places) -> np.ndarray:
    """Compute the 20 joints (time, 20, 3) from the points (time, point, 3) of each frame; single points keep every bit.

    Examples
    --------
    >>> body(np.arange(12.0).reshape(1, 4, 3), ((3,), (0, 1))).tolist()
    [[[9.0, 10.0, 11.0], [1.5, 2.5, 3.5]]]
    """
    means = [points[:, place[0]] if len(place) == 1 else points[:, place].mean(axis=1) for place in joints]
    return np.stack(means, axis=1)


def _places(numbers: Mapping[str, int]) -> Places:
    return tuple((numbers[name],) for name in NAMES)


_XYZ = ((0, 1, 2),)
KINECT_V1 = Layout("kinect_v1", "x y z confidence", 20, _XYZ, tuple((joint,) for joint in range(20)), (4,))
"""MSR Action3D's files: the first Kinect's 20 joints, a line each."""
KINECT_V2 = Layout(
    "kinect_v2",
    "x y z, or x y z confidence",
    len(NTU),
    _XYZ,
    _places({name: number - 1 for number, name in NTU.items() if name}),
    (3, 4),
    bodies=True,
)
"""The second Kinect's 25 joints, a line each, as NTU RGB+D orders them; or its ``.skeleton`` files."""
UTKINECT = Layout(
    "utkinect",
    "a frame's number and x y z of 20 joints, 61 numbers",
    1,
    tuple((1 + 3 * place, 2 + 3 * place, 3 + 3 * place) for place in range(20)),
    _places({name: place for place, name in enumerate(KINECT_SDK)}),
    (61,),
    numbered=True,
)
"""UTKinect-Action3D's files: a frame a line, the first Kinect's joints in the order of its SDK, in metres."""
LAYOUTS = {each.name: each for each in (KINECT_V1, KINECT_V2, UTKINECT)}
"""Layouts that are known by name."""
