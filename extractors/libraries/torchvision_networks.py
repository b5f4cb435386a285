"""Networks of torchvision: "torchvision:resnet18", or with the name of weights "torchvision:resnet18.IMAGENET1K_V1"."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from extractors.backbones.torchvision_models import models
from extractors.libraries.layers import classifier, width, with_channels
from extractors.libraries.preprocessing import Preprocessing
from extractors.weights.source import Source
from pipeline.config import unknown
from pipeline.errors import InputError
from pipeline.files.download import digits_in

_PREFIX = "torchvision:"
_TERMS = "BSD-3-Clause, as torchvision; the training data's terms may hold, too"
_OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "transform_input": True, "init_weights": False},
    "inception_v3": {"aux_logits": False, "transform_input": True, "init_weights": False},
}
"""Options with which torchvision builds a network for its weights; auxiliary classifiers are for training alone."""
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")


def completed(name: str) -> str:
    """Return a name with that of its weights, torchvision's default where it has none."""
    network, given = _parts(name)
    return f"{_PREFIX}{network}.{given.name}"


def source(name: str) -> Source:
    """Return where the weights of a complete name are had."""
    weights = _parts(name, complete=True)[1]
    file = weights.url.rpartition("/")[2]
    return Source(weights.url, (file,), weights.meta.get("license", _TERMS), digits_in(weights.url))


def preprocessing(name: str) -> Preprocessing:
    """Return what torchvision makes pictures into for an image network."""
    network, weights = _parts(name)
    if network in models.list_models(module=models.video):
        raise InputError(f"{network} sees clips, not pictures: use it in the extractor clip3d")
    seen = weights.transforms()
    return Preprocessing(
        seen.resize_size[0], seen.crop_size[0], seen.interpolation.value, tuple(seen.mean), tuple(seen.std)
    )


def image_network(name: str, channels: int) -> tuple[nn.Module, int, tuple[str, ...]]:
    """Build an image network as ``Library.image_network`` says."""
    network = built(name)
    last, layer = classifier(network)
    network.set_submodule(last, nn.Identity())
    with_channels(network, channels)
    if channels != 3 and hasattr(network, "transform_input"):  # it is for three colours
        setattr(network, "transform_input", False)  # noqa: B010 (a module's attributes have no types)
    return network, width(layer), (f"{last}.", *_AUXILIARY)


def built(name: str) -> nn.Module:
    """Build a network as it is for weights of a complete name, with random weights."""
    network, weights = _parts(name)
    options = dict(_OPTIONS.get(network, {}))
    if network.startswith("vit_"):
        options["image_size"] = weights.transforms().crop_size[0]
    with _sizes_on_cpu():
        module: nn.Module = models.get_model(network, num_classes=len(weights.meta["categories"]), **options)
    if isinstance(module, models.MNASNet):  # its own loading asks for a version that only pickled state dicts carry
        module._load_from_state_dict = partial(nn.Module._load_from_state_dict, module)  # type: ignore[method-assign]
    return module


@contextmanager
def _sizes_on_cpu() -> Iterator[None]:
    """Have RegNet compute its sizes on the CPU: it does so with tensors, which on the meta device have no values."""
    compute = models.regnet.BlockParams.from_init_params

    def on_cpu(*sizes: Any, **named: Any) -> Any:
        with torch.device("cpu"):
            return compute(*sizes, **named)

    with patch.object(models.regnet.BlockParams, "from_init_params", on_cpu):
        yield


def all_names() -> list[str]:
    """Return the complete names of all classification networks, of images and of videos, with all of their weights."""
    networks = [*models.list_models(module=models), *models.list_models(module=models.video)]
    return [
        f"{_PREFIX}{network}.{weights.name}"
        for network in networks
        for weights in models.get_model_weights(network)
        if weights.meta["categories"]
    ]


def _parts(name: str, *, complete: bool = False) -> tuple[str, Any]:
    """Split a name into a network and its weights, by default torchvision's default."""
    network, _, tag = name.removeprefix(_PREFIX).rstrip(".").partition(".")
    known = [*models.list_models(module=models), *models.list_models(module=models.video)]
    if network not in known:
        raise InputError(unknown("network of torchvision", network, known))
    weights = models.get_model_weights(network)
    usable = [each.name for each in weights if each.meta["categories"]]  # others lack values in their classifiers
    if complete and not tag:
        raise InputError(f"{name!r} names no weights; {_PREFIX}{network}.{weights.DEFAULT.name} does")
    if tag and tag not in usable:
        raise InputError(unknown(f"weights of {network}", tag, usable))
    return network, weights[tag] if tag else weights.DEFAULT
