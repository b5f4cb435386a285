"""Computes TV-L1 flow on the CPU, each pair of images in one thread: Zach, Pock and Bischof (DAGM 2007)."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from queue import SimpleQueue

import cv2
import numpy as np

from extractors.tvl1.cpu_loops import BLOCK, MARGIN, descend, linearise, resize
from extractors.tvl1.pyramid import Parameters, Shape, shapes

_BAND_PIXELS = 8192  # pass through an iteration together: what they need stays in the cache
_BATCH_PIXELS = 2**22


class CPUFlow:
    """Computes TV-L1 flow on the CPU, as many pairs at once as OpenCV has threads.

    Parameters
    ----------
    parameters : Parameters

    Notes
    -----
    Neither the number of threads nor the rest of a batch changes a bit of a pair's flow.

    References
    ----------
    Zach, Pock and Bischof, *A Duality Based Approach for Realtime TV-L1 Optical Flow* (DAGM 2007).
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters

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
        flows = np.empty(pairs.shape, np.float32)
        threads = min(len(pairs), max(1, cv2.getNumThreads()))
        idle: SimpleQueue[list[_Scale]] = SimpleQueue()
        for _ in range(threads):
            idle.put(_pyramid(self.parameters, *pairs.shape[2:]))

        def solve(pair: np.ndarray, flow: np.ndarray) -> None:
            pyramid = idle.get()
            try:
                flow[:] = _solved(pyramid, pair)
            finally:
                idle.put(pyramid)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(solve, pairs, flows))
        return flows

    def pairs_at_once(self, height: int, width: int) -> int:
        """Return the size of a batch that takes little memory and keeps all threads busy."""
        return max(1, _BATCH_PIXELS // (height * width))


def _pyramid(parameters: Parameters, height: int, width: int) -> "list[_Scale]":
    found = shapes(parameters, height, width)
    neighbours = zip(found, [found[0], *found[:-1]], [*found[1:], found[-1]], strict=True)
    return [_Scale(parameters, *triple) for triple in neighbours]


def _solved(pyramid: "list[_Scale]", pair: np.ndarray) -> np.ndarray:
    pyramid[0].images[:] = pair
    for finer, coarser in pairwise(pyramid):
        coarser.shrink(finer)
    pyramid[-1].flow[:] = 0
    pyramid[-1].solve()
    for finer, coarser in zip(pyramid[-2::-1], pyramid[:0:-1], strict=True):
        finer.enlarge(coarser)
        finer.solve()
    return pyramid[0].flow


class _Scale:
    """One scale of the pyramid, with the memory for all that is computed there, for one pair after another.

    ``u (2, …)``, the dual fields ``p (2, 2, …)`` and ``data (4, …)`` are laid out as ``descend`` needs them; ``flow (2,
    height, width)`` is u without its borders.
    """

    def __init__(self, parameters: Parameters, shape: Shape, finer: Shape, coarser: Shape) -> None:
        self.parameters, self.decisions, self.shape = parameters, parameters.decisions, shape
        height, width = shape
        row = width + 1
        self.images = np.empty((2, height, width), np.float32)
        self.planes = np.empty((3, height + 2 * MARGIN, width + 2 * MARGIN), np.float32)
        self.u = np.zeros((2, (height + 1) * row + 1), np.float32)
        self.p = np.empty((2, 2, (height + 1) * row), np.float32)
        self.data = np.zeros((4, height * row), np.float32)
        self.steps = np.empty(min(height, max(1, _BAND_PIXELS // row)) * row, np.float32)
        self.weights = np.empty(12 * BLOCK, np.float32)
        self.flow = self.u[:, : height * row].reshape(2, height, row)[:, :, :width]
        step, first = parameters.scale_step, self.decisions.first
        self.in_finer = [_places(size, old, 1 / step, first) for size, old in zip(shape, finer, strict=True)]
        self.in_coarser = [_places(size, old, old / size, first) for size, old in zip(shape, coarser, strict=True)]

    def shrink(self, finer: "_Scale") -> None:
        """Take over the images of the next finer scale."""
        for large, image in zip(finer.images, self.images, strict=True):
            resize(large, image, *self.in_finer, np.float32(1))

    def enlarge(self, coarser: "_Scale") -> None:
        """Take over the flow of the next coarser scale."""
        for small, component in zip(coarser.flow, self.flow, strict=True):
            resize(small, component, *self.in_coarser, np.float32(1 / self.parameters.scale_step))

    def solve(self) -> None:
        """Improve ``flow``, warp after warp. The dual fields start at 0 and are kept from warp to warp."""
        parameters, decisions = self.parameters, self.decisions
        self._prepare()
        self.p[:] = 0
        constants = np.array(
            [parameters.theta, parameters.attachment * parameters.theta, parameters.tau / parameters.theta], np.float32
        )
        ends = (decisions.iterations, parameters.epsilon**2 * self.flow[0].size, decisions.sparse)
        for _ in range(parameters.warps):
            linearise(self.images[0], self.planes, self.u, self.data, self.weights, np.float32(decisions.cubic))
            for _ in range(decisions.filters):
                self._filter()
                if descend(self.u, self.p, self.data, self.steps, self.shape, constants, *ends):
                    break

    def _prepare(self) -> None:
        """Set up what is warped: the second image's gradient by central differences, and the image itself."""
        image = self.images[1]
        slopes = [
            cv2.Sobel(image, cv2.CV_32F, *axis, ksize=1, scale=0.5, borderType=cv2.BORDER_REPLICATE)
            for axis in ((1, 0), (0, 1))
        ]
        for values, plane in zip((*slopes, image), self.planes, strict=True):
            plane[:] = cv2.copyMakeBorder(values, MARGIN, MARGIN, MARGIN, MARGIN, self.decisions.border)

    def _filter(self) -> None:
        if self.decisions.median:
            for component in self.flow:
                component[:] = cv2.medianBlur(component, self.decisions.median)


def _places(size: int, old: int, ratio: float, first: float) -> tuple[np.ndarray, np.ndarray]:
    """Place a resized line's pixels in the old one: the pixel before each, and the weight of the one behind."""
    place = np.clip((np.arange(size) + first) * ratio - first, 0, old - 1)
    before = place.astype(np.int64)
    return before, (place - before).astype(np.float32)
