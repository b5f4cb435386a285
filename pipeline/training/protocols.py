"""What the training loop asks of a network."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor


class Network(Protocol):
    """A ``torch.nn.Module`` with a loss.

    ``forward(inputs, lengths) -> scores``: (batch, time, ...) padded with zeros, (batch,) int64 -> (batch, class).
    ``parameter_groups() -> [{params, lr_multiplier, decay}]`` is optional; without it all parameters that require
    a gradient are trained at the same rate and decay.
    """

    __call__: Callable[..., Any]

    def loss(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Scalar mean over the batch, and scores (batch, class); padded labels of frames are ``IGNORED``."""

    def train(self, mode: bool = True) -> Any: ...
    def eval(self) -> Any: ...
    def to(self, device: Any, /) -> Any: ...
    def parameters(self) -> Iterator[torch.nn.Parameter]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> Any: ...
