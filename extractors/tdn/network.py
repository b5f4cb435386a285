"""Ng and Davis, *Temporal Difference Networks for Video Action Recognition* (WACV 2018), section 3.

Two subnetworks of one architecture go through a video's snippets side by side, one through the images I, one through
their differences. h is what the latter has come to, f what the former has:

    h0 = ΔI;  h1 = pool(relu(bn(conv1(h0)))) + Δf1;  h2 = res2(h1) + Δf2;  h3 = res3(h2) + Δf3;
    h4 = res4(h3) + Δf4;  h5 = res5(h4), pooled and classified

Δ is a snippet's less the one's before it: the change at a place, with its location fixed (Eulerian motion). It is
joined just before each reduction of resolution.
"""

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from extractors.backbones.stages import Part, StagedBackbone
from extractors.snippets.modality import Modality
from extractors.tdn.layers import LAYERS
from extractors.tsn.network import TSNNetwork
from pipeline.training.losses import loss


class TDNNetwork(nn.Module):
    """Snippets (batch, segment, height, width, channel) uint8 -> scores before the softmax (batch, class).

    layers: the last place where differences are joined, one of ``LAYERS``; conv1_at: whether those of the first
    convolution are joined after its pooling (maps of 56×56 in ResNet-50), or before it (112×112).
    Each subnetwork's scores are means over its snippets, or differences; the video's are the mean of both.
    The classifiers start from torch's global generator.
    """

    def __init__(
        self,
        backbone: str,
        modality: Modality,
        classes: int,
        *,
        layers: str,
        conv1_at: str,
        dropout: float,
        partial_bn: bool,
    ) -> None:
        super().__init__()
        self.image = TSNNetwork(backbone, modality, classes, dropout=dropout, partial_bn=partial_bn)
        self.difference = TSNNetwork(backbone, modality, classes, dropout=dropout, partial_bn=partial_bn)
        places = LAYERS[backbone][1 : LAYERS[backbone].index(layers) + 1]
        first = {"56": "pool", "112": "stem"}[conv1_at]
        self.joined = frozenset(first if place == "conv1" else place for place in places)
        """Parts of the backbone after which a difference is added."""
        self.holds_images = False

    def start_from(self, state: Mapping[str, Tensor], trained: Mapping[str, Tensor] | None = None) -> Self:
        """With both backbones' weights, under the keys of any known project; trained: a temporal segment network's.

        That one gives the image subnetwork its backbone; its classifier is learnt anew. Raises InputError where
        either is another network's.
        """
        of_backbone = {key: weight for key, weight in (trained or {}).items() if key.startswith("backbone.")}
        self.image.start_from(of_backbone or state)
        self.difference.start_from(state)
        return self

    def freeze_image_backbone(self, held: bool) -> None:
        """Whether the image subnetwork's backbone stays as it is (phase 1), or learns (phase 2)."""
        self.holds_images = held
        self.image.backbone.requires_grad_(not held)
        for layer in self.image.frozen():
            layer.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.holds_images:
            self.image.backbone.eval()
        return self

    def maps(self, snippets: Tensor) -> tuple[Tensor, Tensor]:
        """The last maps of both, (batch·segment, dim, h, w) and (batch·(segment − 1), dim, h, w)."""
        videos = len(snippets)
        images = self.image.normalise(snippets.flatten(0, 1))
        changes = differences(images, videos)
        learns = torch.is_grad_enabled() and not self.holds_images
        for (name, still), moving in zip(_parts(self.image).items(), _parts(self.difference).values(), strict=True):
            with torch.set_grad_enabled(learns):
                images = still(images)
            changes = moving(changes)
            if name in self.joined:
                changes = changes + differences(images, videos)
        return images, changes

    def pooled(self, snippets: Tensor) -> tuple[Tensor, Tensor]:
        """Features of all images (batch·segment, dim), and of all differences (batch·(segment − 1), dim)."""
        images, changes = self.maps(snippets)
        return images.mean(dim=(2, 3)), changes.mean(dim=(2, 3))

    def branches(self, snippets: Tensor) -> tuple[Tensor, Tensor]:
        """The scores of each subnetwork, (batch, class) both."""
        images, changes = self.pooled(snippets)
        return self.image.consensus(images, len(snippets)), self.difference.consensus(changes, len(snippets))

    def forward(self, snippets: Tensor, lengths: Tensor) -> Tensor:
        """Every video has the same number of segments: the lengths add nothing."""
        return torch.stack(self.branches(snippets)).mean(dim=0)

    def loss(self, snippets: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of both subnetworks' mean losses, and the scores; ``targets`` as for ``pipeline.training.losses``."""
        branches = self.branches(snippets)
        return sum(loss(scores, targets) for scores in branches), torch.stack(branches).mean(dim=0)  # type: ignore[return-value]

    def activations(self, snippets: Tensor, label: int) -> tuple[Tensor, Tensor]:
        """Class activation maps of one video's snippets (segment, height, width, channel).

        Of each image (segment, h, w), and of each difference (segment − 1, h, w): their means are the scores of class
        ``label`` but for the classifier's bias (Zhou et al., *Learning Deep Features for Discriminative Localization*,
        CVPR 2016).
        """
        images, changes = self.maps(snippets[None])
        return tuple(  # type: ignore[return-value]
            torch.einsum("nchw,c->nhw", maps, branch.head.weight[label])
            for maps, branch in ((images, self.image), (changes, self.difference))
        )

    def parameter_groups(self) -> list[dict[str, Any]]:
        """As ``pipeline.training.loop`` takes them."""
        return [*self.image.parameter_groups(), *self.difference.parameter_groups()]


def _parts(subnetwork: TSNNetwork) -> Mapping[str, Part]:
    assert isinstance(subnetwork.backbone, StagedBackbone)
    return subnetwork.backbone.parts


def differences(maps: Tensor, videos: int) -> Tensor:
    """Of so many videos' snippets (videos·segment, ...), each less the one before: (videos·(segment − 1), ...)."""
    each = maps.unflatten(0, (videos, -1))  # type: ignore[no-untyped-call]
    changes: Tensor = (each[:, 1:] - each[:, :-1]).flatten(0, 1)
    return changes
