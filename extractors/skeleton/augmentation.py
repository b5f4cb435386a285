"""Augmented copies of a skeleton sequence, drawn from its own content."""

import hashlib
from typing import NamedTuple, Self

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from extractors.skeleton.file import HIP_CENTRE, JOINTS
from pipeline.config import Config


class Augmentation(Config):
    """Copies of each sequence, perturbed within these bounds; y is the vertical axis, coordinates are metres."""

    copies: PositiveInt = 8
    speed_factor: float = Field(1.25, ge=1, description="copies are up to so many times faster or slower")
    yaw_degrees: NonNegativeFloat = Field(20, description="turn to either side about the vertical axis")
    pitch_degrees: NonNegativeFloat = Field(9, description="tilt up or down about the horizontal axis")
    axis_scale: float = Field(0.15, ge=0, lt=1, description="stretch or shrink of each axis, as a share")
    joint_offset_metres: NonNegativeFloat = Field(
        0.02, description="deviation of each joint's constant shift, per axis"
    )
    time_warp: float = Field(
        0.0, ge=0, le=0.5, description="parts of a copy are faster or slower by up to twice this share"
    )
    seed: NonNegativeInt = 0


class Perturbation(NamedTuple):
    """One draw: how fast, where faster, and joints -> ``matrix`` · (joints − centre) + centre + ``shifts``."""

    speed: float
    matrix: np.ndarray  # (3, 3)
    shifts: np.ndarray  # (20, 3), metres
    warp: np.ndarray  # (2,): the amplitudes of half a period and of a whole one

    @classmethod
    def draw(cls, within: "Augmentation", rng: np.random.Generator) -> Self:
        """Speed log-uniform, angles, scales and warp uniform, shifts normal."""
        speed = within.speed_factor ** rng.uniform(-1, 1)
        yaw, pitch = np.radians(rng.uniform(-1, 1, 2) * (within.yaw_degrees, within.pitch_degrees))
        scales = 1 + within.axis_scale * rng.uniform(-1, 1, 3)
        shifts = within.joint_offset_metres * rng.standard_normal((JOINTS, 3))
        warp = within.time_warp * rng.uniform(-1, 1, 2)
        return cls(speed, rotation(0, pitch) @ rotation(1, yaw) @ np.diag(scales), shifts, warp)

    def moved(self, joints: np.ndarray) -> np.ndarray:
        """Joints (time, 20, 3), turned and stretched about the clip's mean hip centre; time stays as it is."""
        centre = joints[:, HIP_CENTRE].mean(axis=0)
        return np.asarray((joints - centre) @ self.matrix.T + centre + self.shifts)

    def warped(self, times: np.ndarray) -> np.ndarray:
        """Rising times from 0 on, shifted so that the clip runs at 1 + warp · (cos πu, cos 2πu) of its speed.

        u is the share of the clip that has passed. The first and the last time stay, and the order does.
        """
        last = times[-1]
        phases = np.pi * np.array([1, 2])
        waves = np.sin(times[:, None] / max(last, 1) * phases) / phases  # (time, 2)
        return np.asarray(np.clip(times + last * (waves @ self.warp), 0, last))


UNCHANGED = Perturbation(1.0, np.eye(3), np.zeros((JOINTS, 3)), np.zeros(2))


def rotation(axis: int, angle: float) -> np.ndarray:
    """The right-handed turn by ``angle`` radians about x (0), y (1) or z (2), a matrix (3, 3) for columns."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[[first, second], [first, second]] = np.cos(angle)
    matrix[second, first], matrix[first, second] = np.sin(angle), -np.sin(angle)
    return matrix


def generator(joints: np.ndarray, seed: int, variant: int) -> np.random.Generator:
    """Random numbers that depend on the joints' values, the seed and the number of the copy, and on nothing else."""
    digest = hashlib.blake2b(joints.astype("<f8").tobytes(), digest_size=16).digest()
    return np.random.default_rng((int.from_bytes(digest), seed, variant))
