"""Skeleton features: positions, angles, offsets, velocities and distances of 20 joints, one vector a frame."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from extractors.base import Clip, Extract, Extractor, Row
from extractors.skeleton.augmentation import Augmentation

if TYPE_CHECKING:
    import numpy as np


class Skeleton(Extractor):
    """The five blocks of Veeriah, Zhuang, Qi, "Differential Recurrent Neural Networks for Action Recognition",
    ICCV 2015: position 60, angle 136, offset 54, velocity 162, pairwise 171.

    Rows: ``features (time, 583 or 472)`` float32, ``start_frames (time,)``; attribute ``frames``. The files say
    nothing of a frame rate.
    """

    name: Literal["skeleton"] = "skeleton"
    reads: ClassVar[str] = "skeleton"

    variant: Literal["583", "472"] = Field("583", description="472: the last block is positions to the hip centre, 60")
    normalise: bool = Field(True, description="hip centre at the origin, mean bone length of the clip 1")
    origin: Literal["each_frame", "first_frame"] = Field(
        "each_frame", description="whose hip centre is the origin; the first frame's keeps the body's way through space"
    )
    equal_bones: bool = Field(
        False, description="all 19 bones become as long as their mean, each in its direction, which evens out bodies"
    )
    sampled_frames: PositiveInt | None = Field(
        None, description="sequences are interpolated to so many frames before anything else, which evens out speed"
    )
    spacing: Literal["time", "path"] = Field(
        "time",
        description="frames stand at equal distances in time, or along the path of all joints relative to the hip "
        "centre, which evens out pauses and rhythm",
    )
    velocity_window_frames: PositiveInt = 5
    velocity_threshold_bone_lengths: PositiveFloat = Field(
        0.02, description="a coordinate that moves no more in a frame is still; in mean bone lengths of the clip"
    )
    augment: Augmentation | None = None

    @property
    def variants(self) -> int:
        return 1 + (self.augment.copies if self.augment else 0)

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        from extractors.skeleton.file import read

        def extract(source: Clip) -> Iterator[Row]:
            joints = read(source.path, source.frames)
            for copy in range(self.variants):
                yield self._row(joints, copy)

        return extract

    def _row(self, joints: "np.ndarray", copy: int) -> Row:
        import numpy as np

        from extractors.skeleton.augmentation import UNCHANGED, Perturbation, generator
        from extractors.skeleton.blocks import features
        from extractors.skeleton.file import bone_length, equal_bones, interpolated, normalised

        frames, perturbation = len(joints), UNCHANGED
        if self.augment and copy:
            perturbation = Perturbation.draw(self.augment, generator(joints, self.augment.seed, copy))
            joints = perturbation.moved(joints)
        count = self.sampled_frames or max(1, round(frames / perturbation.speed))
        times = perturbation.warped(np.linspace(0, frames - 1, count))
        if self.spacing == "path":
            from extractors.skeleton.path import along_path

            times = along_path(joints, times)
        joints = interpolated(joints, times)
        if self.equal_bones:
            joints = equal_bones(joints)
        if self.normalise:
            joints = normalised(joints, each_frame=self.origin == "each_frame")
        blocks = features(
            joints,
            self.velocity_window_frames,
            self.velocity_threshold_bone_lengths * bone_length(joints),
            distances=self.variant == "583",
        )
        starts = np.rint(times).astype(np.int64)
        return Row({"features": blocks.astype(np.float32), "start_frames": starts}, {"frames": frames})
