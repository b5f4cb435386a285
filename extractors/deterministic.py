"""Makes what a network computes on a GPU the same from run to run."""

from contextlib import AbstractContextManager

import torch


def deterministic() -> AbstractContextManager[None]:
    """Return a context without TensorFloat-32 and without a choice of algorithms by speed: numbers repeat."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags
