"""What a network computes on a GPU, the same from run to run."""

from contextlib import AbstractContextManager

import torch


def deterministic() -> AbstractContextManager[None]:
    """Neither TensorFloat-32 nor whichever algorithm is fastest today: a store's numbers depend on no such thing."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags
