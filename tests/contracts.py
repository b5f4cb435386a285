"""What every member of a family keeps: run over everything registered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from extractors.base import Clip, Extractor, Row
from extractors.convnet3d import ConvNet3D, ConvNet3DNetwork
from extractors.frames import Frames
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
    state: Path | None = None

    def rows(self, source: Clip | None = None) -> list[Row]:
        """All variants' rows of the golden clip, or of another."""
        return extracted(self.config, source or self.source, self.state)


def extracted(config: Extractor, clip: Clip, state: Path | None = None) -> list[Row]:
    """Rows of a clip, those of upstream extractors computed first."""
    given: Clip | Sequence[Row] = clip if config.upstream is None else extracted(config.upstream, clip)
    return list(config.build("cpu", state)(given))


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


MEMBERS: dict[str, Callable[[Path], Member]] = {
    "convnet3d": lambda folder: Member(
        ConvNet3D(network=ConvNet3DNetwork(fit=Fit(epochs=1)), stride_frames=8), Clip(VIDEO), _convnet3d(folder)
    ),
    "frames": lambda _: Member(Frames(short_side=24), Clip(VIDEO, (0, 8))),
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
