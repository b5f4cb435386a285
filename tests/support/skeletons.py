"""Bodies that wander, and the skeleton files of them."""

import numpy as np

from extractors.skeleton.body import NAMES
from extractors.skeleton.config import Skeleton
from tests.support.stick_people import performed

SIZES = {"position": 60, "angle": 136, "offset": 54, "velocity": 162, "pairwise": 171}


PLACES = dict(zip(SIZES, np.split(np.arange(583), np.cumsum(list(SIZES.values()))[:-1]), strict=True))
"""Columns of the features by block."""


def walk(time=12, seed=0):
    """A random body, (time, 20, 3), whose joints wander."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(20, 3)) + np.cumsum(rng.normal(scale=0.05, size=(time, 20, 3)), axis=0) + (0, 0, 3)


def text(joints, confidence=1.0):
    rows = np.asarray(joints, float).reshape(-1, 3)
    return "".join(f"{x!r} {y!r} {z!r} {confidence}\n" for x, y, z in rows.tolist())


def extract(clip, **fields):
    return list(Skeleton(**fields).build("cpu")(clip))


def figure(action="handwaving"):
    """An articulated body that moves, (time, 20, 3), whose bones keep their lengths."""
    return performed(action)[1].joints


PUBLISHED_NTU = (
    "base of the spine", "middle of the spine", "neck", "head", "left shoulder", "left elbow", "left wrist",
    "left hand", "right shoulder", "right elbow", "right wrist", "right hand", "left hip", "left knee", "left ankle",
    "left foot", "right hip", "right knee", "right ankle", "right foot", "spine", "tip of the left hand", "left thumb",
    "tip of the right hand", "right thumb",
)  # fmt: skip
"""NTU RGB+D's joints as its paper names them, in order."""
PUBLISHED_SDK = (
    "HipCenter", "Spine", "ShoulderCenter", "Head", "ShoulderLeft", "ElbowLeft", "WristLeft", "HandLeft",
    "ShoulderRight", "ElbowRight", "WristRight", "HandRight", "HipLeft", "KneeLeft", "AnkleLeft", "FootLeft",
    "HipRight", "KneeRight", "AnkleRight", "FootRight",
)  # fmt: skip
"""Joints of the first Kinect's SDK, in the order of its enumeration."""


def as_ntu(joints):
    """The 25 joints (time, 25, 3) of a second Kinect that sees a body; those that the 20 have not lie near others."""
    place = {name.replace("_", " "): joints[:, number] for number, name in enumerate(NAMES)}
    place |= {"base of the spine": place["hip centre"], "middle of the spine": place["spine"]}
    place |= {"spine": place["neck"], "neck": (2 * place["neck"] + place["head"]) / 3}
    for side in ("left", "right"):
        hand, wrist = place[f"{side} hand"], place[f"{side} wrist"]
        place |= {f"tip of the {side} hand": 2 * hand - wrist, f"{side} thumb": hand + np.array((0.03, 0, 0))}
    return np.stack([place[name] for name in PUBLISHED_NTU], axis=1)


def as_sdk(joints):
    """The 20 joints (time, 20, 3) in the order of the first Kinect's SDK."""
    parts = {"HipCenter": "hip_centre", "Spine": "spine", "ShoulderCenter": "neck", "Head": "head"}
    for side in ("Left", "Right"):
        for joint in ("Shoulder", "Elbow", "Wrist", "Hand", "Hip", "Knee", "Ankle", "Foot"):
            parts[joint + side] = f"{side}_{joint}".lower()
    return joints[:, [NAMES.index(parts[name]) for name in PUBLISHED_SDK]]


def ntu_text(frames):
    """A ``.skeleton`` file: of each frame the bodies, joints (25, 3) by id."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for id, joints in bodies.items():
            lines += [f"{id} 0 1 1 0 0 0 0.1 -0.2 2", str(len(joints))]
            lines += [f"{x!r} {y!r} {z!r} 250.1 190.2 -inf inf 0.1 0.2 0.3 0.4 2" for x, y, z in joints.tolist()]
    return "\n".join(lines) + "\n"


def one_body(joints, id="72057594037931101"):
    """A ``.skeleton`` file of one body, 25 joints (time, 25, 3); frames that are zero throughout have none."""
    return ntu_text([{id: frame} if frame.any() else {} for frame in joints])


def utkinect_text(joints, numbers=None):
    """A file of UTKinect-Action3D: the joints in the order of the SDK, (time, 20, 3), and the frames' numbers."""
    numbers = range(len(joints)) if numbers is None else numbers
    rows = (" ".join(map(repr, frame.ravel().tolist())) for frame in joints)
    return "".join(f"{number} {row} \n" for number, row in zip(numbers, rows, strict=True))
