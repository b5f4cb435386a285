"""The five feature blocks of a skeleton sequence.

Veeriah, Zhuang, Qi, "Differential Recurrent Neural Networks for Action Recognition", ICCV 2015, names them in its
experiments on MSR Action3D. The sizes that it lists (60, 136, 54, 162, 60) add up to 472, not to its 583, which takes
171 distances in the last block instead of 60 relative coordinates. It leaves open how each block is computed.
"""

import numpy as np

from extractors.skeleton.body import BONES, FEET, HIP_CENTRE, JOINTS

DIRECTED = BONES[~np.isin(BONES, FEET).any(axis=1)]
"""Bones whose angles are features: the 17 that reach no foot, (17, 2)."""
MOVING = np.setdiff1d(np.arange(JOINTS), FEET)
"""Joints whose movements are features: the 18 other than the feet."""
AROUND = np.delete(np.arange(JOINTS), HIP_CENTRE)
"""Joints whose distances are features: the 19 other than the hip centre."""


def features(joints: np.ndarray, window_frames: int, threshold: float, *, distances: bool) -> np.ndarray:
    """Compute the five blocks of features.

    Parameters
    ----------
    joints : ndarray of float64, shape (time, 20, 3)
    window_frames : int
        Frames that a velocity histogram covers.
    threshold : float
        Movement of a coordinate in a frame up to which it is still, in units of the joints.
    distances : bool
        Whether the last block is pairwise distances instead of relative positions.

    Returns
    -------
    ndarray of float64, shape (time, 583) with distances, or (time, 472)
        Positions 60, angles 136, offsets 54, velocity histograms 162, and distances 171 or relative positions 60.

    Examples
    --------
    >>> joints = np.random.default_rng(0).random((7, 20, 3))
    >>> [features(joints, 5, 0.02, distances=distances).shape for distances in (True, False)]
    [(7, 583), (7, 472)]
    """
    moved = offsets(joints)
    blocks = (
        joints.reshape(len(joints), -1),
        angles(joints),
        moved,
        velocity_histograms(moved, window_frames, threshold),
        pairwise_distances(joints) if distances else relative_positions(joints),
    )
    return np.concatenate(blocks, axis=1)


def angles(joints: np.ndarray) -> np.ndarray:
    """Compute the angles between the 17 bones that reach no foot, pair by pair, in units of π: (time, 136).

    A bone without length has no direction: its angles are 1/2.
    """
    bones = joints[:, DIRECTED[:, 1]] - joints[:, DIRECTED[:, 0]]
    lengths = np.linalg.norm(bones, axis=2, keepdims=True)
    directions = np.divide(bones, lengths, out=np.zeros_like(bones), where=lengths > 0)
    cosines = directions @ directions.transpose(0, 2, 1)  # (time, bone, bone)
    first, second = np.triu_indices(len(DIRECTED), 1)
    pairs: np.ndarray = np.arccos(np.clip(cosines[:, first, second], -1, 1))
    return pairs / np.pi


def offsets(joints: np.ndarray) -> np.ndarray:
    """Compute how far the 18 joints other than the feet moved since the frame before: (time, 54), 0 in the first."""
    moving = joints[:, MOVING]
    return np.diff(moving, axis=0, prepend=moving[:1]).reshape(len(joints), -1)


def velocity_histograms(moved: np.ndarray, window_frames: int, threshold: float) -> np.ndarray:
    """Compute a histogram of each coordinate's recent velocities.

    Parameters
    ----------
    moved : ndarray of float64, shape (time, coordinate)
        Movements from frame to frame.
    window_frames : int
        Frames that a histogram covers, up to and including its own; at the beginning as many as there are.
    threshold : float
        Movement up to which a coordinate is still; above 0.

    Returns
    -------
    ndarray of float64, shape (time, 3 · coordinate)
        Shares of backwards, still and forwards, which add up to 1.

    Notes
    -----
    Each frame votes by the size of its movement, still ones as if they moved by ``threshold``: their own size would
    leave that bin nearly empty, and the histogram of a resting joint undefined.

    Examples
    --------
    >>> velocity_histograms(np.array([[0.0], [0.3], [-0.1]]), 2, 0.1).round(2).tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.25, 0.75], [0.0, 0.25, 0.75]]
    """
    size = np.abs(moved)
    still = size <= threshold
    bins = np.stack([~still & (moved < 0), still, ~still & (moved > 0)], axis=2)
    votes = bins * np.maximum(size, threshold)[..., None]  # (time, coordinate, bin)
    padded = np.pad(votes, ((window_frames - 1, 0), (0, 0), (0, 0)))
    window = np.lib.stride_tricks.sliding_window_view(padded, window_frames, axis=0).sum(axis=-1)
    return np.asarray(window / window.sum(axis=2, keepdims=True)).reshape(len(moved), -1)


def pairwise_distances(joints: np.ndarray) -> np.ndarray:
    """Compute the distances among the 19 joints other than the hip centre: (time, 171)."""
    first, second = np.triu_indices(len(AROUND), 1)
    return np.asarray(np.linalg.norm(joints[:, AROUND[first]] - joints[:, AROUND[second]], axis=2))


def relative_positions(joints: np.ndarray) -> np.ndarray:
    """Compute every joint's position relative to the hip centre: (time, 60)."""
    return np.asarray(joints - joints[:, HIP_CENTRE, None]).reshape(len(joints), -1)
