"""From videos to rows. One line each."""

from extractors.base import Extractor
from extractors.convnet3d import ConvNet3D
from extractors.frames import Frames
from extractors.harris3d import Harris3D
from extractors.hog3d import HOG3D, HOG3DRows
from extractors.person_boxes import PersonBoxes
from extractors.skeleton import Skeleton
from extractors.tsn import TSN

EXTRACTORS: dict[str, type[Extractor]] = {
    extractor.model_fields["name"].default: extractor
    for extractor in (ConvNet3D, Frames, Harris3D, HOG3D, HOG3DRows, PersonBoxes, Skeleton, TSN)
}
