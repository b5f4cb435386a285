"""Configuration of skeleton features: positions, angles, offsets, velocities and distances of 20 joints."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from extractors.base import Clip, Extract, Extractor, Row
from extractors.skeleton.augmentation import Augmentation
from extractors.skeleton.joint_table import JointTable
from extractors.skeleton.layouts import LAYOUTS
from pipeline.config import Positive, Size, WithoutAdded, unknown
from pipeline.files.user_input import brief

if TYPE_CHECKING:
    import numpy as np

    from extractors.skeleton.file import Skeletons


def _layout(value: Any) -> Any:
    """Tell a name from a table, whose errors then are not those of the other."""
    if isinstance(value, Mapping):
        return JointTable.model_validate(value)
    if isinstance(value, str) and value not in LAYOUTS:
        raise ValueError(unknown("layout", value, LAYOUTS))
    if not isinstance(value, str | JointTable):
        raise ValueError(f"{brief(value)} is no layout; a name ({', '.join(LAYOUTS)}) or a table with joints is needed")
    return value


class Skeleton(Extractor, WithoutAdded):
    """Features of a body's 20 joints, one vector a frame.

    Raises
    ------
    UnusableVideo
        Where the file is malformed, or holds no body, or joints that cannot be those of the layout.

    Notes
    -----
    A row holds

    - ``features`` (time, 583 or 472), float32: positions 60, angles 136, offsets 54, velocity histograms 162, and
      pairwise distances 171 or positions relative to the hip centre 60;
    - ``start_frames`` (time,), int64: the frame that is nearest to each vector, counted from the clip's first;

    and the attribute ``frames``. There is no ``fps``: the files do not say it. Further attributes say what is out
    of the ordinary, except with ``kinect_v1``: ``interpolated_frames``, how many are zero throughout or not there;
    ``interpolated_joints``, how many joints of the other frames are at 0, 0, 0, or the mean of such a point, as
    undetected ones are written (with ``kinect_v1`` that is a place);
    ``repeated_frames``, how many numbers of UTKinect's files several lines have, of which the first is taken; and of
    ``.skeleton`` files with several bodies ``bodies``, how many there are, and ``body``, the id of the one that is
    taken: it is tracked in most frames, and of several its joints move most.

    Units are those of the file. With ``normalise`` they do not matter, except to ``augment``, whose shifts of joints
    are in metres.

    References
    ----------
    Veeriah, Zhuang, Qi, *Differential Recurrent Neural Networks for Action Recognition* (ICCV 2015), experiments on MSR
    Action3D.
    """

    name: Literal["skeleton"] = "skeleton"
    reads: ClassVar[str] = "skeleton"
    added: ClassVar[frozenset[str]] = frozenset({"layout"})

    layout: Annotated[Literal["kinect_v1", "kinect_v2", "utkinect"] | JointTable, BeforeValidator(_layout)] = Field(
        "kinect_v1",
        description="which numbers of a file are which joints: kinect_v1, 20 lines a frame in MSR Action3D's order; "
        "kinect_v2, 25 in NTU RGB+D's, or its .skeleton files; utkinect, UTKinect-Action3D's files; or a table "
        "of one's own",
    )
    variant: Literal["583", "472"] = Field(
        "583",
        description="583: the last block is pairwise distances, 171; 472: positions relative to the hip centre, 60",
    )
    normalise: bool = Field(
        True, description="put the hip centre at the origin and scale the clip to a mean bone length of 1"
    )
    origin: Literal["each_frame", "first_frame"] = Field(
        "each_frame", description="frame whose hip centre is the origin; first_frame keeps the body's way through space"
    )
    equal_bones: bool = Field(
        False, description="make all 19 bones as long as their mean, each in its direction, which evens out bodies"
    )
    sampled_frames: Size | None = Field(
        None,
        description="number of frames that sequences are interpolated to, which evens out speed; None keeps theirs",
    )
    spacing: Literal["time", "path"] = Field(
        "time",
        description="whether frames are spaced equally in time, or along the path of all joints relative to the hip "
        "centre, which evens out pauses and rhythm",
    )
    velocity_window_frames: Size = Field(
        5, description="number of frames that a velocity histogram covers, up to and including its own"
    )
    velocity_threshold_bone_lengths: Positive = Field(
        0.02, description="movement in a frame up to which a coordinate is still, in mean bone lengths of the clip"
    )
    augment: Augmentation | None = Field(None, description="perturbed copies as further variants; None makes none")

    @property
    def variants(self) -> int:
        return 1 + (self.augment.copies if self.augment else 0)

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        def extract(source: Clip) -> Iterator[Row]:
            joints, notes = self.read(source)
            for copy in range(self.variants):
                yield self._row(joints, notes, copy)

        return extract

    def read(self, clip: Clip) -> "Skeletons":
        """Read the body's joints (time, 20, 3) as they are in the file, and what is out of the ordinary.

        Raises
        ------
        UnusableVideo
            As its rows do.
        """
        from extractors.skeleton.file import read

        named = LAYOUTS[self.layout] if isinstance(self.layout, str) else self.layout.layout
        return read(clip.path, clip.frames, named)

    def _row(self, joints: "np.ndarray", notes: Mapping[str, int | str], copy: int) -> Row:
        """Compute the row of the sequence itself (copy 0) or of a perturbed copy."""
        import numpy as np

        from extractors.skeleton.augmentation import UNCHANGED, Perturbation, generator
        from extractors.skeleton.blocks import features
        from extractors.skeleton.body import bone_length, equal_bones, interpolated, normalised

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
        return Row({"features": blocks.astype(np.float32), "start_frames": starts}, {"frames": frames, **notes})
