"""Reads NTU RGB+D's ``.skeleton`` files: several bodies, of which one is chosen.

Shahroudy, Liu, Ng, Wang, "NTU RGB+D: A Large Scale Dataset for 3D Human Activity Analysis", CVPR 2016, and the data
set's repository, which describes the files: the number of frames; of each frame the number of bodies; of each body a
line of ten values that begins with its id, the number of joints, and of each joint a line of twelve that begins with x,
y and z in metres.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite

import numpy as np

from extractors.skeleton.layouts import NTU
from extractors.skeleton.recording import Recording, part
from extractors.skeleton.text import MAX_COORDINATE
from pipeline.errors import UnusableVideo

BODY_VALUES, JOINT_VALUES = 10, 12
_BEGINNING = re.compile(rb"\d+[ \t]*(?:(?:\r\n|\r|\n)\d+[ \t]*(?:[\r\n]|$)|\s*$)")
"""Two lines of one number each: of frames, and of the first frame's bodies; or nothing but the first."""
_COUNT = re.compile(rb"\d{1,9}")


@dataclass
class Track:
    """A body in the frames in which it is there: their numbers, and its joints (joint, 3) in each."""

    frames: list[int] = field(default_factory=list)
    joints: list[list[tuple[float, float, float]]] = field(default_factory=list)

    def within(self, frames: slice) -> "Track":
        """Return the body in a range of frames."""
        both = [each for each in zip(self.frames, self.joints, strict=True) if frames.start <= each[0] < frames.stop]
        return Track([frame for frame, _ in both], [joints for _, joints in both])

    @property
    def path(self) -> float:
        """Sum of all movements of all joints from one frame to the next in which it is there."""
        return float(np.linalg.norm(np.diff(self.joints, axis=0), axis=2).sum())


def holds_bodies(content: bytes) -> bool:
    """Return whether a file begins as ``.skeleton`` files do.

    >>> holds_bodies(b"103\\n1\\n72057594037931101 0 1"), holds_bodies(b"0.1 0.2 2.5 1\\n")
    (True, False)
    """
    return _BEGINNING.match(content) is not None


def read_body(content: bytes, frames: tuple[int, int] | None = None) -> Recording:
    """Read the body that is tracked in most frames of a range, and of several that one whose joints move most.

    Parameters
    ----------
    content : bytes
    frames : (int, int), optional
        Half-open range of frames, counted from 0; None for all of them.

    Returns
    -------
    Recording
        Its 25 joints; zero in frames in which it is not there. Of several bodies in the range, the notes hold
        how many ``bodies`` there are, and the id of this ``body``.

    Raises
    ------
    UnusableVideo
        Where the file is malformed anywhere, ends before the range does, or has no body in it.
    """
    count, tracks = _Lines(content).tracks()
    if not count:
        raise UnusableVideo("the file has no frames: its first line announces 0")
    taken = part(count, frames)
    length = taken.stop - taken.start
    there = {id: track for id, each in tracks.items() if (track := each.within(taken)).frames}
    if not there:
        raise UnusableVideo(f"no body in any of {length} frames", length)
    id, body = max(there.items(), key=lambda item: (len(item[1].frames), item[1].path))
    points = np.zeros((length, len(NTU), 3))
    points[np.array(body.frames) - taken.start] = body.joints
    notes: dict[str, int | str] = {"bodies": len(there), "body": id} if len(there) > 1 else {}
    return Recording(points, notes)


class _Lines:
    """The lines of a file, one by one, and the frames that are complete so far."""

    def __init__(self, content: bytes) -> None:
        self._lines: Iterator[tuple[int, bytes]] = iter(enumerate(content.rstrip().splitlines(), start=1))
        self._line = 0
        self._complete = 0

    def tracks(self) -> tuple[int, dict[str, Track]]:
        """Return the number of frames, and all bodies by their ids."""
        found: dict[str, Track] = defaultdict(Track)
        count = self._count("the number of frames")
        for frame in range(count):
            self._complete = frame
            for _ in range(self._count("the number of bodies")):
                track = found[self._words(BODY_VALUES, "a body's id and state")[0].decode("ascii", "replace")]
                if track.frames[-1:] == [frame]:
                    raise self._wrong("a body with the id of another one of the same frame")
                joints = self._joints()
                track.frames.append(frame)
                track.joints.append(joints)
        self._complete = count
        if next(self._lines, None):
            raise UnusableVideo(f"more lines than the {count} frames that the first line announces have", count)
        return count, found

    def _joints(self) -> list[tuple[float, float, float]]:
        if (joints := self._count("the number of joints")) != len(NTU):
            raise self._wrong(f"{joints} joints; {len(NTU)} are needed")
        return [self._point() for _ in range(joints)]

    def _point(self) -> tuple[float, float, float]:
        words = self._words(JOINT_VALUES, "a joint")[:3]  # the others are of pictures, and may be infinite
        try:
            x, y, z = map(float, words)
        except ValueError:
            raise self._wrong(f"{b' '.join(words)[:60]!r} holds something other than numbers") from None
        if not all(isfinite(value) and abs(value) <= MAX_COORDINATE for value in (x, y, z)):
            raise self._wrong(f"{x:g} {y:g} {z:g} is no place of a joint")
        return x, y, z

    def _count(self, what: str) -> int:
        (word,) = self._words(1, what)
        if not _COUNT.fullmatch(word):
            raise self._wrong(f"{bytes(word[:60])!r} is not {what}")
        return int(word)

    def _words(self, number: int, what: str) -> list[bytes]:
        self._line, text = next(self._lines, (self._line, None))
        if text is None:
            raise UnusableVideo(f"the file ends after line {self._line}, before {what}: it is cut off", self._complete)
        words = text.split()
        if len(words) != number:
            raise self._wrong(f"{len(words)} columns; {what} has {number}")
        return words

    def _wrong(self, fault: str) -> UnusableVideo:
        return UnusableVideo(f"line {self._line}: {fault}", self._complete)
