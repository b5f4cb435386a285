"""Extractors, which turn videos into rows of features; a family is a package."""

from extractors.base import Extractor
from extractors.c3d.config import C3D
from extractors.clip3d.config import Clip3D
from extractors.convnet3d.config import ConvNet3D
from extractors.convnet3d.person_boxes import PersonBoxes
from extractors.frames import Frames
from extractors.harris3d.config import Harris3D
from extractors.hog3d.config import HOG3D, HOG3DRows
from extractors.i3d.config import I3D
from extractors.skeleton.config import Skeleton
from extractors.tdn.config import TDN
from extractors.trajectories.config import Trajectories
from extractors.trajectories.fisher_config import IDT
from extractors.tsn.config import TSN
from extractors.tvl1.config import TVL1

EXTRACTORS: dict[str, type[Extractor]] = {
    extractor.model_fields["name"].default: extractor
    for extractor in (
        C3D,
        Clip3D,
        ConvNet3D,
        Frames,
        Harris3D,
        HOG3D,
        HOG3DRows,
        I3D,
        IDT,
        PersonBoxes,
        Skeleton,
        TDN,
        Trajectories,
        TSN,
        TVL1,
    )
}
"""Extractors by the name that a recipe gives them. A new one is a line here."""
