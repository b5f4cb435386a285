"""Build optimisers, their parameter groups and the learning rate for ``pipeline.training.loop``."""

from collections.abc import Callable
from typing import Any

import torch

from pipeline.errors import InputError
from pipeline.training.config import Fit

OPTIMISERS: dict[str, Callable[[list[dict[str, Any]], Fit], torch.optim.Optimizer]] = {
    "sgd": lambda groups, config: torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum),
    "adam": lambda groups, config: torch.optim.Adam(groups, lr=config.lr),
    "rmsprop": lambda groups, config: torch.optim.RMSprop(groups, lr=config.lr, alpha=config.smoothing),
}


def groups(network: Any, config: Fit) -> list[dict[str, Any]]:
    """Return the optimiser's parameter groups.

    Parameters
    ----------
    network
        A module, whose ``parameter_groups`` are used where it has them.
    config
        How it is trained.

    Returns
    -------
    list of dict
        ``params`` that require a gradient, ``lr_multiplier`` of their learning rate, and ``weight_decay``.

    Raises
    ------
    InputError
        Where no parameter requires a gradient.
    """
    own_groups = getattr(network, "parameter_groups", None)
    given: list[dict[str, Any]] = own_groups() if own_groups else [{"params": network.parameters()}]
    groups = [
        {
            "params": [weight for weight in group["params"] if weight.requires_grad],
            "lr_multiplier": float(group.get("lr_multiplier", 1)),
            "weight_decay": config.weight_decay if group.get("decay", True) else 0.0,
        }
        for group in given
    ]
    if not any(group["params"] for group in groups):
        raise InputError(f"{type(network).__name__} has nothing to train: no parameter requires a gradient")
    return [group for group in groups if group["params"]]


def learning_rate(config: Fit, done: int) -> float:
    """Return the learning rate after ``done`` epochs or iterations, whichever bounds the training.

    Examples
    --------
    >>> [learning_rate(Fit(lr=1.0, epochs=30, milestones=(10, 20)), done) for done in (9, 10, 20)]
    [1.0, 0.1, 0.010000000000000002]
    """
    return config.lr * config.gamma ** sum(milestone <= done for milestone in config.milestones)
