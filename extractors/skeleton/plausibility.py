"""Checks whether a file's points can be a body's joints in the layout that it is read by."""

from collections.abc import Iterable

import numpy as np

from extractors.skeleton.body import BONES, JOINTS, bone_lengths
from extractors.skeleton.layouts import KINECT_V1, LAYOUTS, UTKINECT, Layout, body
from extractors.skeleton.repair import check_detected, filled, lost_points, with_body
from pipeline.errors import UnusableVideo

MAX_BONE_CHANGE = 0.2
"""Largest median change of a bone from frame to frame in mean bone lengths; in real files it is 0.001 at most."""
OTHER_JOINTS = range(10, 101)
"""Numbers of joints that a frame of other sets' files may have."""
MIN_REPETITIONS = 4
"""Least number of frames from which another number of joints is guessed."""
MAX_OTHER_DISTANCE = 0.75
"""Mean distance of lines as many apart as another number of joints, in that of lines a frame apart, up to which a
file's frames have that number; in real files the least is 1.4."""
MIN_ELASTICITY = 0.03
"""Elasticity, in sizes of the body, up to which bones may be those of any order: the body hardly moves, or rigidly. In
MSR Action3D's own order no file is above it: the largest is 0.0294, of a13_s08_e02."""
MAX_ELASTICITY_RATIO = 3.5
"""Largest elasticity of a layout's bones in that of the most rigid tree over the same joints. In MSR Action3D's 566
files with a body it is at most 3.01; with three centimetres of noise, by which all are above ``MIN_ELASTICITY``, 1.42;
with fifteen at hands and feet 1.28; with one joint in twenty thrown by twenty 2.7; with joints shuffled, 27 in the
median."""
MAX_FLAT_ELASTICITY_RATIO = 5.0
"""The same of a layout of two coordinates, whose bones change as they turn to the camera: of MSR Action3D's bodies,
seen from four sides without perspective, it is at most 4.14."""
MAX_ORDER_RATIO = 2.0
"""Largest elasticity of a layout's bones in that of the same file's in another known order, or in columns beside those
of the layout. In tables of MSR Action3D it is at most 0.75 where these are the wrong ones, flat 1.3; where they are the
right ones, it is above 2 in 98 % of bodies."""
MIN_TOGETHER = 0.25
"""Least share of frames in which two joints are both there that tells how their distance changes."""
MAX_COMPARED = 300
"""Number of frames, evenly spaced, that are enough to compare."""


def check_lines(points: np.ndarray, layout: Layout) -> None:
    """Check that lines (line, 3), a joint each, are whole frames of as many joints as the layout has.

    Raises
    ------
    UnusableVideo
        Where they look like frames of another number of joints, or the last one is cut off.
    """
    rows = len(points)
    if (guess := _joints_of_a_frame(points, layout.lines)) != layout.lines:
        others = [each.name for each in LAYOUTS.values() if each.lines == guess]
        hint = f"; layout = {others[0]!r} reads {guess}" if others else ""
        raise UnusableVideo(f"{rows} lines look like {rows / guess:.4g} frames of {guess} joints; "
                            f"{layout.lines} joints are needed{hint}")  # fmt: skip
    if rows % layout.lines:
        raise UnusableVideo(
            f"{rows} lines are not a multiple of {layout.lines}: the last frame is cut off", rows // layout.lines
        )


def check_bones(points: np.ndarray, layout: Layout, neighbours: Iterable[tuple[str, np.ndarray]] = ()) -> None:
    """Check that points are a body's joints in the layout's order.

    Parameters
    ----------
    points : ndarray of float64, shape (time, point, 3)
    layout : Layout
    neighbours : iterable of (str, ndarray)
        Points in neighbouring columns, and what these are called: see ``extractors.skeleton.neighbouring_columns``.

    Raises
    ------
    UnusableVideo
        Where a joint is never there. Where bones jump from frame to frame, or change over time much more than those of
        another order, or of neighbouring columns.

    Notes
    -----
    A bone is as long in one frame as in the other, but for the tracker's errors, and two joints that no bone joins come
    nearer and go apart. So of all trees over the 20 joints that of the bones is about the most rigid, however large the
    errors are: what throws a joint changes its distance to every other one. Where the layout's bones are several times
    as elastic as the most rigid tree, they are no bones. A body that does not move tells nothing, nor do sides that are
    swapped as a whole.
    """
    there = with_body(points, layout)
    points = points[there]
    if not len(points):
        return
    check_detected(points, layout)
    if (change := _bone_change(body(filled(points, layout), layout.joints))) > MAX_BONE_CHANGE:
        raise UnusableVideo(
            f"bones change by {change:.0%} from frame to frame: the joints are not in the order of {layout.name}"
        )
    if len(points) < MIN_REPETITIONS:
        return
    known = _known(points, layout)
    own, least = _elasticity(body(known, layout.joints))
    if own <= MIN_ELASTICITY:
        return
    for other, places in _ORDERS.items() if layout.points == JOINTS else ():
        if own > MAX_ORDER_RATIO * _elasticity(body(known, places))[0]:
            raise UnusableVideo(f"over time bones change less in the order of {other} than in that of {layout.name}: "
                                f"{OWN_TABLE}")  # fmt: skip
    for columns, others in neighbours:
        if own > MAX_ORDER_RATIO * _elasticity(body(_known(others[there], layout), layout.joints))[0]:
            raise UnusableVideo(f"over time bones change less {columns} than in those of {layout.name}; columns are "
                                "counted from 1, and with those that hold no joints, such as times")  # fmt: skip
    if own > _max_ratio(layout) * least:
        raise UnusableVideo(f"over time bones change {own / least:.0f} times as much as distances of other joints: the "
                            f"joints are not in the order of {layout.name}; {OWN_TABLE}")  # fmt: skip


def _known(points: np.ndarray, layout: Layout) -> np.ndarray:
    """Return points (time, point, 3) with NaN for those that are lost."""
    return np.where(lost_points(points, layout)[..., None], np.nan, points)


def _max_ratio(layout: Layout) -> float:
    return MAX_ELASTICITY_RATIO if len(layout.columns[0]) == 3 else MAX_FLAT_ELASTICITY_RATIO


_ORDERS = {"MSR Action3D (kinect_v1)": KINECT_V1.joints, "the Kinect SDK (utkinect)": UTKINECT.joints}
"""Known orders of twenty joints."""
OWN_TABLE = "a layout of your own, a table with lines and joints, can name them"


def _elasticity(joints: np.ndarray) -> tuple[float, float]:
    """Compute how much the 19 bones change over time, and how much the 19 edges of the most rigid tree do.

    Parameters
    ----------
    joints : ndarray of float64, shape (time, 20, 3)
        NaN where a joint is lost. A length is that of the frames in which both of its joints are there, and there is
        no edge between two that are together in few.

    Returns
    -------
    bones, tree : float
        Mean absolute difference of a length from its median over time, in sizes of the body: the median distance of its
        joints from their middle. 0 where it has no size.
    """
    joints = joints[np.linspace(0, len(joints) - 1, min(len(joints), MAX_COMPARED)).astype(int)]
    first, second = np.triu_indices(JOINTS, 1)
    distances = np.linalg.norm(joints[:, first] - joints[:, second], axis=2)  # (time, pair)
    together = np.isfinite(distances).sum(axis=0) >= max(MIN_REPETITIONS, MIN_TOGETHER * len(joints))
    distances = distances[:, together]
    changes = np.full((JOINTS, JOINTS), np.inf)
    found = np.nanmean(abs(distances - np.nanmedian(distances, axis=0)), axis=0)
    changes[first[together], second[together]] = changes[second[together], first[together]] = found
    bones = changes[BONES[:, 0], BONES[:, 1]]
    bones = bones[np.isfinite(bones)]
    joints = joints[np.isfinite(joints).any(axis=(1, 2))]
    size = np.nanmedian(np.linalg.norm(joints - np.nanmedian(joints, axis=1, keepdims=True), axis=2))
    if not size or not len(bones):
        return 0.0, 0.0
    return float(bones.mean() / size), float(_least_tree(changes) / len(BONES) / size)


def _least_tree(weights: np.ndarray) -> float:
    """Compute the least sum of weights (joint, joint) along a tree that reaches all joints, by Prim's algorithm.

    >>> _least_tree(np.array([[0.0, 1.0, 5.0], [1.0, 0.0, 2.0], [5.0, 2.0, 0.0]]))
    3.0
    """
    outside = np.ones(len(weights), bool)
    outside[0] = False
    nearest, total = weights[0], 0.0
    while outside.any():
        joint = np.flatnonzero(outside)[nearest[outside].argmin()]
        total += float(nearest[joint])
        outside[joint] = False
        nearest = np.minimum(nearest, weights[joint])
    return total


def _joints_of_a_frame(points: np.ndarray, lines: int) -> int:
    """Guess the joints of a frame from its points (line, 3): a joint moves less in a frame than it is from others."""
    if (bodies := _bodies(points, lines)) > 1:
        return bodies * lines
    seen = np.asarray(points.any(axis=1))
    counts = [count for count in OTHER_JOINTS if MIN_REPETITIONS * count <= len(points)]
    if not counts or not (seen[lines:] & seen[:-lines]).any():
        return lines
    far = float(2 * np.median(abs(points[seen] - np.median(points[seen], axis=0))))  # a wrong number is no worse

    def distance(apart: int) -> float:
        both = seen[apart:] & seen[:-apart]  # as lost frames are zero, and tell nothing
        return float(np.minimum(abs(points[apart:] - points[:-apart])[both], far).mean()) if both.any() else far

    likeliest = min(counts, key=distance)
    return likeliest if distance(likeliest) < MAX_OTHER_DISTANCE * distance(lines) else lines


def _bodies(points: np.ndarray, lines: int) -> int:
    """Guess the bodies of a frame, of which only one is there: all others are frames of zeros at equal distances."""
    frames = points[: len(points) // lines * lines].reshape(-1, lines, 3)
    seen = np.flatnonzero(frames.any(axis=(1, 2)))
    return int(np.gcd.reduce(np.diff(seen))) if len(seen) >= MIN_REPETITIONS else 1


def _bone_change(joints: np.ndarray) -> float:
    """Compute the median change of a bone from frame to frame in mean bone lengths."""
    lengths = bone_lengths(joints)
    if len(lengths) < 2 or not lengths.any():
        return 0.0
    return float(np.median(abs(np.diff(lengths, axis=0))) / lengths.mean())
