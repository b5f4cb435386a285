"""Estimates the camera's motion between two frames: Wang and Schmid (ICCV 2013), section 2.1.

Matches of SIFT (the paper's SURF is not free) and of corners that follow the flow vote for a homography.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Array = NDArray[np.float32]

REACH_PX = 25
"""Largest distance in pixels between two matching SIFT points, along either axis."""
CORNERS, QUALITY, DISTANCE_PX = 1000, 0.001, 3
"""Largest number of corners that follow the flow; least eigenvalue of one as a share of the strongest; least distance
between two in pixels."""
TOLERANCE_PX = 1.0
"""Distance in pixels up to which a match agrees with a homography."""
MIN_MATCHES, MIN_INLIERS = 50, 25
"""Numbers of matches, and of those that agree with it, which a homography must exceed."""


class CameraMotion:
    """Follows a clip from its first frame on; each frame's points are described once.

    References
    ----------
    Wang and Schmid, *Action Recognition with Improved Trajectories* (ICCV 2013), section 2.1.
    """

    def __init__(self, frame: Grey) -> None:
        self.sift = cv2.SIFT.create()
        self.points, self.described = self._described(frame)

    def steadied(self, before: Grey, frame: Grey, flow: Array) -> Grey | None:
        """Warp the next frame to what a camera at rest would have seen.

        Parameters
        ----------
        before, frame : ndarray of uint8, shape (height, width)
            The last frame and the next one, grey.
        flow : ndarray of float32, shape (height, width, 2)
            x and y in pixels from ``before`` to ``frame``.

        Returns
        -------
        ndarray of uint8, shape (height, width), or None
            Pixels that the camera did not see are those of ``before``; None where no homography is reliable.
        """
        points, described = self._described(frame)
        pairs = [self._matched(points, described), _followed(before, flow)]
        self.points, self.described = points, described
        sources, targets = (np.concatenate(side) for side in zip(*pairs, strict=True))
        if len(sources) <= MIN_MATCHES:
            return None
        homography, inliers = cv2.findHomography(sources, targets, cv2.RANSAC, TOLERANCE_PX)
        if homography is None or np.count_nonzero(inliers) <= MIN_INLIERS:
            return None
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = frame.shape[::-1]
        steady = cv2.warpPerspective(frame, homography, size, before.copy(), flags, cv2.BORDER_TRANSPARENT)
        return np.asarray(steady, np.uint8)

    def _described(self, frame: Grey) -> tuple[Array, Any]:
        no_mask: Any = None
        keypoints, described = self.sift.detectAndCompute(frame, no_mask)
        points = np.array([point.pt for point in keypoints], np.float32).reshape(-1, 2)
        return points, described

    def _matched(self, points: Array, described: Any) -> tuple[Array, Array]:
        """Match each point with the nearest description within reach in the frame before: points of both frames."""
        if described is None or self.described is None:
            return np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
        near: Any = (abs(points[:, None] - self.points) < REACH_PX).all(axis=2).astype(np.uint8)
        matches = cv2.BFMatcher(cv2.NORM_L2).match(described, self.described, near)
        pairs = np.array([(match.trainIdx, match.queryIdx) for match in matches], int).reshape(-1, 2)
        return self.points[pairs[:, 0]], points[pairs[:, 1]]


def _followed(before: Grey, flow: Array) -> tuple[Array, Array]:
    """Return corners, and where the flow takes them."""
    corners: Any = cv2.goodFeaturesToTrack(before, CORNERS, QUALITY, DISTANCE_PX)
    points = np.empty((0, 2), np.float32) if corners is None else corners.reshape(-1, 2)
    x, y = np.rint(points).astype(int).T
    return points, points + flow[y, x]
