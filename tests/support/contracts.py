"""What every member of a family keeps: run over everything registered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file

from extractors.base import Clip, Extractor, Row
from extractors.c3d.config import C3D
from extractors.clip3d.config import Clip3D
from extractors.convnet3d.config import ConvNet3D, ConvNet3DNetwork
from extractors.convnet3d.person_boxes import PersonBoxes
from extractors.frames import Frames
from extractors.harris3d.config import Harris3D
from extractors.hog3d.config import HOG3D, HOG3DRows
from extractors.hog3d.grid import Descriptor, Grid
from extractors.i3d.config import I3D
from extractors.skeleton.augmentation import Augmentation
from extractors.skeleton.config import Skeleton
from extractors.snippets.config import Backbone
from extractors.snippets.finetuning import Finetuning
from extractors.tdn.config import TDN, TDNBackbone
from extractors.tdn.training import JointFinetuning
from extractors.trajectories.config import Trajectories
from extractors.trajectories.fisher_config import IDT
from extractors.tsn.config import TSN
from extractors.tvl1.config import TVL1
from pipeline.config import parse
from pipeline.training.config import Fit
from pipeline.training.random_state import seeded
from tests.support.paths import GOLDEN
from tests.support.skeletons import as_ntu, as_sdk, figure, one_body, utkinect_text

if TYPE_CHECKING:
    from torch import nn

VIDEO = GOLDEN / "person01_walking_d1.mp4"
SKELETON = GOLDEN / "person01_walking_d1_skeleton3D.txt"


@dataclass(frozen=True)
class Member:
    """An extractor ready for the contract: its configuration, and what it is given.

    golden: what follows the extractor's name in that of its golden file, where it has several members.
    """

    config: Extractor
    source: Clip
    states: Mapping[str, Path] = field(default_factory=dict)
    golden: str = ""

    def rows(self, source: Clip | None = None) -> list[Row]:
        """All variants' rows of the golden clip, or of another."""
        return extracted(self.config, source or self.source, self.states)


def extracted(config: Extractor, clip: Clip, states: Mapping[str, Path] = {}) -> list[Row]:
    """Rows of a clip, those of upstream extractors computed first."""
    given: Clip | Sequence[Row] = clip if config.upstream is None else extracted(config.upstream, clip)
    return list(config.build("cpu", states)(given))


def squeezenet(folder: Path, channels: int = 3) -> str:
    """The file of a SqueezeNet's weights, at random."""
    from extractors.backbones.squeezenet import SqueezeNet

    with seeded(0):
        save_file(SqueezeNet(channels).state_dict(), folder / "squeezenet.safetensors")
    return str(folder / "squeezenet.safetensors")


def _trained_tsn(folder: Path) -> Path:
    """On flow, of three classes."""
    from torch import nn

    from extractors.backbones.squeezenet import SqueezeNet

    with seeded(0):
        parts = nn.ModuleDict({"backbone": SqueezeNet(10), "head": nn.Linear(512, 3)})
    save_file(parts.state_dict(), folder / "tsn.safetensors")
    return folder / "tsn.safetensors"


def _trained_tdn(folder: Path, modality: str) -> Path:
    """Of three classes."""
    from torch import nn

    from extractors.backbones.squeezenet import SqueezeNet

    with seeded(0):
        halves = {
            name: nn.ModuleDict({"backbone": SqueezeNet(3 if modality == "rgb" else 10), "head": nn.Linear(512, 3)})
            for name in ("image", "difference")
        }
    save_file(nn.ModuleDict(halves).state_dict(), folder / "tdn.safetensors")
    return folder / "tdn.safetensors"


def _tdn(folder: Path, **fields: Any) -> TDN:
    """Of two clips of two snippets."""
    weights, flow = squeezenet(folder), fields.get("flow")
    start = _tsn(folder, modality="flow", flow=flow, fit=Finetuning(epochs=1)) if flow else None
    network = TDNBackbone(
        backbone="squeezenet1_0",
        weights=weights,
        fit=Finetuning(epochs=1, segments=2),
        joint=JointFinetuning(epochs=1),
        start=start,
        layers="fire8",
    )
    return TDN(network=network, clips=2, crops=1, **fields)


def _c3d(folder: Path) -> str:
    """Half the precision, half the file; activations as large at the end as at the beginning."""
    import torch

    from extractors.c3d.network import C3DNetwork

    with torch.device("meta"):
        shapes = {key: tensor.shape for key, tensor in C3DNetwork().state_dict().items()}
    with seeded(0):
        save_file(
            {key: (torch.randn(shape) * (2 / shape[1:].numel()) ** 0.5).half() for key, shape in shapes.items()},
            folder / "c3d.safetensors",
        )
    return str(folder / "c3d.safetensors")


def at_random(network: "nn.Module", file: Path) -> str:
    """Save a network's weights, drawn so that activations keep their size from layer to layer (He et al. 2015)."""
    import torch

    state = network.state_dict()
    with seeded(0):
        for key, tensor in state.items():
            if tensor.ndim > 1:
                state[key] = torch.randn(tensor.shape) * (2 / tensor[0].numel()) ** 0.5
            elif key.endswith("bias"):
                state[key] = torch.zeros_like(tensor)
    save_file(state, file)
    return str(file)


def _clip3d(folder: Path) -> str:
    from extractors.backbones.torchvision_models import models

    return at_random(models.video.mc3_18(), folder / "mc3.safetensors")


def _i3d(folder: Path, channels: int = 3) -> str:
    from extractors.i3d.network import I3DNetwork

    return at_random(I3DNetwork(channels), folder / "i3d.safetensors")


def _shufflenet(folder: Path) -> str:
    from extractors.backbones.torchvision_models import models

    return at_random(models.shufflenet_v2_x0_5(), folder / "shufflenet.safetensors")


def _convnet3d(folder: Path) -> Path:
    from extractors.convnet3d.network import ConvNet

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


SPARSE = Trajectories(stride_px=8, scales=2)


def _vocabulary(folder: Path) -> Path:
    from torch import full, nn, ones, zeros

    state = {}
    with seeded(0):
        for number, width in enumerate(SPARSE.layout.widths):
            mixture = {"weights": full((4,), 0.25), "means": nn.init.normal_(zeros(4, 3)) / 4, "variances": ones(4, 3)}
            state |= {f"{number}.{name}": part.double() for name, part in mixture.items()}
            state |= {f"{number}.mean": zeros(width).double()}
            state |= {f"{number}.components": nn.init.orthogonal_(zeros(3, width))}
    save_file(state, folder / "vocabulary.safetensors")
    return folder / "vocabulary.safetensors"


def _skeletons(folder: Path, layout: str, suffix: str, form: Callable[[Any], str]) -> Member:
    """A waving figure in another layout, sampled at eight times."""
    path = folder / f"waving{suffix}"
    path.write_text(form(figure()))
    config = parse(Skeleton, {"layout": layout, "sampled_frames": 8})
    return Member(config, Clip(path, (0, 30)), golden=f"_{layout}")


def _tsn(folder: Path, *, channels: int = 3, fit: Finetuning | None = None, **fields: Any) -> TSN:
    network = Backbone(backbone="squeezenet1_0", weights=squeezenet(folder, channels), fit=fit)
    return TSN(network=network, snippets=2, crops=1, **fields)


MEMBERS: dict[str, Callable[[Path], Member]] = {
    "c3d": lambda folder: Member(C3D(weights=_c3d(folder), stride_frames=50, dtype="float16"), Clip(VIDEO, (0, 16))),
    "clip3d": lambda folder: Member(
        Clip3D(network="mc3_18", weights=_clip3d(folder), window_frames=8), Clip(VIDEO, (0, 30))
    ),
    "convnet3d": lambda folder: Member(
        ConvNet3D(network=ConvNet3DNetwork(fit=Fit(epochs=1)), stride_frames=8), Clip(VIDEO), {"0": _convnet3d(folder)}
    ),
    "frames": lambda _: Member(Frames(short_side=24), Clip(VIDEO, (0, 8))),
    "harris3d": lambda _: Member(Harris3D(), Clip(VIDEO)),
    "hog3d": lambda folder: Member(HOG3D(dims=5, **COARSE), Clip(VIDEO, (0, 32)), _projections(folder)),
    "hog3d_raw": lambda _: Member(HOG3DRows(**COARSE), Clip(VIDEO, (0, 24))),
    "i3d": lambda folder: Member(I3D(weights=_i3d(folder), window_frames=9), Clip(VIDEO, (0, 10))),
    "i3d of flow": lambda folder: Member(
        I3D(
            modality="flow",
            weights=_i3d(folder, 2),
            window_frames=9,
            flow=TVL1(size_px=(80, 60), warps=1, bound_px=10),
        ),
        Clip(VIDEO, (0, 10)),
        golden="_flow",
    ),
    "idt": lambda folder: Member(IDT(trajectories=SPARSE), Clip(VIDEO, (0, 30)), {"0": _vocabulary(folder)}),
    "person_boxes": lambda _: Member(PersonBoxes(), Clip(VIDEO, (0, 24))),
    "skeleton": lambda _: Member(Skeleton(augment=Augmentation(copies=1)), Clip(SKELETON, (0, 30))),
    "skeleton of kinect_v2": lambda folder: _skeletons(
        folder, "kinect_v2", ".skeleton", lambda joints: one_body(as_ntu(joints))
    ),
    "skeleton of utkinect": lambda folder: _skeletons(
        folder, "utkinect", ".txt", lambda joints: utkinect_text(as_sdk(joints))
    ),
    "tdn": lambda folder: Member(_tdn(folder), Clip(VIDEO), {"0": _trained_tdn(folder, "rgb")}),
    "tdn of flow": lambda folder: Member(
        _tdn(folder, modality="flow", flow=TVL1(size_px=(80, 60), warps=1)),
        Clip(VIDEO, (0, 16)),
        {"0": _trained_tdn(folder, "flow")},
        golden="_flow",
    ),
    "trajectories": lambda _: Member(SPARSE, Clip(VIDEO, (0, 30))),
    "tsn": lambda folder: Member(_tsn(folder), Clip(VIDEO)),
    "tsn of flow": lambda folder: Member(
        _tsn(folder, modality="flow", flow=TVL1(size_px=(80, 60), warps=1), fit=Finetuning(epochs=1)),
        Clip(VIDEO, (0, 16)),
        {"0": _trained_tsn(folder)},
        golden="_flow",
    ),
    "tsn of a library": lambda folder: Member(
        TSN(
            network=Backbone(backbone="torchvision:shufflenet_v2_x0_5", weights=_shufflenet(folder)),
            snippets=2,
            crops=1,
        ),
        Clip(VIDEO),
        golden="_library",
    ),
    "tsn of rgb_diff": lambda folder: Member(
        _tsn(folder, channels=15, modality="rgb_diff"), Clip(VIDEO), golden="_rgb_diff"
    ),
    "tvl1": lambda _: Member(TVL1(size_px=(80, 60), stride_frames=6, bound_px=4, encoding="raw"), Clip(VIDEO, (0, 30))),
}
