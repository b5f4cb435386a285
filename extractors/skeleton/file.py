"""Skeleton files of MSR Action3D: the body's layout, parsing, repair, normalisation.

Li, Zhang, Liu, "Action Recognition Based on a Bag of 3D Points", CVPR4HB 2010. Joints are counted from 0 here.
"""

from array import array
from collections.abc import Iterator
from math import isfinite
from pathlib import Path

import numpy as np

from pipeline.errors import UnusableVideo

JOINTS = 20
"""Joints of a body."""
COLUMNS = 4
"""Numbers in a line: x, y, z and confidence."""
HIP_CENTRE = 6
FEET = (17, 18)
HEAD = 19
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

MAX_BYTES = 64 * 2**20
"""Largest size of a file: some 80,000 frames, more than any clip has."""
MAX_COORDINATE = 1e6
"""Largest coordinate, whether in metres, millimetres or pixels; squares stay finite."""
MAX_BONE_LENGTHS = 1000
"""Largest distance of a joint from the middle of the clip in mean bone lengths; in real files it is six at most."""
MAX_BONE_CHANGE = 0.2
"""Largest median change of a bone from frame to frame in mean bone lengths; in real files it is 0.001 at most."""
OTHER_JOINTS = range(10, 101)
"""Numbers of joints that a frame of other sets' files may have."""
MIN_REPETITIONS = 4
"""Least number of frames from which another number of joints is guessed."""
MAX_OTHER_DISTANCE = 0.75
"""Mean distance of lines as many apart as another number of joints, in that of lines 20 apart, up to which a file's
frames have that number; in real files the least is 1.4."""


def read(path: Path, frames: tuple[int, int] | None = None) -> np.ndarray:
    """Read the joints of a clip; frames that are zero throughout are interpolated.

    Parameters
    ----------
    path : Path
    frames : (int, int), optional
        Half-open range of the file's frames; None for all of them.

    Returns
    -------
    ndarray of float64, shape (time, 20, 3)
        x, y and z as in the file.

    Raises
    ------
    UnusableVideo
        Where the file is malformed anywhere, ends before the range does, or holds no body in it, or one whose joints
        cannot belong together.
    """
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UnusableVideo(f"over {MAX_BYTES} bytes; a skeleton file is smaller")
    joints = parse(content)
    start, stop = frames or (0, len(joints))
    if not 0 <= start < stop <= len(joints):
        raise UnusableVideo(f"{len(joints)} frames; they do not contain the range {start} to {stop}", len(joints))
    joints = repaired(joints[start:stop])
    distance = abs(joints - np.median(joints, axis=(0, 1))).max() / bone_length(joints)
    if distance > MAX_BONE_LENGTHS:
        raise UnusableVideo(f"a joint {distance:.0f} bone lengths from the others: a number is wrong", len(joints))
    return joints


def parse(content: bytes) -> np.ndarray:
    """Parse the content of a file.

    Parameters
    ----------
    content : bytes
        Lines of ``x y z confidence``, 20 for each frame.

    Returns
    -------
    ndarray of float64, shape (time, 20, 3)

    Raises
    ------
    UnusableVideo
        Where a line is wrong; it names the first one, and holds the number of complete frames before it. Where the
        joints are not those of MSR Action3D: the lines look like frames of another number of joints, or bones' lengths
        jump.
    """
    numbers = array("d")
    for line, text in enumerate(content.rstrip().splitlines()):
        try:
            numbers.extend(_row(text))
        except ValueError as error:
            raise UnusableVideo(f"line {line + 1}: {error}", line // JOINTS) from None
    rows = len(numbers) // COLUMNS
    if not rows:
        raise UnusableVideo("the file is empty; 20 lines a frame are needed")
    points = np.frombuffer(numbers).reshape(-1, COLUMNS)[:, :3].copy()
    if (guess := _joints_of_a_frame(points)) != JOINTS:
        raise UnusableVideo(
            f"{rows} lines look like {rows / guess:.4g} frames of {guess} joints; {JOINTS} joints are needed"
        )
    if rows % JOINTS:
        raise UnusableVideo(f"{rows} lines are not a multiple of {JOINTS}: the last frame is cut off", rows // JOINTS)
    joints = points.reshape(-1, JOINTS, 3)
    if (change := _bone_change(joints)) > MAX_BONE_CHANGE:
        raise UnusableVideo(f"bones change by {change:.0%} from frame to frame: the joints are not MSR Action3D's")
    return joints


def _joints_of_a_frame(points: np.ndarray) -> int:
    """Guess the joints of a frame from its points (line, 3): a joint moves less in a frame than it is from others."""
    if (bodies := _bodies(points)) > 1:
        return bodies * JOINTS
    seen = np.asarray(points.any(axis=1))
    counts = [count for count in OTHER_JOINTS if MIN_REPETITIONS * count <= len(points)]
    if not counts or not (seen[JOINTS:] & seen[:-JOINTS]).any():
        return JOINTS
    far = float(2 * np.median(abs(points[seen] - np.median(points[seen], axis=0))))  # a wrong number is no worse

    def distance(lines: int) -> float:
        both = seen[lines:] & seen[:-lines]  # as lost frames are zero, and tell nothing
        return float(np.minimum(abs(points[lines:] - points[:-lines])[both], far).mean()) if both.any() else far

    likeliest = min(counts, key=distance)
    return likeliest if distance(likeliest) < MAX_OTHER_DISTANCE * distance(JOINTS) else JOINTS


def _bodies(points: np.ndarray) -> int:
    """Guess the bodies of a frame, of which only one is there: all others are frames of zeros at equal distances."""
    frames = points[: len(points) // JOINTS * JOINTS].reshape(-1, JOINTS, 3)
    seen = np.flatnonzero(frames.any(axis=(1, 2)))
    return int(np.gcd.reduce(np.diff(seen))) if len(seen) >= MIN_REPETITIONS else 1


def _bone_change(joints: np.ndarray) -> float:
    """Compute the median change of a bone from frame to frame in mean bone lengths, but for frames of zeros."""
    lengths = bone_lengths(joints[joints.any(axis=(1, 2))])
    if len(lengths) < 2 or not lengths.any():
        return 0.0
    return float(np.median(abs(np.diff(lengths, axis=0))) / lengths.mean())


def _row(text: bytes) -> list[float]:
    """Parse a line. Raise ValueError that says what is wrong with it."""
    words = text.split()
    if len(words) != COLUMNS:
        raise ValueError(f"{len(words)} columns; x y z confidence are needed")
    try:
        if b"_" in text:  # which Python allows between digits
            raise ValueError
        values = [float(word) for word in words]
    except ValueError:
        raise ValueError(f"{bytes(text[:60])!r} holds something other than numbers") from None
    if not all(map(isfinite, values)):
        raise ValueError("NaN or infinity")
    if max(map(abs, values)) > MAX_COORDINATE:
        raise ValueError(f"{max(values, key=abs):g} is not a coordinate: over {MAX_COORDINATE:g}")
    return values


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
