"""Motion of articulated figures in KTH's six actions: their poses and places over time."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from data.stick_figures.body import (
    DISTANCE_M,
    FOCAL_PX,
    HALF_SHOULDERS,
    SIDES,
    WIDTH,
    Array,
    Person,
    Pose,
    in_picture,
    place,
    reach,
    unit,
)

ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
FPS = 25


@dataclass(frozen=True, slots=True)
class Performance:
    """Motion of the figure in one video.

    Attributes
    ----------
    joints : np.ndarray, shape (frames, 20, 3)
        Metres in camera coordinates: x to the right, y up, z away from the camera.
    present : np.ndarray of bool, shape (frames,)
        True where the figure is in the picture.
    zoom : np.ndarray, shape (frames,)
        Scale of the background, whose plane stands where the figure does before it moves.
    segments : tuple of tuple of int
        Half-open frame range of each repetition.
    """

    joints: Array
    present: NDArray[np.bool_]
    zoom: Array
    segments: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Gait:
    """A gait; angles are in degrees.

    Attributes
    ----------
    speed_metres_per_second, stride_metres : float
        Speed, and length of a stride of two steps.
    hip_mean, hip_swing, knee_stance, knee_swing, arm_swing, elbow, lean : float
        Angles of the joints and of the trunk.
    knee_peak : float
        Phase of the stride at which the knee bends most, 0 to 1.
    flight : float
        Height of the airborne phase in metres.
    pace : float
        Factor on the speed at which the whole motion is run through.
    """

    speed_metres_per_second: float
    stride_metres: float
    hip_mean: float
    hip_swing: float
    knee_stance: float
    knee_swing: float
    knee_peak: float
    arm_swing: float
    elbow: float
    lean: float
    flight: float
    pace: float = 1.0


GAITS = {
    "walking": Gait(1.4, 1.42, 8, 22, 14, 56, 0.73, 24, 20, 2, 0.0),
    "jogging": Gait(2.4, 1.85, 13, 27, 30, 78, 0.70, 26, 78, 6, 0.03),
    "running": Gait(4.0, 2.75, 18, 42, 34, 108, 0.68, 44, 95, 13, 0.07),
}


SHARED_GAIT = GAITS["jogging"]
_FASTER_THAN_JOGGING = {"walking": -1, "jogging": 0, "running": 1}


def perform(
    action: str,
    person: Person,
    scenario: str,
    repetitions: int,
    speed_ratio: float | None,
    camera_back_m: float,
    rng: np.random.Generator,
) -> Performance:
    """Move a person through repetitions of an action.

    Parameters
    ----------
    action : str
        One of ``ACTIONS``.
    person : Person
        The subject.
    scenario : str
        "d1" to "d4"; in "d2" the figure's scale varies.
    repetitions : int
        Number of repetitions.
    speed_ratio : float or None
        None: each gait has a form of its own. A number: they share ``SHARED_GAIT`` and differ by speed alone; jogging
        is that many times as fast as walking, and running as jogging. The same ``rng`` then gives the same path and the
        same poses along it at another pace, including the turns outside the picture.
    camera_back_m : float
        Distance of the camera beyond ``DISTANCE_M``, in metres.
    rng : np.random.Generator
        Source of all that is drawn at random.
    """
    if action not in GAITS:
        return _on_the_spot(action, person, scenario, repetitions, camera_back_m, rng)
    gait = GAITS[action]
    if speed_ratio is not None:
        gait = replace(SHARED_GAIT, pace=speed_ratio ** _FASTER_THAN_JOGGING[action])
    return _passes(gait, person, scenario, repetitions, camera_back_m, rng)


def _passes(
    gait: Gait, person: Person, scenario: str, repetitions: int, camera_back_m: float, rng: np.random.Generator
) -> Performance:
    """Move the figure across the picture to and fro; between crossings it turns round outside."""
    slant = np.radians(rng.uniform(20, 32)) * rng.choice(SIDES) if scenario == "d2" else np.radians(rng.uniform(-5, 5))
    distance = rng.uniform(5.0, 5.4) if scenario == "d2" else DISTANCE_M + rng.uniform(-0.1, 0.3)
    distance += camera_back_m
    passes, present, segments, start = [], [], [], 0
    rightwards = rng.random() < 0.5
    for _ in range(repetitions):
        speed = gait.speed_metres_per_second * person.tempo * rng.uniform(0.95, 1.05)
        half_picture = WIDTH / 2 / FOCAL_PX * distance / np.cos(slant)
        half_path = (half_picture + 0.35) * (1 + abs(np.tan(slant)) / 2) + speed / FPS * rng.uniform(4, 9)
        travelled = np.arange(0, 2 * half_path, gait.pace * speed / FPS)
        stride = gait.stride_metres * person.swing * person.stature / 1.75
        along = (travelled - half_path) * (1 if rightwards else -1)
        pelvis = np.stack([along * np.cos(slant), np.zeros_like(along), distance + along * np.sin(slant)], axis=-1)
        joints = place(
            _gait_pose(gait, person, travelled / stride + rng.random()),
            person,
            pelvis,
            slant + np.pi * (not rightwards),
        )
        first, last = np.flatnonzero(in_picture(joints).any(axis=1))[[0, -1]]
        frames = np.arange(len(joints))
        passes.append(joints)
        present.append((frames >= first) & (frames <= last))
        segments.append((start + int(first), start + int(last) + 1))
        start += len(joints)
        rightwards = not rightwards
    return Performance(np.concatenate(passes), np.concatenate(present), np.ones(start), tuple(segments))


_CYCLES_PER_SECOND = {"boxing": 1.15, "handclapping": 1.7, "handwaving": 1.0}
_REPETITION_SECONDS = 1.6


def _on_the_spot(
    action: str, person: Person, scenario: str, repetitions: int, camera_back_m: float, rng: np.random.Generator
) -> Performance:
    """Move the figure within the picture; a repetition is a whole number of cycles, and they follow each other."""
    rate = _CYCLES_PER_SECOND[action] * person.tempo
    cycles = max(1, round(_REPETITION_SECONDS * rate))
    lengths = [round(cycles / rate * FPS * rng.uniform(0.94, 1.06)) for _ in range(repetitions)]
    phase = rng.random() + np.concatenate([k * cycles + cycles * np.arange(n) / n for k, n in enumerate(lengths)])
    frames = len(phase)
    pose = {"boxing": _boxing, "handclapping": _clapping, "handwaving": _waving}[action](person, phase, rng)
    sway = 0.012 * np.sin(2 * np.pi * (0.3 * np.arange(frames)[:, None] / FPS + rng.random(2)))
    dolly = np.zeros(frames)
    if scenario == "d2":
        dolly = 0.7 + 0.7 * np.sin(2 * np.pi * (np.arange(frames) / FPS / rng.uniform(3, 5) + rng.random()))
    distance = DISTANCE_M + camera_back_m
    standpoint = np.array([rng.uniform(-0.35, 0.35), 0.0, distance + rng.uniform(-0.1, 0.3)])
    pelvis = standpoint + np.stack([sway[:, 0], np.zeros(frames), sway[:, 1] + dolly], axis=-1)
    towards_camera, sideways = -np.pi / 2, np.pi * (rng.random() < 0.5)
    heading = (sideways if action == "boxing" else towards_camera) + np.radians(rng.uniform(-18, 18))
    ends = np.cumsum([0, *lengths]).tolist()
    return Performance(
        joints=place(pose, person, pelvis, heading),
        present=np.ones(frames, bool),
        zoom=distance / (distance + dolly),
        segments=tuple(pairwise(ends)),
    )


def _gait_pose(gait: Gait, person: Person, strides: Array) -> Pose:
    """Return hip and knee curves after the usual gait-analysis plots, heel strike at phase 0, arms in antiphase."""
    phase = strides[:, None] + np.array([0.0, 0.5])
    hip = np.radians(gait.hip_mean + gait.hip_swing * person.swing * np.cos(2 * np.pi * (phase + 0.07)))
    knee = np.radians(
        6 + gait.knee_stance * _bump(phase, 0.14, 0.07) + gait.knee_swing * _bump(phase, gait.knee_peak, 0.105)
    )
    arm = np.radians(-gait.arm_swing * person.swing * np.cos(2 * np.pi * phase) - 4)
    bend = np.radians(gait.elbow * person.elbows) * (1 + 0.2 * np.sin(2 * np.pi * (phase + 0.4)))
    return Pose(
        hip=hip,
        knee=knee,
        spread=0.02,
        upper_arm=unit(np.sin(arm), -np.cos(arm), np.full_like(arm, 0.12)),
        forearm=unit(np.sin(arm + bend), -np.cos(arm + bend), np.full_like(arm, -0.12)),
        lean=np.full(len(strides), np.radians(gait.lean) + person.lean),
        twist=-np.radians(0.3 * gait.arm_swing) * np.cos(2 * np.pi * strides),
        lift=gait.flight * (_bump(phase, 0.43, 0.07)).sum(axis=1),
    )


def _boxing(person: Person, phase: Array, rng: np.random.Generator) -> Pose:
    """Alternate straight punches out of a guard before the chin; the shoulders follow the punching arm."""
    punch = _bump(phase[:, None] + np.array([0.0, 0.5]), 0.25, 0.115)
    height = rng.uniform(-0.03, 0.05)
    farthest = 0.62 * min(person.swing, 1.05) * person.stature / 1.75
    guard = np.array([0.24, 0.03, -0.05])
    target = guard + punch[..., None] * (np.array([farthest, height, -0.09]) - guard)
    upper_arm, forearm = reach(target, np.array([0.0, -1.0, 0.45]), person)
    front = rng.choice(SIDES)
    bob = np.radians(3) * np.sin(4 * np.pi * phase)[:, None]
    return Pose(
        hip=np.radians(10 + 15 * front * SIDES) + bob,
        knee=np.radians(20 - 4 * front * SIDES) + 2 * bob,
        spread=0.07,
        upper_arm=upper_arm,
        forearm=forearm,
        lean=np.radians(5) + person.lean + np.radians(3) * punch.sum(axis=1),
        twist=np.radians(24) * (punch[:, 0] - punch[:, 1]),
        lift=np.zeros_like(phase),
    )


def _clapping(person: Person, phase: Array, rng: np.random.Generator) -> Pose:
    """Bring the hands together before the chest once a cycle."""
    apart = (0.5 - 0.5 * np.cos(2 * np.pi * phase))[:, None, None] ** 0.8
    size = person.stature / 1.75
    together = np.array([0.36, rng.uniform(-0.2, -0.02), -HALF_SHOULDERS * person.breadth * 1.75 + 0.025]) * size
    wide = np.array([0.27, rng.uniform(-0.2, -0.05), 0.26 * person.swing]) * size
    target = np.broadcast_to(together + apart * (wide - together), (len(phase), 2, 3))
    return _standing(person, *reach(target, np.array([-0.2, -1.0, 0.5]), person))


def _waving(person: Person, phase: Array, rng: np.random.Generator) -> Pose:
    """Swing both arms from below the shoulders up over the head and back, the forearms trailing."""
    low, high = np.radians(rng.uniform(45, 75)), np.radians(rng.uniform(140, 160))
    swing = (low + high) / 2 - (high - low) / 2 * person.swing * np.cos(2 * np.pi * phase)
    trail = np.radians(16) * person.elbows * np.cos(2 * np.pi * (phase - 0.12)) + np.radians(12)
    upper, fore = np.stack([swing, swing], axis=1), np.stack([swing + trail, swing + trail], axis=1)
    ahead = np.full_like(upper, 0.15)
    return _standing(person, unit(ahead, -np.cos(upper), np.sin(upper)), unit(ahead, -np.cos(fore), np.sin(fore)))


def _standing(person: Person, upper_arm: Array, forearm: Array) -> Pose:
    still = np.zeros(len(upper_arm))
    legs = np.full((len(still), 2), np.radians(3))
    return Pose(legs, 2 * legs, 0.09, upper_arm, forearm, still + person.lean, still, still)


def _bump(phase: Array, centre: float, width: float) -> Array:
    """Return a smooth pulse of height 1 and period 1: the von Mises curve whose peak has this standard deviation."""
    concentration = 1 / (2 * np.pi * width) ** 2
    curve: Array = np.exp(concentration * (np.cos(2 * np.pi * (phase - centre)) - 1))
    return curve
