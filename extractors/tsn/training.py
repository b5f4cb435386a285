"""Fine-tuning of a temporal segment network on the training videos."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from extractors.base import FittedNetwork, Labelled
from extractors.libraries.names import significant as preprocessing_significant
from extractors.snippets.finetune import finetune, on_cpu
from extractors.snippets.finetuning import Finetuning
from extractors.snippets.modality import Modality
from pipeline.config import File, Size

if TYPE_CHECKING:
    import torch

    from extractors.snippets.training_data import TrainingSnippets
    from pipeline.training.curves import Curves


class FittedTSN(FittedNetwork):
    """A backbone and a classifier, fine-tuned on snippets of the training videos.

    Notes
    -----
    Snippets are read from rows of ``frames`` ("rgb", "rgb_diff") or of ``tvl1`` ("flow"). The trained state dict has
    the keys ``backbone.*`` of the backbone network, ``head.weight (class, dim)`` and ``head.bias (class,)``.

    References
    ----------
    Wang et al., *Temporal Segment Networks* (ECCV 2016), section 3.2.
    """

    uses_gpu: ClassVar[bool] = True

    modality: Modality = Field(description="what snippets are made of")
    backbone: str = Field(description="image network, as extractors.backbones.registry.backbone takes it")
    weights: File = Field(description="file of pretrained weights, or a known name")
    crop: Size = Field(description="side of the network's input in pixels")
    fit: Finetuning = Field(description="schedule, regularisation and augmentation")

    def significant(self, digest: Callable[[str], str]) -> dict[str, Any]:
        """Return what enters a fingerprint: of a library's network what its pictures are made into, too."""
        return super().significant(digest) | preprocessing_significant(self.backbone)

    def check_files(self) -> None:
        import torch

        from extractors.backbones.registry import backbone
        from extractors.snippets.modality import SNIPPETS
        from extractors.weights.state_dicts import across_modalities, adapt, load

        with torch.device("meta"):
            network = backbone(self.backbone, SNIPPETS[self.modality].channels)
        adapt(across_modalities(load(Path(self.weights)), network), network)

    def examples(self, material: Labelled) -> "TrainingSnippets":
        """Return the snippets of the training videos, which are drawn anew at each reading."""
        from extractors.snippets.training_data import TrainingSnippets

        return TrainingSnippets(material, modality=self.modality, crop=self.crop, fit=self.fit)

    def train(self, material: Labelled, *, device: str, checkpoint: Path) -> "tuple[dict[str, torch.Tensor], Curves]":
        """Fine-tune the network from the file that the field ``weights`` names; return its state and training curves.

        Raises
        ------
        InputError
            If the weights are another network's, or no training video is long enough for a snippet.
        """
        from extractors.tsn.network import TSNNetwork
        from extractors.weights.state_dicts import load
        from pipeline.training.random_state import seeded

        examples = self.examples(material)
        with seeded(self.seed):
            network = TSNNetwork(
                self.backbone,
                self.modality,
                material.classes,
                dropout=self.fit.dropout,
                partial_bn=self.fit.partial_bn,
            ).start_from(load(Path(self.weights)))
        curves = finetune(
            network,
            examples,
            self.fit,
            seed=self.seed,
            device=device,
            checkpoint=checkpoint,
            loaders=material.preparers,
        )
        return on_cpu(network.state_dict()), curves
