"""Tracks points by optical flow at several scales, and describes what surrounds them on their way.

Wang et al., *Dense Trajectories and Motion Boundary Descriptors for Action Recognition* (IJCV 2013), sections 3 and 4;
Wang and Schmid, *Action Recognition with Improved Trajectories* (ICCV 2013), section 2.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from extractors.trajectories.camera_motion import CameraMotion
from extractors.trajectories.descriptors import describe, integrals, split
from extractors.trajectories.farneback import SCALE_STEP, expansions, flows
from extractors.trajectories.layout import Layout

Grey = NDArray[np.uint8]
Array = NDArray[np.float32]

QUALITY = 0.001
"""Least smaller eigenvalue of a point's gradients, as a share of the frame's largest."""
MIN_STD_PX, MAX_STD_PX = 3**0.5, 50.0
"""Bounds of the standard deviation of a trajectory's points in pixels: below the lower one in both x and y it stands
still, above the upper one in either it is a mistake."""
JUMP_PX, JUMP_SHARE = 20.0, 0.7
"""Length in pixels, and share of the trajectory's length, that a step exceeds both of where it is a mistake."""
MIN_MOTION_PX = 1.0
"""Length in pixels that the largest step without the camera's motion exceeds."""


class Found(NamedTuple):
    """Trajectories of one scale that ended in one frame.

    Parameters
    ----------
    frame : int
        Number of the frame.
    features : ndarray of float32, shape (trajectories, dim)
        Steps without the camera's motion, divided by the sum of their lengths, and the descriptors.
    places : ndarray of float32, shape (trajectories, 6)
        Mean x, mean y, standard deviations of x and of y, and length, in pixels of the frame, and scale.
    """

    frame: int
    features: Array
    places: Array


class View(NamedTuple):
    """A frame with its grey levels and polynomials at each scale."""

    frame: Grey
    levels: list[Grey]
    polynomials: list[Array]


def trajectories(frames: Iterable[Grey], layout: Layout, *, camera_motion: bool) -> Iterator[Found]:
    """Track the trajectories of a clip.

    Parameters
    ----------
    frames : iterable of ndarray of uint8, shape (height, width)
        Grey, all of one size.
    layout : Layout
    camera_motion : bool
        Whether the camera's motion is taken out of the flow.

    Yields
    ------
    Found
        Trajectories that ended, frame by frame and scale by scale.

    References
    ----------
    Wang et al., *Dense Trajectories and Motion Boundary Descriptors for Action Recognition* (IJCV 2013), section 3.
    Wang and Schmid, *Action Recognition with Improved Trajectories* (ICCV 2013), section 2.
    """
    remaining = iter(frames)
    first = next(remaining)
    sizes = layout.sizes(*first.shape)
    tracks = [Tracks(layout, SCALE_STEP**step) for step in range(len(sizes))]
    before, camera = _view(first, sizes), CameraMotion(first) if camera_motion else None
    for track, level in zip(tracks, before.levels, strict=True):
        track.begin(level)
    for number, frame in enumerate(remaining, 1):
        now = _view(frame, sizes)
        seen = flows(before.polynomials, now.polynomials)
        steady = camera.steadied(before.frame, frame, seen[0]) if camera else None
        own = seen if steady is None else flows(before.polynomials, expansions(steady, sizes))
        for scale, track in enumerate(tracks):
            yield track.advance(number, before.levels[scale], seen[scale], own[scale])
            track.begin(now.levels[scale])
        before = now


def _view(frame: Grey, sizes: list[tuple[int, int]]) -> View:
    levels: list[Any] = [frame]
    for height, width in sizes[1:]:
        levels.append(cv2.resize(levels[-1], (width, height), interpolation=cv2.INTER_LINEAR))
    return View(frame, levels, expansions(frame, sizes))


class Tracks:
    """Trajectories of one scale that have not yet ended, in that scale's pixels."""

    def __init__(self, layout: Layout, scale: float) -> None:
        self.layout, self.scale = layout, scale
        record = [
            ("points", np.float32, (layout.length_frames + 1, 2)),  # x, y
            ("steps", np.float32, (layout.length_frames, 2)),  # without the camera's motion
            ("sums", np.float32, (layout.cells_t, layout.patch_dims)),
            ("age", np.int64),
        ]
        self.alive = np.empty(0, record)

    def begin(self, grey: Grey) -> None:
        """Begin trajectories at grid points where there is structure and no trajectory in the square of a stride."""
        stride = self.layout.stride_px
        rows, columns = (size // stride for size in grey.shape)
        eigenvalues = cv2.cornerMinEigenVal(grey, 3, ksize=3)
        middles = [np.arange(cells) * stride + stride // 2 for cells in (rows, columns)]
        free = eigenvalues[np.ix_(*middles)] > QUALITY * eigenvalues.max()
        x, y = (self._here // stride).astype(int).T
        inside = (x < columns) & (y < rows)
        free[y[inside], x[inside]] = False
        found = np.argwhere(free) * stride + stride // 2
        begun = np.zeros(len(found), self.alive.dtype)
        begun["points"][:, 0] = found[:, ::-1]
        self.alive = np.concatenate([self.alive, begun])

    def advance(self, number: int, grey: Grey, seen: Array, own: Array) -> Found:
        """Move every point by the flow, and end trajectories that leave the frame or are complete.

        Parameters
        ----------
        number : int
            Number of the frame that points move to.
        grey : ndarray of uint8, shape (height, width)
            The frame before.
        seen, own : ndarray of float32, shape (height, width, 2)
            Flow in pixels with and without the camera's motion.
        """
        height, width = grey.shape
        here = self._here
        x, y = np.rint(here).astype(int).clip(0, (width - 1, height - 1)).T
        there = here + seen[y, x]
        inside = ((there > 0) & (there < (width, height))).all(axis=1)
        self.alive, here, there, step = self.alive[inside], here[inside], there[inside], own[y, x][inside]
        numbers, ages = np.arange(len(self.alive)), self.alive["age"]
        self.alive["steps"][numbers, ages] = step
        self.alive["points"][numbers, ages + 1] = there
        parts = ages // (self.layout.length_frames // self.layout.cells_t)
        describe(self.alive["sums"], parts, here, integrals(grey, own), self.layout.patch_px, self.layout.cells_xy)
        self.alive["age"] += 1
        complete = self.alive["age"] == self.layout.length_frames
        ended, self.alive = self.alive[complete], self.alive[~complete]
        return self._judged(ended, number)

    @property
    def _here(self) -> Array:
        here: Array = self.alive["points"][np.arange(len(self.alive)), self.alive["age"]]
        return here

    def _judged(self, ended: Any, number: int) -> Found:
        """Keep those that move neither too little nor too much."""
        points, steps = (ended[name] * np.float32(self.scale) for name in ("points", "steps"))
        stds = points.std(axis=1)
        passed, moved = (np.linalg.norm(vectors, axis=2) for vectors in (np.diff(points, axis=1), steps))
        lengths, longest = passed.sum(axis=1), passed.max(axis=1)
        kept = (stds >= MIN_STD_PX).any(axis=1) & (stds <= MAX_STD_PX).all(axis=1)
        kept &= (longest <= JUMP_PX) | (longest <= JUMP_SHARE * lengths)
        kept &= moved.max(axis=1) > MIN_MOTION_PX
        shapes = (steps / np.maximum(moved.sum(axis=1), MIN_MOTION_PX)[:, None, None])[kept]
        means = ended["sums"][kept] / np.float32(self.layout.length_frames // self.layout.cells_t)
        parts = [shapes, *split(means, self.layout.cells_xy)]
        features = np.concatenate([part.reshape(len(part), np.prod(part.shape[1:])) for part in parts], axis=1)
        scales = np.full(len(points), self.scale, np.float32)
        places = np.column_stack([points.mean(axis=1), stds, lengths, scales])[kept]
        return Found(number, features, places)
