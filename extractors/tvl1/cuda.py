"""Computes TV-L1 flow on CUDA, many pairs of images at once: Zach, Pock and Bischof (DAGM 2007).

``cuda_kernels`` does all iterations of a scale in one launch, one program for each pair; here the pyramids are built,
in step for all pairs of a batch. The host launches some hundred operations a batch and waits for the result alone.
"""

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from extractors.tvl1.pyramid import Parameters, shapes
from pipeline.errors import InputError

BATCH_BYTES = 2 << 30
"""Device memory in bytes that the pairs of a batch may take; where there is less, it is halved, down to one pair."""
_FINEST_FIELDS = 20
"""Float32 fields of the finest scale besides the pyramid: 17 while it is solved, and some kept by the allocator."""
_BLOCK, _NARROW, _WARPS = 4096, 1024, 32
"""Pixels that a program processes at once in an iteration, and elsewhere; its warps of 32 threads.

The program fills the registers of a multiprocessor (64 for each of 1024 threads), and keeps loads of 147 kB in flight.
"""


class CUDAFlow:
    """Computes TV-L1 flow on a GPU.

    Parameters
    ----------
    parameters : Parameters
    device : str
        "cuda"; "cpu" only under TRITON_INTERPRET=1.

    Raises
    ------
    InputError
        Where Triton is not installed.
    torch.OutOfMemoryError
        Where, once called, the device has not enough memory for one pair.

    Notes
    -----
    The rest of a batch changes no bit of a pair's flow.

    References
    ----------
    Zach, Pock and Bischof, *A Duality Based Approach for Realtime TV-L1 Optical Flow* (DAGM 2007).
    """

    def __init__(self, parameters: Parameters, device: str) -> None:
        try:
            from extractors.tvl1.cuda_kernels import refine
        except ModuleNotFoundError as error:
            raise InputError("tvl1 on a GPU needs Triton, which torch brings on Linux; use device cpu here") from error
        self.parameters, self.device, self._refine = parameters, torch.device(device), refine
        self.batch_bytes = BATCH_BYTES

    def __call__(self, pairs: np.ndarray) -> np.ndarray:
        """Compute flow.

        Parameters
        ----------
        pairs : ndarray of uint8, shape (n, 2, height, width)
            Pairs of grey images.

        Returns
        -------
        ndarray of float32, shape (n, 2, height, width)
            x and y in pixels.
        """
        flows = torch.empty(pairs.shape, dtype=torch.float32, pin_memory=self.device.type == "cuda")
        begin = 0
        while begin < len(pairs):
            end = min(begin + self.pairs_at_once(*pairs.shape[2:]), len(pairs))
            if self._fits(pairs[begin:end], flows[begin:end]):
                begin = end
            else:
                self.batch_bytes //= 2
        return flows.numpy()

    def pairs_at_once(self, height: int, width: int) -> int:
        """Return the number of pairs that fit into ``batch_bytes``; more are computed in several batches.

        The default parameters take some 100 bytes a pixel, 8 MB for a pair of 320×240 images: 270 pairs.
        """
        pyramids = 2 * sum(height * width for height, width in shapes(self.parameters, height, width))
        return max(1, self.batch_bytes // (4 * (pyramids + _FINEST_FIELDS * height * width)))

    def _fits(self, pairs: np.ndarray, flows: Tensor) -> bool:
        """Compute the flows of a batch; return False where the device's memory does not suffice for several pairs."""
        try:
            batch = torch.tensor(pairs, device=self.device)
            with torch.cuda.device_of(batch):
                flows.copy_(self._flow(batch))
        except torch.OutOfMemoryError:
            if len(pairs) == 1:
                raise
            return False  # what the failed batch still holds ends with this frame
        return True

    def _flow(self, pairs: Tensor) -> Tensor:
        pyramid = [pairs.float()]
        step = self.parameters.scale_step
        for shape in shapes(self.parameters, *pairs.shape[2:])[1:]:
            pyramid.append(self._resized(pyramid[-1], shape, (1 / step, 1 / step)))
        flow = self._improved(torch.zeros_like(pyramid[-1]), pyramid.pop())
        while pyramid:
            (old_height, old_width), (height, width) = flow.shape[2:], pyramid[-1].shape[2:]
            flow = self._resized(flow, (height, width), (old_height / height, old_width / width)) / step
            flow = self._improved(flow, pyramid.pop())
        return flow

    def _improved(self, flow: Tensor, images: Tensor) -> Tensor:
        """Return the flow after all warps of one scale; flow and images are (pairs, 2, height, width)."""
        parameters = self.parameters
        pairs, _, height, width = images.shape
        u = _planes(flow)
        self._refine[pairs,](
            u,
            _planes(torch.cat([images, _centred_gradient(images[:, 1])], dim=1)),
            u.new_zeros(pairs, 9, u.shape[2]),
            u.shape[2],
            height,
            width,
            parameters.theta,
            parameters.attachment * parameters.theta,
            parameters.tau / parameters.theta,
            parameters.epsilon**2 * height * width,
            **constants(parameters),
        )
        improved: Tensor = u[:, :, : height * width].unflatten(2, (height, width))
        return improved

    def _resized(self, images: Tensor, shape: tuple[int, int], ratios: tuple[float, float]) -> Tensor:
        """Resize bilinearly. ratios: old pixels for each new one, down and across."""
        first = self.parameters.decisions.first
        for axis in (-1, -2):
            last = images.shape[axis] - 1
            place = torch.arange(shape[axis], dtype=torch.float64, device=images.device)
            place = ((place + first) * ratios[axis] - first).clamp(0, last)
            low = place.long()
            weight = (place - low).float()[(...,) + (None,) * (-1 - axis)]
            behind = images.index_select(axis, (low + 1).clamp(max=last)).mul_(weight)
            images = images.index_select(axis, low).mul_(1 - weight).add_(behind)
        return images


def constants(parameters: Parameters) -> dict[str, Any]:
    """Return the constants that a kernel is compiled for."""
    decisions = parameters.decisions
    return {
        "WARPS": parameters.warps,
        "CUBIC": decisions.cubic,
        "REPLICATE": decisions.border == cv2.BORDER_REPLICATE,
        "MEDIAN": decisions.median > 0,
        "FILTERS": decisions.filters,
        "ITERATIONS": decisions.iterations,
        "SPARSE": decisions.sparse,
        "BLOCK": _BLOCK,
        "NARROW": _NARROW,
        "num_warps": _WARPS,
        "num_stages": 1,  # a load that is begun early would pass a barrier
    }


def _planes(fields: Tensor) -> Tensor:
    """Flatten (pairs, fields, height, width) to (pairs, fields, plane), padded by zeros to a multiple of 16."""
    flat = fields.flatten(2)
    return F.pad(flat, (0, -flat.shape[2] % 16))


def _centred_gradient(images: Tensor) -> Tensor:
    """Compute central differences in x and y, (pairs, 2, height, width); the border is replicated."""
    bordered = F.pad(images[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    x = bordered[:, 1:-1, 2:] - bordered[:, 1:-1, :-2]
    y = bordered[:, 2:, 1:-1] - bordered[:, :-2, 1:-1]
    return torch.stack([x, y], dim=1) / 2
