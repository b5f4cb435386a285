"""Build optimisers, their parameter groups and the learning rate for ``pipeline.training.loop``."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from pipeline.errors import InputError
from pipeline.training.config import Fit

Kind = TypeVar("Kind", bound=torch.optim.Optimizer)

_HOOKED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def _without_compiler(kind: type[Kind]) -> type[Kind]:
    """Return an optimiser that leaves out what torch wraps its methods in for ``torch.compile``, and computes the same.

    The wrappers import the compiler, which takes three seconds in every process that trains, and nothing is compiled.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _HOOKED}
    plain: type[Kind] = type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(inspect.unwrap(kind.step))})
    return plain


SGD = _without_compiler(torch.optim.SGD)
Adam = _without_compiler(torch.optim.Adam)
RMSprop = _without_compiler(torch.optim.RMSprop)
OPTIMISERS: dict[str, Callable[[list[dict[str, Any]], Fit], torch.optim.Optimizer]] = {
    "sgd": lambda groups, config: SGD(groups, lr=config.lr, momentum=config.momentum),
    "adam": lambda groups, config: Adam(groups, lr=config.lr),
    "rmsprop": lambda groups, config: RMSprop(groups, lr=config.lr, alpha=config.smoothing),
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
