"""Augmented copies of a skeleton sequence, whose random numbers depend on its own content."""

import hashlib
from typing import NamedTuple, Self

import numpy as np
from pydantic import Field

from extractors.skeleton.body import HIP_CENTRE, JOINTS
from pipeline.config import Config, Few, NonNegative, Seed


class Augmentation(Config):
    """Perturbed copies of each sequence, and the bounds of the perturbation.

    Notes
    -----
    The y axis is vertical, coordinates are metres.
    """

    copies: Few = Field(8, description="number of copies besides the sequence itself")
    speed_factor: float = Field(1.25, ge=1, le=100, description="largest factor by which a copy is faster or slower")
    yaw_degrees: NonNegative = Field(20, description="largest turn to either side about the vertical axis")
    pitch_degrees: NonNegative = Field(9, description="largest tilt up or down about the horizontal axis")
    axis_scale: float = Field(0.15, ge=0, lt=1, description="largest stretch or shrinkage of each axis, as a share")
    joint_offset_metres: NonNegative = Field(
        0.02, description="standard deviation of each joint's constant shift along each axis, in metres"
    )
    time_warp: float = Field(
        0.0, ge=0, le=0.5, description="half of the largest share by which parts of a copy are faster or slower"
    )
    seed: Seed = Field(0, description="seed of the perturbations")


class Perturbation(NamedTuple):
    """One perturbation of a sequence, in speed, rhythm and space: ``matrix`` · (joints − centre) + centre + ``shifts``.

    Parameters
    ----------
    speed : float
        Factor of the speed.
    matrix : ndarray of float64, shape (3, 3)
    shifts : ndarray of float64, shape (20, 3)
        Shift of each joint in metres.
    warp : ndarray of float64, shape (2,)
        Amplitudes of the speed's variation over half a period and over a whole one.
    """

    speed: float
    matrix: np.ndarray
    shifts: np.ndarray
    warp: np.ndarray

    @classmethod
    def draw(cls, within: "Augmentation", rng: np.random.Generator) -> Self:
        """Draw a perturbation: speed log-uniform, angles, scales and warp uniform, shifts normal."""
        speed = within.speed_factor ** rng.uniform(-1, 1)
        yaw, pitch = np.radians(rng.uniform(-1, 1, 2) * (within.yaw_degrees, within.pitch_degrees))
        scales = 1 + within.axis_scale * rng.uniform(-1, 1, 3)
        shifts = within.joint_offset_metres * rng.standard_normal((JOINTS, 3))
        warp = within.time_warp * rng.uniform(-1, 1, 2)
        return cls(speed, rotation(0, pitch) @ rotation(1, yaw) @ np.diag(scales), shifts, warp)

    def moved(self, joints: np.ndarray) -> np.ndarray:
        """Turn and stretch joints (time, 20, 3) about the clip's mean hip centre, and shift them."""
        centre = joints[:, HIP_CENTRE].mean(axis=0)
        return np.asarray((joints - centre) @ self.matrix.T + centre + self.shifts)

    def warped(self, times: np.ndarray) -> np.ndarray:
        """Shift rising times so that the clip runs at 1 + warp · (cos πu, cos 2πu) of its speed.

        Parameters
        ----------
        times : ndarray of float64, shape (time,)
            Rising, from 0 on, in frames.

        Returns
        -------
        ndarray of float64, shape (time,)
            The first and the last time, and the order, are kept.

        Notes
        -----
        u is the share of the clip that has passed.
        """
        last = times[-1]
        phases = np.pi * np.array([1, 2])
        waves = np.sin(times[:, None] / max(last, 1) * phases) / phases  # (time, 2)
        return np.asarray(np.clip(times + last * (waves @ self.warp), 0, last))


UNCHANGED = Perturbation(1.0, np.eye(3), np.zeros((JOINTS, 3)), np.zeros(2))
"""Perturbation that changes nothing."""


def rotation(axis: int, angle: float) -> np.ndarray:
    """Return the matrix (3, 3) of a right-handed turn about an axis, for column vectors.

    Parameters
    ----------
    axis : int
        0 for x, 1 for y, 2 for z.
    angle : float
        In radians.

    Examples
    --------
    >>> rotation(2, np.pi / 2).round() @ [1, 0, 0]
    array([0., 1., 0.])
    """
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[[first, second], [first, second]] = np.cos(angle)
    matrix[second, first], matrix[first, second] = np.sin(angle), -np.sin(angle)
    return matrix


def generator(joints: np.ndarray, seed: int, variant: int) -> np.random.Generator:
    """Return a generator that depends on the joints' values, the seed and the number of the copy alone."""
    digest = hashlib.blake2b(joints.astype("<f8").tobytes(), digest_size=16).digest()
    return np.random.default_rng((int.from_bytes(digest), seed, variant))
