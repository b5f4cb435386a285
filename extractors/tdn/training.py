"""Training of a temporal difference network on the training videos, in two phases."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from extractors.base import Labelled
from extractors.snippets.finetune import finetune, on_cpu
from extractors.snippets.finetuning import Finetuning
from extractors.tsn.training import FittedTSN
from pipeline.config import Config, Count, Positive

if TYPE_CHECKING:
    import torch

    from extractors.tdn.network import TDNNetwork
    from pipeline.training.curves import Curves


class JointFinetuning(Config):
    """Schedule of phase 2, in which the whole network learns; everything else is as in phase 1."""

    epochs: Count | None = Field(None, description="length of phase 2 in epochs")
    iterations: Count | None = Field(None, description="length of phase 2 in iterations instead")
    lr: Positive | None = Field(
        None, description="initial learning rate; None continues at the rate with which phase 1 ends by its schedule"
    )
    milestones: tuple[Count, ...] = Field(
        (), description="epochs or iterations within phase 2 where the rate is multiplied by gamma"
    )

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        self.after(Finetuning(epochs=1))
        return self

    def after(self, first: Finetuning) -> Finetuning:
        """Complete phase 2 by what phase 1 says. Raise ValueError where its schedule is not valid."""
        bound = first.iterations or first.epochs or 0
        last = first.lr * first.gamma ** sum(milestone < bound for milestone in first.milestones)
        schedule = self.model_dump() | {"lr": self.lr or last}
        return Finetuning.model_validate(first.model_dump() | schedule)


class FittedTDN(FittedTSN):
    """Both subnetworks of a temporal difference network and their classifiers, trained on the training videos.

    Notes
    -----
    In phase 1 (``fit``) the image subnetwork's backbone is frozen, and its classifier and the whole difference
    subnetwork learn; in phase 2 (``joint``) everything does. The loss is the sum of both subnetworks' (the paper does
    not say). Both backbones start from ``weights``, or that of images from a temporal segment network that was trained
    before.

    An example is drawn as one of a temporal segment network. The trained state dict has the keys of that network below
    ``image.`` and ``difference.``.

    References
    ----------
    Ng and Davis, *Temporal Difference Networks for Video Action Recognition* (WACV 2018), section 4.1.
    """

    layers: str = Field(
        description="the last place where differences are added, one of extractors.tdn.difference_places"
    )
    conv1_at: Literal["56", "112"] = Field(
        description="add the differences of conv1 after its pooling (56) or before it (112): pixels in ResNet-50"
    )
    joint: JointFinetuning = Field(description="phase 2")

    def build(self, classes: int) -> "TDNNetwork":
        """Make the network; its classifiers are initialised from torch's global generator."""
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
        """Train in two phases from ``weights``, which must be the path of a file.

        The checkpoint of phase 1 lies beside that of phase 2, and is the caller's to delete, too.

        Raises
        ------
        InputError
            Where the weights are another network's, or no training video holds a snippet.
        """
        from extractors.weights.state_dicts import load
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
            loaders=material.preparers,
        )
        network.freeze_image_backbone(False)
        second = finetune(
            network,
            examples,
            self.joint.after(self.fit),
            seed=2 * self.seed + 1,
            device=device,
            checkpoint=checkpoint,
            loaders=material.preparers,
        )
        return on_cpu(network.state_dict()), first.followed_by(second)
