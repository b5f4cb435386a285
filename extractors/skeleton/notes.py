"""Names what reading notes of a skeleton file that is out of the ordinary, which the attributes of its rows keep."""

from collections.abc import Mapping

NOTES: Mapping[str, str] = {
    "bodies": "several bodies, of which the one that is tracked in most frames is taken",
    "interpolated_frames": "frames without a body, interpolated between others",
    "interpolated_joints": "undetected joints, which are zero in some frames, interpolated between others",
    "repeated_frames": "frame numbers that several lines have, the first of which is taken",
}
"""What each says was done or found; all count. Where there are several bodies, ``body`` is the id of the one taken."""
