"""Wang et al., *Temporal Segment Networks* (ECCV 2016): the scores of a video are the mean over its snippets'.

The rates' multipliers are those of its public code: where flow's first convolution starts from the mean of kernels for
colours, its weights learn 5 and its biases 10 times as fast; all other biases learn twice as fast. Neither biases nor
batch normalisation decay.
"""

from collections.abc import Mapping
from typing import Any, Self

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from extractors.backbones.normalisation import Normalise
from extractors.backbones.registry import BACKBONES
from extractors.snippets.modality import SNIPPETS, Modality
from extractors.weights import across_modalities, adapt
from pipeline.training.losses import loss


class TSNNetwork(nn.Module):
    """Snippets (batch, segment, height, width, channel) uint8 -> scores before the softmax (batch, class).

    partial_bn: all batch normalisation but the first layer's keeps its statistics and weights.
    The classifier starts from torch's global generator.
    """

    def __init__(self, backbone: str, modality: Modality, classes: int, *, dropout: float, partial_bn: bool) -> None:
        super().__init__()
        self.backbone = BACKBONES[backbone](channels=SNIPPETS[modality].channels)
        self.normalise = Normalise(self.backbone.normalisation, modality)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(self.backbone.dim, classes)
        nn.init.normal_(self.head.weight, std=0.001)
        nn.init.zeros_(self.head.bias)
        self.first_multiplier = 5 if modality == "flow" else 1
        self.partial_bn = partial_bn
        for layer in self.frozen():
            layer.requires_grad_(False)

    def start_from(self, state: Mapping[str, Tensor]) -> Self:
        """With the backbone's weights, under the keys of any known project, of this or of the RGB modality.

        Raises InputError where they are another network's.
        """
        self.backbone.load_state_dict(adapt(across_modalities(state, self.backbone), self.backbone))
        return self

    def forward(self, snippets: Tensor, lengths: Tensor) -> Tensor:
        """Every video has the same number of segments: the lengths add nothing."""
        return self.consensus(self.backbone.pooled(self.normalise(snippets.flatten(0, 1))), len(snippets))

    def consensus(self, pooled: Tensor, videos: int) -> Tensor:
        """Features of so many videos' snippets (videos·segment, dim) -> the mean of their scores (videos, class)."""
        scores: Tensor = self.head(self.drop(pooled)).unflatten(0, (videos, -1))
        return scores.float().mean(dim=1)

    def loss(self, snippets: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss of the videos' scores, and the scores; targets as ``pipeline.training.losses`` takes them."""
        scores = self(snippets, lengths)
        return loss(scores, targets), scores

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for layer in self.frozen():
            layer.eval()
        return self

    def parameter_groups(self) -> list[dict[str, Any]]:
        """As ``pipeline.training.loop`` takes them."""
        first = self.backbone.get_submodule(self.backbone.first.removesuffix(".weight"))
        normalised = [weight for layer in self._normalising() for weight in layer.parameters()]
        apart = {id(weight) for weight in (*normalised, *first.parameters())}
        others = [weight for weight in self.parameters() if id(weight) not in apart]
        groups: list[dict[str, Any]] = [
            {"params": [first.weight], "lr_multiplier": self.first_multiplier},
            {"params": [weight for weight in others if weight.ndim > 1]},
            {"params": [weight for weight in others if weight.ndim == 1], "lr_multiplier": 2, "decay": False},
            {"params": normalised, "decay": False},
        ]
        if first.bias is not None:
            groups.append({"params": [first.bias], "lr_multiplier": 2 * self.first_multiplier, "decay": False})
        return groups

    def _normalising(self) -> list[nn.Module]:
        return [layer for layer in self.modules() if isinstance(layer, _BatchNorm)]

    def frozen(self) -> list[nn.Module]:
        """The layers that partial batch normalisation leaves as they are."""
        return self._normalising()[1:] if self.partial_bn else []
