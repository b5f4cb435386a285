"""Image networks of other libraries as backbones."""

from torch import Tensor, nn

from extractors.backbones.normalisation import Normalisation
from extractors.libraries.layers import first_convolution
from extractors.libraries.names import Library


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
        self.first = f"network.{first_convolution(self.network)[0]}.weight"

    def pooled(self, images: Tensor) -> Tensor:
        """Compute the features (batch, dim) of images (batch, channels, height, width)."""
        features: Tensor = self.network(images)
        return features.flatten(1)
