"""Imports torchvision, which nothing else does.

Its wheel's compiled operators are built against CUDA and do not load beside a CPU build of torch. The import then
fails, because its Python code describes two operators that do not exist; declaring them is enough.
"""

import torch

try:
    from torchvision import models
except RuntimeError:
    if torch.version.cuda is not None:
        raise
    _DECLARED = torch.library.Library("torchvision", "DEF")  # declared for as long as this object lives
    for _operator in ("nms", "qnms"):
        _DECLARED.define(f"{_operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision import models

__all__ = ["models"]
