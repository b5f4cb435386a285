"""Loads and adapts pretrained weights: from a file to a state dict with a network's own keys."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import InputError, lack_of_memory
from pipeline.files.user_input import brief

if TYPE_CHECKING:
    from torch import Tensor

CHECKPOINT_KEYS = ("state_dict", "model_state_dict", "model", "net")
"""Keys under which training checkpoints hold a state dict, or another checkpoint."""
MAX_NESTING = 8
"""Largest number of checkpoints inside each other; a file's may hold itself."""

WRAPPERS = re.compile(r"^((module|_orig_mod|model|net|backbone|base_model)\.)+")
"""Prefixes that data-parallel training, compilation and other projects put before every key of the network itself."""

FOREIGN = re.compile(r"GLOBAL ([\w.]+)")
"""Object of another program, as torch's error names it."""

UNPICKLER = "WeightsUnpickler error:"
"""Words after which torch's error gives the reason; those before are advice."""


class Loadable(Protocol):
    """A network that weights of other projects can be adapted to.

    Attributes
    ----------
    head : str or tuple of str
        Prefix of its classifier's keys, or the prefixes where weights have several classifiers.
    renames : tuple of (str, str)
        Regular expressions and their replacements, applied in turn to each key of other projects' layouts.
    """

    @property
    def head(self) -> str | tuple[str, ...]: ...
    @property
    def renames(self) -> tuple[tuple[str, str], ...]: ...
    def state_dict(self) -> "Mapping[str, Tensor]": ...


class ImageNetwork(Loadable, Protocol):
    """A network whose first convolution, under the key ``first``, looks at the channels of an image."""

    @property
    def first(self) -> str: ...


def load(path: Path) -> "dict[str, Tensor]":
    """Load the state dict of a safetensors file or a torch file on the CPU; code in the file is never run.

    Parameters
    ----------
    path : Path
        A torch file may hold the state dict itself, or training checkpoints around it: see ``CHECKPOINT_KEYS``.

    Raises
    ------
    InputError
        Where it is neither.
    """
    content = _content(path)
    for _ in range(MAX_NESTING):
        content = _opened(content)
    if not isinstance(content, Mapping) or not content:
        raise InputError(f"{path} holds no state dict; a mapping of names to tensors is needed")
    for key, value in content.items():
        if not isinstance(key, str):
            raise InputError(f"{path} holds no state dict: {brief(key)} is no name; names with tensors are needed")
        if not _is_plain(value):
            raise InputError(f"{path} holds no state dict: {brief(key)} is no dense tensor of real numbers")
    return dict(content)


def adapt(state: "Mapping[str, Tensor]", network: Loadable) -> "dict[str, Tensor]":
    """Adapt a state dict to a network's own keys, ready for ``load_state_dict``.

    Parameters
    ----------
    state : mapping of str to Tensor
        Under the keys of any known project.
    network : Loadable

    Returns
    -------
    dict of str to Tensor
        Complete and of the right shapes.

    Raises
    ------
    InputError
        Where the weights are another network's; it names the first keys that are missing, left over or of another
        shape.

    Notes
    -----
    Wrappers' prefixes are removed, batch normalisation's tensors of shape (1, C) become (C,), and a classifier is left
    out where the network has none.
    """
    expected = network.state_dict()
    has_head = any(key.startswith(network.head) for key in expected)
    renamed = {_renamed(key, network.renames): tensor for key, tensor in state.items()}
    if len(renamed) < len(state):
        raise InputError(f"{len(state)} tensors have only {len(renamed)} names: the file holds more than one network")
    given = {
        key: tensor.reshape(tensor.shape[1:]) if _is_squeezable(tensor, expected.get(key)) else tensor
        for key, tensor in renamed.items()
        if has_head or not key.startswith(network.head)
    }
    for key in expected:
        if key.endswith("num_batches_tracked"):  # counts training steps: older files lack it, and nothing here reads it
            given.setdefault(key, expected[key].new_zeros((), device="cpu"))
    _check(given, expected, type(network).__name__)
    return {key: given[key] for key in expected}


def across_modalities(state: "Mapping[str, Tensor]", network: ImageNetwork) -> "dict[str, Tensor]":
    """Convert weights of RGB to a network of another modality, from which its training starts.

    Parameters
    ----------
    state : mapping of str to Tensor
        Under the keys of any known project.
    network : ImageNetwork

    Returns
    -------
    dict of str to Tensor
        Ready for ``adapt``. The mean over the three kernels of each filter of the first convolution is repeated for
        every channel of the network's input; weights for any other number of channels are left as they are.

    References
    ----------
    Wang et al., *Temporal Segment Networks* (ECCV 2016), section 3.2.
    """
    channels, first = _channels(network), _of_rgb_alone(state, network)
    return {
        key: kernels.mean(dim=1, keepdim=True).repeat(1, channels, 1, 1) if key in first else kernels
        for key, kernels in state.items()
    }


def check_modality(state: "Mapping[str, Tensor]", network: ImageNetwork) -> None:
    """Raise InputError where weights of RGB are to be used as they are by a network of another modality."""
    if _of_rgb_alone(state, network):
        raise InputError(
            f"these are weights of RGB, and the network's input has {_channels(network)} channels: add network.fit, by "
            "which they are fine-tuned, or give weights of its modality"
        )


def _channels(network: ImageNetwork) -> int:
    return network.state_dict()[network.first].shape[1]


def _of_rgb_alone(state: "Mapping[str, Tensor]", network: ImageNetwork) -> list[str]:
    """Return the key of the first convolution where its kernels are of three colours and the network's are not."""
    first = [key for key in state if _renamed(key, network.renames) == network.first]
    return [key for key in first if state[key].ndim == 4 and state[key].shape[1] == 3 != _channels(network)]


def _opened(content: Any) -> Any:
    """Return what a training checkpoint holds the network in; anything else as it is."""
    held = (content.get(key) for key in CHECKPOINT_KEYS) if isinstance(content, Mapping) else ()
    return next((inner for inner in held if isinstance(inner, Mapping)), content)


def _content(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise InputError(f"{path} is not a complete safetensors file ({error}); download it again") from None
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # bytes that are no pickle may end the reading of one in any way
        if lack_of_memory(error):
            raise
        raise InputError(f"{path} does not load as plain tensors: {_reason(str(error))}") from None


def _reason(error: str) -> str:
    """Say what to do about an error of torch, whose own advice is to run the code in the file."""
    if foreign := FOREIGN.search(error):
        return (
            f"it holds an object of the program that wrote it, {foreign[1]}; save it anew there as a state dict, by"
            " torch.save(network.state_dict(), …) or safetensors.torch.save_file"
        )
    said = re.split(r"\.\s|\n", error.rpartition(UNPICKLER)[2].strip())[0]
    if "corrupt" in error or not re.search("[a-z]", said):
        return "it is no file of weights, or cut off; download it again"
    return f"{said}; a safetensors file, or a torch file that holds nothing but a state dict, is needed"


def _is_plain(value: Any) -> bool:
    import torch

    plain = isinstance(value, torch.Tensor) and value.layout == torch.strided and value.device.type == "cpu"
    return plain and not value.is_complex() and not value.is_quantized


def _renamed(key: str, renames: tuple[tuple[str, str], ...]) -> str:
    """Remove wrappers' prefixes from a key and rename it to the network's own."""
    key = WRAPPERS.sub("", key)
    for pattern, replacement in renames:
        key = re.sub(pattern, replacement, key)
    return key


def _is_squeezable(tensor: "Tensor", expected: "Tensor | None") -> bool:
    return expected is not None and expected.ndim == 1 and tuple(tensor.shape) == (1, *expected.shape)


def _check(given: "Mapping[str, Tensor]", expected: "Mapping[str, Tensor]", network: str) -> None:
    """Raise InputError where keys or shapes differ."""
    shapes = (
        f"{key} {tuple(given[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected
        if key in given and given[key].shape != expected[key].shape
    )
    faults = {
        "missing": [key for key in expected if key not in given],
        "left over": [key for key in given if key not in expected],
        "of another shape": list(shapes),
    }
    named = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', …' * (len(keys) > 3)})" for what, keys in faults.items() if keys
    ]
    if named:
        raise InputError(f"these are not weights of {network}: of its {len(expected)} tensors {'; '.join(named)}")
