"""The five feature blocks of a skeleton sequence.

Veeriah, Zhuang, Qi, "Differential Recurrent Neural Networks for Action Recognition", ICCV 2015, names them in its
experiments on MSR Action3D. The sizes that it lists (60, 136, 54, 162, 60) sum to 472, not to its 583: that takes 171
distances in the last block instead of 60 relative coordinates. How a block of such a size is computed it leaves open.
"""

import numpy as np

from extractors.skeleton.file import BONES, FEET, HIP_CENTRE, JOINTS

DIRECTED = BONES[~np.isin(BONES, FEET).any(axis=1)]  # 17 bones
MOVING = np.setdiff1d(np.arange(JOINTS), FEET)  # 18 joints
AROUND = np.delete(np.arange(JOINTS), HIP_CENTRE)  # 19 joints


def features(joints: np.ndarray, window_frames: int, threshold: float, *, distances: bool) -> np.ndarray:
    """Joints (time, 20, 3) -> (time, 583) with pairwise distances, or (time, 472) with relative positions."""
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
    """(time, 136): angles between the 17 bones that reach no foot, pair by pair, in units of π.

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
    """(time, 54): how far the 18 joints other than the feet moved since the frame before; zero in the first."""
    moving = joints[:, MOVING]
    return np.diff(moving, axis=0, prepend=moving[:1]).reshape(len(joints), -1)


def velocity_histograms(moved: np.ndarray, window_frames: int, threshold: float) -> np.ndarray:
    """(time, coordinate) movements a frame -> (time, 3 · coordinate): a histogram each, with sum 1.

    Its bins: backwards, still, forwards. It covers the last ``window_frames`` frames, or as many as there are. Each
    frame votes by the size of its movement, still ones (at most ``threshold``, above 0) as if they moved by
    ``threshold``: their own size would leave that bin nearly empty, and the histogram of a resting joint undefined.
    """
    size = np.abs(moved)
    still = size <= threshold
    bins = np.stack([~still & (moved < 0), still, ~still & (moved > 0)], axis=2)
    votes = bins * np.maximum(size, threshold)[..., None]  # (time, coordinate, bin)
    padded = np.pad(votes, ((window_frames - 1, 0), (0, 0), (0, 0)))
    window = np.lib.stride_tricks.sliding_window_view(padded, window_frames, axis=0).sum(axis=-1)
    return np.asarray(window / window.sum(axis=2, keepdims=True)).reshape(len(moved), -1)


def pairwise_distances(joints: np.ndarray) -> np.ndarray:
    """(time, 171): distances among the 19 joints other than the hip centre."""
    first, second = np.triu_indices(len(AROUND), 1)
    return np.asarray(np.linalg.norm(joints[:, AROUND[first]] - joints[:, AROUND[second]], axis=2))


def relative_positions(joints: np.ndarray) -> np.ndarray:
    """(time, 60): every joint relative to the hip centre."""
    return np.asarray(joints - joints[:, HIP_CENTRE, None]).reshape(len(joints), -1)
