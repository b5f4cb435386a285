"""An articulated body of 20 joints before a fixed camera: build, pose, forward and inverse kinematics."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WIDTH, HEIGHT = 160, 120
FOCAL_PX = 190.0
CAMERA_HEIGHT_M = 1.0
DISTANCE_M = 4.0

# Indices of MSR Action3D's 20 joints; in pairs the figure's right side comes first.
SHOULDERS, NECK, SPINE, HIPS, HIP_CENTRE, ELBOWS = slice(0, 2), 2, 3, slice(4, 6), 6, slice(7, 9)
WRISTS, HANDS, KNEES, ANKLES, FEET, HEAD = slice(9, 11), slice(11, 13), slice(13, 15), slice(15, 17), slice(17, 19), 19

# Lengths and heights as shares of the stature (Drillis and Contini 1966, as tabled by Winter).
_UPPER_ARM, _FOREARM, _HAND, _THIGH, _SHANK, _FOOT = 0.186, 0.146, 0.05, 0.245, 0.246, 0.10
_ANKLE_HEIGHT, _TRUNK, _HEAD_ABOVE_NECK, HALF_SHOULDERS, _HALF_HIPS = 0.039, 0.288, 0.115, 0.105, 0.052

SIDES = np.array([1.0, -1.0])  # right, left along the body's rightward axis


@dataclass(frozen=True, slots=True)
class Person:
    """A subject's build and manner: stature in metres, lean in radians, the rest factors around 1."""

    stature: float
    girth: float
    breadth: float
    tempo: float
    swing: float
    elbows: float
    lean: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Person":
        """Draw a person at random."""
        return cls(
            stature=rng.uniform(1.55, 1.92),
            girth=rng.uniform(0.85, 1.25),
            breadth=rng.uniform(0.9, 1.12),
            tempo=rng.uniform(0.87, 1.13),
            swing=rng.uniform(0.82, 1.15),
            elbows=rng.uniform(0.8, 1.2),
            lean=np.radians(rng.uniform(-2, 4)),
        )


@dataclass(frozen=True, slots=True)
class Pose:
    """Posture of the body over time, relative to its heading.

    Attributes
    ----------
    hip, knee : np.ndarray, shape (frames, 2)
        Flexion of the joints in radians, right and left.
    spread : float
        Angle of the legs outwards, in radians.
    upper_arm, forearm : np.ndarray, shape (frames, 2, 3)
        Unit directions in (forward, up, outward), right and left.
    lean, twist : np.ndarray, shape (frames,)
        Forward lean of the trunk and rotation of the shoulders, in radians.
    lift : np.ndarray, shape (frames,)
        Height of the lower foot above the ground, in metres.
    """

    hip: Array
    knee: Array
    spread: float
    upper_arm: Array
    forearm: Array
    lean: Array
    twist: Array
    lift: Array


def project(points: Array) -> Array:
    """Project points (…, 3) in metres to pixels (…, 2), x to the right and y downwards, by a level pinhole camera."""
    depth = points[..., 2]
    return np.stack(
        [WIDTH / 2 + FOCAL_PX * points[..., 0] / depth, HEIGHT / 2 - FOCAL_PX * points[..., 1] / depth], axis=-1
    )


def in_picture(joints: Array) -> NDArray[np.bool_]:
    """Return whether each joint (…, 20, 3) in metres lies within the picture, as (…, 20)."""
    pixels = project(joints)
    inside = (pixels >= 0) & (pixels < (WIDTH, HEIGHT))
    return inside[..., 0] & inside[..., 1]


def reach(target: Array, elbow_towards: Array, person: Person) -> tuple[Array, Array]:
    """Solve two-bone inverse kinematics from the shoulder.

    Parameters
    ----------
    target : np.ndarray, shape (…, 3)
        The wrist's place relative to the shoulder, in metres; beyond the arm's length it is approached as far as the
        arm reaches.
    elbow_towards : np.ndarray, shape (3,)
        Direction towards which the elbow points.
    person : Person
        The subject, whose stature sets the lengths of the bones.

    Returns
    -------
    tuple of np.ndarray, shape (…, 3)
        Unit directions of upper arm and forearm.
    """
    upper, fore = _UPPER_ARM * person.stature, _FOREARM * person.stature
    length = np.linalg.norm(target, axis=-1, keepdims=True)
    distance = np.clip(length, abs(upper - fore) + 0.02, upper + fore - 0.004)
    axis = target / length
    across = elbow_towards - (axis @ elbow_towards)[..., None] * axis
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    along = (distance**2 + upper**2 - fore**2) / (2 * distance)
    elbow: Array = along * axis + np.sqrt(upper**2 - along**2) * across
    return elbow / upper, (distance * axis - elbow) / fore


def place(pose: Pose, person: Person, pelvis: Array, heading: float) -> Array:
    """Place the joints by forward kinematics, the lower foot ``lift`` above the ground.

    Parameters
    ----------
    pose : Pose
        Posture over time.
    person : Person
        The subject.
    pelvis : np.ndarray, shape (frames, 3)
        Place of the pelvis in metres, whose height is ignored.
    heading : float
        Direction in radians: 0 to the right, −π/2 towards the camera.

    Returns
    -------
    np.ndarray, shape (frames, 20, 3)
        Joints in metres, in camera coordinates.
    """
    forward = np.array([np.cos(heading), 0.0, np.sin(heading)])
    up = np.array([0.0, 1.0, 0.0])
    right = np.array([forward[2], 0.0, -forward[0]])
    size, sides = person.stature, SIDES[:, None]
    joints = np.empty((len(pelvis), 20, 3))
    joints[:, HIP_CENTRE] = pelvis * (1, 0, 1)

    def limb(angle: Array, outwards: float) -> Array:  # (frames, 2) angles from hanging down to (frames, 2, 3)
        down = -up * np.cos(outwards) + sides * right * np.sin(outwards)
        direction: Array = np.sin(angle)[..., None] * forward + np.cos(angle)[..., None] * down
        return direction

    joints[:, HIPS] = joints[:, None, HIP_CENTRE] + sides * right * _HALF_HIPS * size * person.breadth
    shank = pose.hip - pose.knee
    joints[:, KNEES] = joints[:, HIPS] + _THIGH * size * limb(pose.hip, pose.spread)
    joints[:, ANKLES] = joints[:, KNEES] + _SHANK * size * limb(shank, pose.spread)
    toes = np.clip(shank, -1.2, 0.25) + np.pi / 2 - 0.3
    joints[:, FEET] = joints[:, ANKLES] + _FOOT * size * limb(toes, 0.0)

    lean, twist = pose.lean[:, None], pose.twist[:, None]
    trunk_up = np.cos(lean) * up + np.sin(lean) * forward
    trunk_forward = np.cos(lean) * forward - np.sin(lean) * up
    chest_right = np.cos(twist) * right + np.sin(twist) * trunk_forward
    chest_forward = np.cos(twist) * trunk_forward - np.sin(twist) * right
    joints[:, SPINE] = joints[:, HIP_CENTRE] + 0.45 * _TRUNK * size * trunk_up - 0.015 * size * trunk_forward
    joints[:, NECK] = joints[:, HIP_CENTRE] + _TRUNK * size * trunk_up
    joints[:, HEAD] = joints[:, NECK] + _HEAD_ABOVE_NECK * size * (0.6 * trunk_up + 0.4 * up) + 0.01 * size * forward
    half_shoulders = HALF_SHOULDERS * size * person.breadth
    joints[:, SHOULDERS] = joints[:, None, NECK] + sides * half_shoulders * chest_right[:, None]
    joints[:, SHOULDERS] -= 0.015 * size * trunk_up[:, None]

    outward = sides * chest_right[:, None]  # (frames, 2, 3)
    chest = np.stack(
        [np.broadcast_to(a[:, None], outward.shape) for a in (chest_forward, trunk_up)] + [outward], axis=-2
    )
    upper_arm, forearm = (np.einsum("fsa,fsad->fsd", part, chest) for part in (pose.upper_arm, pose.forearm))
    joints[:, ELBOWS] = joints[:, SHOULDERS] + _UPPER_ARM * size * upper_arm
    joints[:, WRISTS] = joints[:, ELBOWS] + _FOREARM * size * forearm
    joints[:, HANDS] = joints[:, WRISTS] + _HAND * size * forearm

    lowest = np.minimum(joints[:, ANKLES, 1] - _ANKLE_HEIGHT * size, joints[:, FEET, 1] - 0.012 * size).min(axis=1)
    joints[:, :, 1] += (pose.lift - lowest - CAMERA_HEIGHT_M)[:, None]
    return joints


def unit(*components: Array) -> Array:
    """Stack the components of vectors along a new last axis and scale the vectors to length 1."""
    vector = np.stack(components, axis=-1)
    vector /= np.linalg.norm(vector, axis=-1, keepdims=True)
    return vector
