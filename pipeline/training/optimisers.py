"""What ``pipeline.training.loop`` steps with: optimisers, the parameters they are given, and the rate."""

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
    """The optimiser's groups: parameters that require a gradient, their rate's multiplier and decay."""
    asked = getattr(network, "parameter_groups", None)
    given: list[dict[str, Any]] = asked() if asked else [{"params": network.parameters()}]
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
    """The rate after ``done`` units (epochs or iterations, whichever bounds the training)."""
    return config.lr * config.gamma ** sum(milestone <= done for milestone in config.milestones)
