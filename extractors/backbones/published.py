"""Image networks of other libraries as backbones."""

import torch
from torch import Tensor, nn

from extractors.backbones.normalisation import Normalisation
from extractors.libraries.names import Library
from pipeline.errors import InputError


class PublishedBackbone(nn.Module):
    """An image network of another library, which gives the features that its classifier sees.

    Parameters
    ----------
    library : Library
    name : str
        Complete name of the network and its weights.
    channels : int
        Channels of the input; where they are not three the first convolution is drawn anew for them.

    Attributes
    ----------
    dim : int
        Number of features of an image.
    """

    renames: tuple[tuple[str, str], ...] = (
        (
            r"^(features\.denseblock\d+\.denselayer\d+\.(?:norm|relu|conv))\.([12]\.)",
            r"\1\2",
        ),  # of torchvision's DenseNet
        (r"^(?!network\.)", "network."),
    )

    def __init__(self, library: Library, name: str, channels: int = 3) -> None:
        super().__init__()
        self.network, self.dim, heads = library.image_network(name, channels)
        self.head = tuple(f"network.{each}" for each in heads)
        seen = library.preprocessing(name)
        flow = sum(seen.mean) / 3, sum(seen.std) / 3
        self.normalisation = Normalisation(1, False, seen.mean, seen.std, *flow)
        first = next((key for key, layer in self.named_modules() if isinstance(layer, nn.Conv2d)), None)
        if first is None:
            raise InputError(f"{name} does not begin with a convolution; a network that does is needed")
        self.first = f"{first}.weight"

    def pooled(self, images: Tensor) -> Tensor:
        """Compute the features (batch, dim) of images (batch, channels, height, width)."""
        features: Tensor = self.network(images)
        return features.flatten(1)

    def check_crop(self, side: int) -> None:
        """Raise InputError where the network, on the meta device, does not take pictures of a side's length."""
        channels = self.get_parameter(self.first).shape[1]
        try:
            self.eval().pooled(torch.empty(1, channels, side, side, device="meta"))
        except (AssertionError, RuntimeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"a crop of {side} pixels does not suit the network ({reason}): leave crop out") from None
