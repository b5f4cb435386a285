"""Matrix products by oneDNN where that is to be had: float32 on the CPU.

torch itself gives such products to MKL, which on processors that are not Intel's takes twice as long, and packs its
weights anew in every step of a recurrence.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F


def packed(weight: Tensor, rows: int) -> Callable[[Tensor], Tensor]:
    """x -> x weightᵀ, for many x (rows, in) and one weight (out, in), laid out for speed once. No gradients."""
    if not _by_onednn(weight):
        return partial(F.linear, weight=weight)
    return partial(_linear, weight=torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows), bias=None)


def affine(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(..., in), (out, in), (out,) -> (..., out). No gradients."""
    return _linear(inputs, weight, bias) if _by_onednn(weight) else F.linear(inputs, weight, bias)


def product(one: Tensor, other: Tensor) -> Tensor:
    """(rows, inner), (inner, columns) -> (rows, columns). No gradients."""
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
    )
