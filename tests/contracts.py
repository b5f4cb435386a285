"""What every member of a family keeps: run over everything registered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from extractors.base import Clip, Extractor, Row
from extractors.convnet3d import ConvNet3D, ConvNet3DNetwork
from extractors.frames import Frames
from extractors.harris3d import Harris3D
from extractors.hog3d import HOG3D, Descriptor, Grid, HOG3DRows
from extractors.person_boxes import PersonBoxes
from extractors.skeleton import Augmentation, Skeleton
from extractors.tsn import TSN, Backbone
from pipeline.fit import seeded
from pipeline.hyperparameters import Fit

GOLDEN = Path(__file__).parent / "golden"
VIDEO = GOLDEN / "person01_walking_d1.mp4"
SKELETON = GOLDEN / "person01_walking_d1_skeleton3D.txt"


@dataclass(frozen=True)
class Member:
    """An extractor ready for the contract: its configuration, and what it is given."""

    config: Extractor
    source: Clip
    states: Mapping[str, Path] = field(default_factory=dict)

    def rows(self, source: Clip | None = None) -> list[Row]:
        """All variants' rows of the golden clip, or of another."""
        return extracted(self.config, source or self.source, self.states)


def extracted(config: Extractor, clip: Clip, states: Mapping[str, Path] = {}) -> list[Row]:
    """Rows of a clip, those of upstream extractors computed first."""
    given: Clip | Sequence[Row] = clip if config.upstream is None else extracted(config.upstream, clip)
    return list(config.build("cpu", states)(given))


def _squeezenet(folder: Path) -> str:
    from extractors.networks.backbones import SqueezeNet

    with seeded(0):
        save_file(SqueezeNet().state_dict(), folder / "squeezenet.safetensors")
    return str(folder / "squeezenet.safetensors")


def _convnet3d(folder: Path) -> Path:
    from extractors.networks.convnet3d import ConvNet

    with seeded(0):
        save_file(ConvNet(6).state_dict(), folder / "convnet3d.safetensors")
    return folder / "convnet3d.safetensors"


COARSE = {"descriptor": Descriptor(cells_xy=2, cells_t=2), "grid": Grid(stride_px=50, scales=1)}
"""HOG3D of 6 boxes, 80 numbers each, on 160×120 pixels."""


def _projections(folder: Path) -> dict[str, Path]:
    from torch import nn, zeros

    with seeded(0):
        for fold in "01":
            state = {"mean": zeros(480), "components": nn.init.orthogonal_(zeros(5, 480))}
            save_file(state, folder / f"{fold}.safetensors")
    return {fold: folder / f"{fold}.safetensors" for fold in "01"}


MEMBERS: dict[str, Callable[[Path], Member]] = {
    "convnet3d": lambda folder: Member(
        ConvNet3D(network=ConvNet3DNetwork(fit=Fit(epochs=1)), stride_frames=8), Clip(VIDEO), {"0": _convnet3d(folder)}
    ),
    "frames": lambda _: Member(Frames(short_side=24), Clip(VIDEO, (0, 8))),
    "harris3d": lambda _: Member(Harris3D(), Clip(VIDEO)),
    "hog3d": lambda folder: Member(HOG3D(dims=5, **COARSE), Clip(VIDEO, (0, 32)), _projections(folder)),
    "hog3d_raw": lambda _: Member(HOG3DRows(**COARSE), Clip(VIDEO, (0, 24))),
    "person_boxes": lambda _: Member(PersonBoxes(), Clip(VIDEO, (0, 24))),
    "skeleton": lambda _: Member(Skeleton(augment=Augmentation(copies=1)), Clip(SKELETON, (0, 30))),
    "tsn": lambda folder: Member(
        TSN(network=Backbone(backbone="squeezenet1_0", weights=_squeezenet(folder)), snippets=2, crops=1), Clip(VIDEO)
    ),
}


def same(rows: Sequence[Row], others: Sequence[Row]) -> bool:
    """Whether all arrays and attributes are equal to the last bit."""
    return len(rows) == len(others) and all(
        one.attributes == other.attributes
        and one.arrays.keys() == other.arrays.keys()
        and all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)
        for one, other in zip(rows, others, strict=True)
    )
