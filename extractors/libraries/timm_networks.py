"""Image networks of timm: "timm:resnet50", or with the name of weights "timm:vit_base_patch16_clip_224.openai"."""

from pathlib import PurePosixPath
from typing import Any

from torch import nn

import extractors.backbones.torchvision_models  # noqa: F401 (or timm's own import of torchvision fails beside a CPU build)
from extractors.libraries.preprocessing import Preprocessing
from extractors.weights.source import Source
from pipeline.config import unknown
from pipeline.errors import InputError

try:
    import timm
    from timm.data.config import resolve_data_config
    from timm.models import get_pretrained_cfg, list_pretrained
except ImportError:
    raise InputError("networks of timm need the library: pip install 'kinescope[timm]'") from None

_PREFIX = "timm:"
_FILE = "model.safetensors"


def completed(name: str) -> str:
    """Return a name with that of its weights, timm's default where it has none."""
    network, metadata = _parts(name)
    return f"{_PREFIX}{network}.{metadata.tag}" if metadata.tag else f"{_PREFIX}{network}"


def source(name: str) -> Source:
    """Return where the weights of a complete name are had."""
    from huggingface_hub import hf_hub_url

    metadata = _parts(name)[1]
    if not metadata.hf_hub_id:
        raise InputError(f"{name!r}: timm knows no weights of it on the Hugging Face Hub; give a file as weights")
    file = metadata.hf_hub_id.replace("/", "--") + PurePosixPath(_FILE).suffix
    terms = metadata.license or f"see https://huggingface.co/{metadata.hf_hub_id}"
    return Source(hf_hub_url(metadata.hf_hub_id, _FILE), (file,), terms, hub=True)


def preprocessing(name: str) -> Preprocessing:
    """Return what timm makes pictures into for a network."""
    seen = resolve_data_config(pretrained_cfg=_parts(name)[1].to_dict())
    _, height, crop = seen["input_size"]
    if height != crop:
        raise InputError(f"{name!r} sees pictures of {crop}x{height} pixels; one that sees squares is needed")
    if seen["crop_mode"] not in ("center", "squash"):
        raise InputError(f"{name!r} pads pictures to a square, which no extractor does; choose another network")
    return Preprocessing(
        int(crop / seen["crop_pct"]),
        crop,
        seen["interpolation"],
        tuple(seen["mean"]),
        tuple(seen["std"]),
        squashed=seen["crop_mode"] == "squash",
    )


def image_network(name: str, channels: int) -> tuple[nn.Module, int, tuple[str, ...]]:
    """Build an image network as ``Library.image_network`` says."""
    metadata = _parts(name)[1]
    module: nn.Module = timm.create_model(
        name.removeprefix(_PREFIX), pretrained=False, num_classes=0, in_chans=channels
    )
    dim: Any = getattr(module, "head_hidden_size", None) or module.num_features
    heads = metadata.classifier or ()
    return module, int(dim), tuple(f"{each}." for each in ((heads,) if isinstance(heads, str) else heads))


def all_names() -> list[str]:
    """Return the complete names of all networks with weights on the Hugging Face Hub."""
    metadata = ((each, get_pretrained_cfg(each)) for each in list_pretrained())
    return [f"{_PREFIX}{each}" for each, known in metadata if known is not None and known.hf_hub_id]


def _parts(name: str) -> tuple[str, Any]:
    """Split a name into a network and the metadata of its weights."""
    given = name.removeprefix(_PREFIX).rstrip(".")
    network, _, tag = given.partition(".")
    if not timm.is_model(network):
        raise InputError(unknown("network of timm", network, timm.list_models()))
    if tag and f"{network}.{tag}" not in list_pretrained(f"{network}.*"):
        known = [each.partition(".")[2] for each in list_pretrained(f"{network}.*")]
        raise InputError(unknown(f"weights of {network}", tag, known))
    return network, get_pretrained_cfg(given)
