"""From videos to rows. One line each."""

from extractors.base import Extractor
from extractors.convnet3d import ConvNet3D
from extractors.frames import Frames
from extractors.person_boxes import PersonBoxes
from extractors.skeleton import Skeleton
from extractors.tsn import TSN

EXTRACTORS: dict[str, type[Extractor]] = {
    extractor.model_fields["name"].default: extractor for extractor in (ConvNet3D, Frames, PersonBoxes, Skeleton, TSN)
}
