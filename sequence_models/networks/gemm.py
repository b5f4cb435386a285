"""Matrix products of float32 on the CPU: by MKL on Intel's processors, by oneDNN on all others, where it is available.

torch itself gives all of them to MKL, which takes twice as long as oneDNN on processors that are not Intel's. On
Intel's, it is the faster one for the few rows of a recurrence's step, if the weights lie as it reads them.
"""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F


def packed(weight: Tensor, rows: int) -> Callable[[Tensor], Tensor]:
    """Return a function from x (rows, in) to x weightᵀ (rows, out), whose weight (out, in) is packed once.

    It computes no gradients, and its result holds until the next call, which may overwrite it.
    """
    if not _by_onednn(weight):
        return partial(torch.mm, mat2=weight.T.contiguous(), out=weight.new_empty(rows, len(weight)))
    return partial(_linear, weight=torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows), bias=None)


def affine(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return inputs (…, in) · weight (out, in)ᵀ + bias (out,), without gradients."""
    return _linear(inputs, weight, bias) if _by_onednn(weight) else F.linear(inputs, weight, bias)


def product(one: Tensor, other: Tensor) -> Tensor:
    """Return the product of matrices (rows, inner) and (inner, columns), without gradients."""
    return _linear(one, other.T, None) if _by_onednn(one) else one @ other


def _linear(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # The operators that torch.compile itself calls for linear layers on the CPU.
    result: Tensor = torch.ops.mkldnn._linear_pointwise.default(inputs, weight, bias, "none", [], "")
    return result


def _by_onednn(tensor: Tensor) -> bool:
    return (
        tensor.device.type == "cpu"
        and tensor.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and not (torch.backends.mkl.is_available() and _intel())
    )


@cache
def _intel() -> bool:
    """Return whether Linux says that the processor is Intel's."""
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return False
