"""Configuration of a skeleton layout of one's own: which lines or columns of a file are which joints."""

from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from extractors.skeleton.body import BONES, NAMES
from extractors.skeleton.layouts import Layout
from pipeline.config import MAX_SIZE, Config, Size
from pipeline.files.user_input import brief

_INTEGER = {"type": "integer", "minimum": 1, "maximum": MAX_SIZE}


def _numbers(value: Any) -> tuple[int, ...]:
    """Return the numbers of a place in order, as a mean knows none; what they may be is checked later."""
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
    if any(not isinstance(number, int) or isinstance(number, bool) for number in numbers):
        raise ValueError(f"{brief(value)} is no place; a number, or a list of numbers, counted from 1 is needed")
    return tuple(sorted(numbers))


Place = Annotated[
    tuple[Size, ...],
    Field(min_length=1, max_length=8),
    BeforeValidator(_numbers),
    WithJsonSchema({"anyOf": [_INTEGER, {"type": "array", "items": _INTEGER, "minItems": 1, "maxItems": 8}]}),
]
"""Type of a field that says where a joint is: a number, or several whose places are averaged."""


class Joints(Config):
    """Places of the 20 joints, counted from 1: lines of a frame, or columns of x; of several the joint is the mean.

    Notes
    -----
    Left and right are the person's own. A joint that a file has not is given the place of its neighbour, as the wrist's
    for a hand, or those of several, as the shoulders' for the neck.
    """

    head: Place
    neck: Place = Field(description="between the shoulders, where spine, head and both shoulders meet")
    spine: Place = Field(description="the middle of the spine")
    hip_centre: Place
    left_shoulder: Place
    left_elbow: Place
    left_wrist: Place
    left_hand: Place
    right_shoulder: Place
    right_elbow: Place
    right_wrist: Place
    right_hand: Place
    left_hip: Place
    left_knee: Place
    left_ankle: Place
    left_foot: Place
    right_hip: Place
    right_knee: Place
    right_ankle: Place
    right_foot: Place

    @model_validator(mode="before")
    @classmethod
    def _all_there(cls, table: Any) -> Any:
        named = isinstance(table, Mapping) and table.keys() <= cls.model_fields.keys()  # what is misspelt is said first
        missing = [name for name in NAMES if name not in table] if named else []
        if missing:
            raise ValueError(
                f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; all {len(NAMES)} joints need a "
                "place, and may share a neighbour's, as hand = that of the wrist, or average several, as neck = [5, 6]"
            )
        return table

    @model_validator(mode="after")
    def _places_are_shared_along_bones_alone(self) -> Self:
        for one, other in combinations(range(len(NAMES)), 2):
            same = set(self.place(one)) == set(self.place(other))
            if same and not any({one, other} == set(bone) for bone in BONES.tolist()):
                raise ValueError(
                    f"{NAMES[one]} and {NAMES[other]} have the same place; only joints that a bone joins may"
                )
        return self

    def place(self, joint: int) -> tuple[int, ...]:
        """Return the place of a joint, in MSR Action3D's order."""
        place: tuple[int, ...] = getattr(self, NAMES[joint])
        return place


class JointTable(Config):
    """Skeleton layout of one's own: a text of numbers, separated by spaces, or by commas or semicolons.

    Notes
    -----
    Where ``lines`` is 1, a line holds a whole frame, and ``joints`` are the columns of each joint's x, which y and z
    follow. Otherwise a frame has as many lines, each of which holds a point, and ``joints`` are the numbers of these
    lines; x is in ``x_column``, and y and z follow. Everything is counted from 1. A point at 0, 0, 0 (or
    0, 0) was not detected, and is interpolated between the frames in which it was.
    """

    joints: Joints = Field(description="the place of each of the 20 joints")
    lines: Size = Field(1, description="lines of a frame: 1 where a line holds a whole frame, else a point a line")
    x_column: Size = Field(1, description="column of x, where a frame has several lines")
    dimensions: Literal[2, 3] = Field(3, description="coordinates of a point: x and y, with 0 for z, or x, y and z")
    header_lines: int = Field(0, ge=0, le=1000, description="lines before the first frame, such as a table's heading")

    @model_validator(mode="after")
    def _places_are_those_of_points(self) -> Self:
        if self.lines == 1:
            self._check_columns()
        elif self._used[-1] > self.lines:
            raise ValueError(f"a joint in line {self._used[-1]}, and a frame has {self.lines} lines")
        if self.lines == 1 and self.x_column != 1:
            raise ValueError("x_column is for frames of several lines; where a line holds a frame, joints are columns")
        return self

    def _check_columns(self) -> None:
        for first, second in zip(self._used, self._used[1:], strict=False):
            if second - first < self.dimensions:
                raise ValueError(
                    f"columns {first} and {second} overlap, as a joint takes {self.dimensions} columns from its x on; "
                    "where each joint has a line of its own, lines = the number of lines of a frame"
                )

    @property
    def _used(self) -> list[int]:
        """Places that any joint has, in order."""
        return sorted({place for joint in range(len(NAMES)) for place in self.joints.place(joint)})

    @property
    def layout(self) -> Layout:
        """Layout in plain numbers."""
        used = self._used
        starts = [column - 1 for column in used] if self.lines == 1 else [self.x_column - 1]
        index = {place: number for number, place in enumerate(used if self.lines == 1 else range(1, self.lines + 1))}
        return Layout(
            name="the layout",
            line="x y z" if self.dimensions == 3 else "x y",
            lines=self.lines,
            columns=tuple(tuple(range(start, start + self.dimensions)) for start in starts),
            joints=tuple(tuple(index[place] for place in self.joints.place(joint)) for joint in range(len(NAMES))),
            header_lines=self.header_lines,
        )
