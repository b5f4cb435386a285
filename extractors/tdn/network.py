"""Temporal difference network: Ng and Davis, *Temporal Difference Networks for Video Action Recognition* (WACV 2018).

As in section 3, two subnetworks of one architecture process a video's snippets side by side, one the images I, one
their differences ΔI. With f the maps of the former and h those of the latter:

    h0 = ΔI;  h1 = pool(relu(bn(conv1(h0)))) + Δf1;  h2 = res2(h1) + Δf2;  h3 = res3(h2) + Δf3;
    h4 = res4(h3) + Δf4;  h5 = res5(h4), pooled and classified

Δ is the difference between a snippet's maps and those of the one before: the change at a fixed location (Eulerian
motion). It is added just before each reduction of resolution.
"""

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from extractors.backbones.stages import Part, StagedBackbone
from extractors.snippets.modality import Modality
from extractors.tdn.difference_places import LAYERS
from extractors.tsn.network import TSNNetwork
from pipeline.training.losses import loss


class TDNNetwork(nn.Module):
    """An image and a difference subnetwork; the scores of a video are the mean of both.

    Parameters
    ----------
    backbone : str
        One of the keys of ``LAYERS``.
    modality : Modality
    classes : int
        Outputs of either classifier, which are initialised from torch's global generator.
    layers : str
        The last place where differences are added, one of ``LAYERS[backbone]``.
    conv1_at : str
        "56": differences of the first convolution's maps are added after its pooling (56×56 in ResNet-50); "112":
        before it (112×112).
    dropout : float
        Share of features dropped before the classifiers.
    partial_bn : bool
        Whether all batch normalisation but each subnetwork's first keeps its statistics and weights.

    Notes
    -----
    The scores of each subnetwork are means over its snippets, or over its differences.

    References
    ----------
    Ng and Davis, *Temporal Difference Networks for Video Action Recognition* (WACV 2018), section 3.
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
        self.image_backbone_frozen = False

    def start_from(self, state: Mapping[str, Tensor], trained: Mapping[str, Tensor] | None = None) -> Self:
        """Load both backbones' weights and return the network itself.

        Parameters
        ----------
        state : mapping of str to Tensor
            A backbone's state dict under the keys of any known project.
        trained : mapping of str to Tensor, optional
            State dict of a temporal segment network, whose backbone the image subnetwork takes instead; its
            classifier is learnt anew.

        Raises
        ------
        InputError
            Where either is another network's.
        """
        of_backbone = {key: weight for key, weight in (trained or {}).items() if key.startswith("backbone.")}
        self.image.start_from(of_backbone or state)
        self.difference.start_from(state)
        return self

    def freeze_image_backbone(self, frozen: bool) -> None:
        """Freeze the image subnetwork's backbone (phase 1 of training), or let it learn (phase 2)."""
        self.image_backbone_frozen = frozen
        self.image.backbone.requires_grad_(not frozen)
        for layer in self.image.frozen():
            layer.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.image_backbone_frozen:
            self.image.backbone.eval()
        return self

    def maps(self, snippets: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the last maps of both subnetworks.

        Parameters
        ----------
        snippets : Tensor of uint8, shape (batch, segment, height, width, channel)

        Returns
        -------
        images : Tensor, shape (batch·segment, dim, h, w)
        changes : Tensor, shape (batch·(segment − 1), dim, h, w)
        """
        videos = len(snippets)
        images = self.image.normalise(snippets.flatten(0, 1))
        changes = differences(images, videos)
        learns = torch.is_grad_enabled() and not self.image_backbone_frozen
        for (name, still), moving in zip(_parts(self.image).items(), _parts(self.difference).values(), strict=True):
            with torch.set_grad_enabled(learns):
                images = still(images)
            changes = moving(changes)
            if name in self.joined:
                changes = changes + differences(images, videos)
        return images, changes

    def pooled(self, snippets: Tensor) -> tuple[Tensor, Tensor]:
        """Compute features of all images (batch·segment, dim), and of all differences (batch·(segment − 1), dim)."""
        images, changes = self.maps(snippets)
        return images.mean(dim=(2, 3)), changes.mean(dim=(2, 3))

    def branches(self, snippets: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the scores of the image and of the difference subnetwork, (batch, class) each."""
        images, changes = self.pooled(snippets)
        return self.image.consensus(images, len(snippets)), self.difference.consensus(changes, len(snippets))

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
        return torch.stack(self.branches(snippets)).mean(dim=0)

    def loss(self, snippets: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum of both subnetworks' losses, and the scores; targets as for ``pipeline.training.losses``."""
        branches = self.branches(snippets)
        return sum(loss(scores, targets) for scores in branches), torch.stack(branches).mean(dim=0)  # type: ignore[return-value]

    def activations(self, snippets: Tensor, label: int) -> tuple[Tensor, Tensor]:
        """Compute class activation maps of one video.

        Parameters
        ----------
        snippets : Tensor of uint8, shape (segment, height, width, channel)
        label : int
            The class.

        Returns
        -------
        images : Tensor, shape (segment, h, w)
        changes : Tensor, shape (segment − 1, h, w)
            The means of either are the scores of class ``label`` but for the classifier's bias.

        References
        ----------
        Zhou et al., *Learning Deep Features for Discriminative Localization* (CVPR 2016).
        """
        images, changes = self.maps(snippets[None])
        return tuple(  # type: ignore[return-value]
            torch.einsum("nchw,c->nhw", maps, branch.head.weight[label])
            for maps, branch in ((images, self.image), (changes, self.difference))
        )

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return parameters with their learning rates and decay, as ``pipeline.training.loop`` takes them."""
        return [*self.image.parameter_groups(), *self.difference.parameter_groups()]


def _parts(subnetwork: TSNNetwork) -> Mapping[str, Part]:
    assert isinstance(subnetwork.backbone, StagedBackbone)
    return subnetwork.backbone.parts


def differences(maps: Tensor, videos: int) -> Tensor:
    """Subtract from each snippet's maps those of the one before.

    Parameters
    ----------
    maps : Tensor, shape (videos·segment, ...)
    videos : int

    Returns
    -------
    Tensor, shape (videos·(segment − 1), ...)
    """
    each = maps.unflatten(0, (videos, -1))  # type: ignore[no-untyped-call]
    changes: Tensor = (each[:, 1:] - each[:, :-1]).flatten(0, 1)
    return changes
