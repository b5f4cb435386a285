"""How a temporal segment network is fine-tuned on the training videos."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from extractors.base import FittedNetwork, Labelled
from extractors.snippets.finetune import finetune, on_cpu
from extractors.snippets.finetuning import Finetuning
from extractors.snippets.modality import Modality
from pipeline.config import File

if TYPE_CHECKING:
    import torch

    from extractors.snippets.training_data import TrainingSnippets
    from pipeline.training.curves import Curves


class FittedTSN(FittedNetwork):
    """A backbone's weights and a classifier, fine-tuned on snippets of the training videos.

    They come from rows of ``frames`` ("rgb", "rgb_diff") or of ``tvl1`` ("flow"). The trained state dict has the keys
    ``backbone.*`` of the backbone network, ``head.weight (class, dim)`` and ``head.bias (class,)``.
    """

    modality: Modality
    backbone: str = Field(description="a name in extractors.backbones.registry")
    weights: File
    crop: PositiveInt = Field(description="pixels, the side of the network's input")
    fit: Finetuning

    def examples(self, material: Labelled) -> "TrainingSnippets":
        """Snippets of the training videos, drawn anew at each reading."""
        from extractors.snippets.training_data import TrainingSnippets

        return TrainingSnippets(material, modality=self.modality, crop=self.crop, fit=self.fit)

    def train(self, material: Labelled, *, device: str, checkpoint: Path) -> "tuple[dict[str, torch.Tensor], Curves]":
        """``weights`` must be the path of a file. Raises InputError where they are another network's."""
        from extractors.tsn.network import TSNNetwork
        from extractors.weights import load
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
        curves = finetune(network, examples, self.fit, seed=self.seed, device=device, checkpoint=checkpoint)
        return on_cpu(network.state_dict()), curves
