"""Temporal segment network as it is trained: Wang et al., *Temporal Segment Networks* (ECCV 2016).

The multipliers of the learning rate are those of its public code: where the first convolution of flow starts from the
mean of kernels for colours, its weights learn 5 and its biases 10 times as fast; all other biases learn twice as fast.
Neither biases nor batch normalisation decay.
"""

from collections.abc import Mapping
from typing import Any, Self

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from extractors.backbones.normalisation import Normalise
from extractors.backbones.registry import backbone as image_network
from extractors.snippets.modality import SNIPPETS, Modality
from extractors.weights.state_dicts import across_modalities, adapt
from pipeline.training.losses import loss


class TSNNetwork(nn.Module):
    """A backbone and a classifier; the scores of a video are the mean over those of its snippets.

    Parameters
    ----------
    backbone : str
        As ``extractors.backbones.registry.backbone`` takes it.
    modality : Modality
    classes : int
        Outputs of the classifier, which is initialised from torch's global generator.
    dropout : float
        Share of features dropped before the classifier.
    partial_bn : bool
        Whether all batch normalisation but the first layer's keeps its statistics and weights.

    References
    ----------
    Wang et al., *Temporal Segment Networks* (ECCV 2016), section 3.
    """

    def __init__(self, backbone: str, modality: Modality, classes: int, *, dropout: float, partial_bn: bool) -> None:
        super().__init__()
        self.backbone = image_network(backbone, SNIPPETS[modality].channels)
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
        """Load the backbone's weights and return the network itself.

        Parameters
        ----------
        state : mapping of str to Tensor
            State dict under the keys of any known project, trained on this modality or on RGB.

        Raises
        ------
        InputError
            Where the weights are another network's.
        """
        self.backbone.load_state_dict(adapt(across_modalities(state, self.backbone), self.backbone))
        return self

    def forward(self, snippets: Tensor, lengths: Tensor) -> Tensor:
        """Compute the scores of videos.

        Parameters
        ----------
        snippets : Tensor of uint8, shape (batch, segment, height, width, channel)
        lengths : Tensor
            Unused: every video has the same number of segments.

        Returns
        -------
        Tensor, shape (batch, class)
            Before the softmax.
        """
        return self.consensus(self.backbone.pooled(self.normalise(snippets.flatten(0, 1))), len(snippets))

    def consensus(self, pooled: Tensor, videos: int) -> Tensor:
        """Average over snippets: features (videos·segment, dim) to the scores of the videos (videos, class)."""
        scores: Tensor = self.head(self.drop(pooled)).unflatten(0, (videos, -1))
        return scores.float().mean(dim=1)

    def loss(self, snippets: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean loss of the videos and their scores; targets as ``pipeline.training.losses`` takes them."""
        scores = self(snippets, lengths)
        return loss(scores, targets), scores

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for layer in self.frozen():
            layer.eval()
        return self

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return parameters with their learning rates and decay, as ``pipeline.training.loop`` takes them."""
        first = self.backbone.get_submodule(self.backbone.first.removesuffix(".weight"))
        normalised = [weight for layer in self._normalising() for weight in layer.parameters()]
        special = {id(weight) for weight in (*normalised, first.weight, first.bias)}
        others = [weight for weight in self.parameters() if id(weight) not in special]
        groups: list[dict[str, Any]] = [
            {"params": [first.weight], "lr_multiplier": self.first_multiplier},
            {"params": [weight for weight in others if weight.ndim > 1]},
            {"params": [weight for weight in others if weight.ndim <= 1], "lr_multiplier": 2, "decay": False},
            {"params": normalised, "decay": False},
        ]
        if first.bias is not None:
            groups.append({"params": [first.bias], "lr_multiplier": 2 * self.first_multiplier, "decay": False})
        return groups

    def _normalising(self) -> list[nn.Module]:
        return [layer for layer in self.modules() if isinstance(layer, _BatchNorm)]

    def frozen(self) -> list[nn.Module]:
        """Return the layers that partial batch normalisation leaves as they are."""
        return self._normalising()[1:] if self.partial_bn else []
