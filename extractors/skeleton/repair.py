"""Finds what a tracker or an estimator lost, which files write as zeros, and interpolates it over time."""

import numpy as np

from extractors.skeleton.body import NAMES, interpolated
from extractors.skeleton.layouts import KINECT_V1, Layout, body
from pipeline.errors import UnusableVideo


def with_body(points: np.ndarray, layout: Layout) -> np.ndarray:
    """Return in which frames (time,) any point (time, point, 3) that the layout reads as a joint is not at 0, 0, 0."""
    return np.asarray(points[:, _used(layout)].any(axis=(1, 2)))


def lost_points(points: np.ndarray, layout: Layout) -> np.ndarray:
    """Return which points of which frames (time, point) are joints that were lost; none in ``kinect_v1``."""
    lost = np.zeros(points.shape[:2], bool)
    if layout != KINECT_V1:
        used = _used(layout)
        lost[:, used] = ~points[:, used].any(axis=2)
    return lost


def filled(points: np.ndarray, layout: Layout) -> np.ndarray:
    """Interpolate each point (time, point, 3) over the frames in which it is at 0, 0, 0.

    In ``kinect_v1`` such a point is a place, as in results of before. A point that is lost throughout stays so.
    """
    lost = lost_points(points, layout)
    if not lost.any():
        return points
    whole = points.copy()
    for point in np.flatnonzero(lost.any(axis=0) & ~lost.all(axis=0)):
        whole[:, [point]] = repaired(points[:, [point]])
    return whole


def repaired_body(points: np.ndarray, layout: Layout) -> tuple[np.ndarray, dict[str, int]]:
    """Compute the body's joints from points (time, point, 3), and repair what is lost.

    Returns
    -------
    joints : ndarray of float64, shape (time, 20, 3)
    notes : dict of str to int
        How many frames, and how many joints of the others, are interpolated.

    Raises
    ------
    UnusableVideo
        Where all frames are zero, or a joint is lost in all of them.
    """
    if layout == KINECT_V1:  # whose rows of before have no such notes, and stay as they are
        return repaired(body(points, layout.joints)), {}
    there = with_body(points, layout)
    if there.any():
        check_detected(points, layout)
    lost = lost_points(points[there], layout)
    counts = {
        "interpolated_frames": int((~there).sum()),
        "interpolated_joints": sum(int(lost[:, place].any(axis=1).sum()) for place in layout.joints),
    }
    joints = repaired(body(filled(points, layout), layout.joints))
    return joints, {name: count for name, count in counts.items() if count}


def check_detected(points: np.ndarray, layout: Layout) -> None:
    """Check that each joint's points (time, point, 3) are there in some frame of a layout other than ``kinect_v1``.

    Raises
    ------
    UnusableVideo
        Where one is lost throughout; it names the joints.
    """
    never = np.asarray(lost_points(points, layout).all(axis=0))
    names = [name for name, place in zip(NAMES, layout.joints, strict=True) if never[list(place)].any()]
    if names:
        raise UnusableVideo(
            f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} zero in all {len(points)} frames: never "
            "detected; in a layout of your own, a table with joints, a joint may share a neighbour's place",
            len(points),
        )


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


def _used(layout: Layout) -> list[int]:
    """Points that are joints, or parts of one."""
    return sorted({point for place in layout.joints for point in place})
