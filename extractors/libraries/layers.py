"""First and last layers of networks, whatever they are called."""

from torch import nn

from pipeline.errors import InputError


def classifier(network: nn.Module) -> tuple[str, nn.Module]:
    """Find the layer that makes the scores of a classification network: the last one that learns.

    Returns
    -------
    name : str
    layer : Module
        Linear, or a convolution where scores are pooled.
    """
    return [(name, layer) for name, layer in network.named_modules() if any(True for _ in layer.parameters(False))][-1]


def width(layer: nn.Module) -> int:
    """Return the number of features that a linear layer or a convolution reads."""
    return int(layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels)  # type: ignore[arg-type]


def first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d]:
    """Find the convolution with which a network begins, and its name. Raises InputError where there is none."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            return name, layer
    raise InputError(f"{type(network).__name__} does not begin with a convolution; a network that does is needed")


def with_channels(network: nn.Module, channels: int) -> None:
    """Have a network's first convolution read a number of channels, with random weights where it read others."""
    name, first = first_convolution(network)
    if first.in_channels == channels:
        return
    options = {
        key: getattr(first, key) for key in ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
    }
    layer = nn.Conv2d(channels, first.out_channels, bias=first.bias is not None, **options)
    network.set_submodule(name, layer)
