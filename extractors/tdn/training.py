"""How a temporal difference network is trained on the training videos, in two phases."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from extractors.base import Labelled
from extractors.snippets.finetune import finetune, on_cpu
from extractors.snippets.finetuning import Finetuning
from extractors.tsn.training import FittedTSN
from pipeline.config import Config

if TYPE_CHECKING:
    import torch

    from extractors.tdn.network import TDNNetwork
    from pipeline.training.curves import Curves


class JointFinetuning(Config):
    """Phase 2, in which the whole network learns. What is not said here is as in phase 1."""

    epochs: PositiveInt | None = None
    iterations: PositiveInt | None = None
    lr: PositiveFloat | None = Field(None, description="None: the rate at which phase 1 ends by its schedule")
    milestones: tuple[PositiveInt, ...] = Field((), description="counted within phase 2")

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        self.after(Finetuning(epochs=1))
        return self

    def after(self, first: Finetuning) -> Finetuning:
        """The whole of phase 2, given that of phase 1. Raises ValueError where its schedule is none."""
        bound = first.iterations or first.epochs or 0
        last = first.lr * first.gamma ** sum(milestone < bound for milestone in first.milestones)
        schedule = self.model_dump() | {"lr": self.lr or last}
        return Finetuning.model_validate(first.model_dump() | schedule)


class FittedTDN(FittedTSN):
    """Both subnetworks of a temporal difference network and their classifiers.

    Ng and Davis, *Temporal Difference Networks for Video Action Recognition* (WACV 2018), section 4.1: in phase 1
    (``fit``) the image subnetwork's backbone stays as it came, and its classifier and the whole difference subnetwork
    learn; in phase 2 (``joint``) all does. The loss is the sum of both subnetworks' (the paper does not say). Both
    backbones start from ``weights``, or that of images from a temporal segment network that was trained before.

    An example is drawn as one of a temporal segment network. The trained state dict has the keys of that network below
    ``image.`` and ``difference.``.
    """

    layers: str
    conv1_at: Literal["56", "112"]
    joint: JointFinetuning

    def build(self, classes: int) -> "TDNNetwork":
        """The network, its classifiers initialised from torch's global generator."""
        from extractors.tdn.network import TDNNetwork

        return TDNNetwork(
            self.backbone,
            self.modality,
            classes,
            layers=self.layers,
            conv1_at=self.conv1_at,
            dropout=self.fit.dropout,
            partial_bn=self.fit.partial_bn,
        )

    def train(self, material: Labelled, *, device: str, checkpoint: Path) -> "tuple[dict[str, torch.Tensor], Curves]":
        """``weights`` must be the path of a file. Raises InputError where they are another network's.

        The checkpoint of phase 1 lies beside that of phase 2, and is the caller's to delete, too.
        """
        from extractors.weights import load
        from pipeline.training.random_state import seeded
        from pipeline.training.weights_file import load_state

        examples = self.examples(material)
        with seeded(self.seed):
            network = self.build(material.classes)
        network.start_from(load(Path(self.weights)), load_state(material.start) if material.start else None)
        network.freeze_image_backbone(True)
        first = finetune(
            network,
            examples,
            self.fit,
            seed=2 * self.seed,  # the phases draw from different ones
            device=device,
            checkpoint=checkpoint.with_stem(f"{checkpoint.stem}-phase-1"),
        )
        network.freeze_image_backbone(False)
        second = finetune(
            network,
            examples,
            self.joint.after(self.fit),
            seed=2 * self.seed + 1,
            device=device,
            checkpoint=checkpoint,
        )
        return on_cpu(network.state_dict()), first.followed_by(second)
