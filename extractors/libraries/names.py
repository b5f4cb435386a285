"""Names of networks of other libraries: "<library>:<network>", or "<library>:<network>.<weights>"."""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from extractors.libraries.preprocessing import Preprocessing
from extractors.weights.source import Source

if TYPE_CHECKING:
    from torch import nn

LIBRARIES = {
    "torchvision": "extractors.libraries.torchvision_networks",
    "timm": "extractors.libraries.timm_networks",
}
"""Module of each library by the prefix of its names. It is imported with the first such name, as it loads torch."""


class Library(Protocol):
    """What a library's module offers; a name that the library does not have is an InputError."""

    def completed(self, name: str) -> str:
        """Return the name with that of the weights, by default those that the library takes by default."""

    def source(self, name: str) -> Source:
        """Return where the weights of a complete name are had."""

    def preprocessing(self, name: str) -> Preprocessing:
        """Return what pictures are made into before an image network of a complete name sees them."""

    def all_names(self) -> list[str]:
        """Return the complete names of all networks with weights."""

    def image_network(self, name: str, channels: int) -> "tuple[nn.Module, int, tuple[str, ...]]":
        """Build an image network with random weights, whose last layer does nothing.

        Parameters
        ----------
        name : str
            Complete.
        channels : int
            Channels of its input.

        Returns
        -------
        network : Module
            From images (batch, channels, crop, crop) to features (batch, dim).
        dim : int
        heads : tuple of str
            Prefixes of the keys that its weights have for classifiers, and it has not.
        """


def library_of(name: str) -> Library | None:
    """Return the library that a name belongs to; None where it is no such name."""
    prefix, colon, _ = name.partition(":")
    return cast(Library, import_module(LIBRARIES[prefix])) if colon and prefix in LIBRARIES else None


@cache  # which every fingerprint asks for
def preprocessing_of(name: str) -> Preprocessing | None:
    """Return what a library says of pictures for one of its networks; None where the name is no library's."""
    library = library_of(name)
    return None if library is None else library.preprocessing(name)


def significant(name: str) -> dict[str, Any]:
    """Return what enters a fingerprint of a library's network besides its name; nothing where it is no library's."""
    seen = preprocessing_of(name)
    return {} if seen is None else {"preprocessing": list(seen)}
