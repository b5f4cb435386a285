"""Interface that the training loop needs of a network."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor


class Network(Protocol):
    """A ``torch.nn.Module`` with a loss.

    ``network(inputs, lengths)`` returns scores (batch, class) of inputs (batch, time, ...), padded with zeros, and
    lengths (batch,) int64. ``network.parameter_groups()``, a list of {params, lr_multiplier, decay}, is optional;
    without it all parameters that require a gradient are trained at the same rate and decay.
    """

    __call__: Callable[..., Any]

    def loss(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch and its scores.

        Parameters
        ----------
        inputs : tensor, shape (batch, time, ...)
            Padded with zeros.
        lengths : int64 tensor, shape (batch,)
            Number of time steps of each example.
        targets : tensor
            As ``pipeline.training.batches.collate`` returns them.

        Returns
        -------
        loss : tensor, a scalar
            Mean over the batch.
        scores : tensor, shape (batch, class)
        """

    def train(self, mode: bool = True) -> Any: ...
    def eval(self) -> Any: ...
    def to(self, device: Any, /) -> Any: ...
    def parameters(self) -> Iterator[torch.nn.Parameter]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> Any: ...
