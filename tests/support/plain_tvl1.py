"""TV-L1 optical flow, word for word: Zach, Pock and Bischof (DAGM 2007), with what OpenCV leaves unsaid in the paper.

Slow. Both backends are tested against it. All arrays are float32 (height, width), as OpenCV's are; sums are float64.
"""

import cv2
import numpy as np

from extractors.tvl1.config import TVL1

CUBIC = {"opencv-cpu": -0.75, "opencv-cuda": -0.5}
"""The free parameter of the bicubic kernel: Keys (1981), who takes -1/2."""


def flow(config: TVL1, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Two uint8 images (height, width) -> (2, height, width) float32: x and y of where each pixel of the first goes."""
    pyramids = [pyramid(image.astype(np.float32), config) for image in (first, second)]
    u = np.zeros((2, *pyramids[0][-1].shape), np.float32)
    for scale, (image0, image1) in enumerate(zip(*(images[::-1] for images in pyramids), strict=True)):
        if scale:
            u = np.stack([enlarged(component, image0.shape, config) for component in u])
        u = one_scale(config, image0, image1, u)
    return u


def pyramid(image: np.ndarray, config: TVL1) -> list[np.ndarray]:
    """The image, and then each ``scale_step`` as large as the one before, while neither side is below 16 pixels."""
    images = [image]
    while len(images) < config.scales:
        height, width = (round(side * config.scale_step) for side in images[-1].shape)
        if min(height, width) < 16:
            break
        images.append(resized(images[-1], (height, width), (1 / config.scale_step, 1 / config.scale_step), config))
    return images


def enlarged(component: np.ndarray, shape: tuple[int, ...], config: TVL1) -> np.ndarray:
    """A flow component of a coarser scale, in pixels of the finer one."""
    ratios = (component.shape[0] / shape[0], component.shape[1] / shape[1])
    return resized(component, shape, ratios, config) * np.float32(1 / config.scale_step)


def resized(image: np.ndarray, shape: tuple[int, ...], ratios: tuple[float, float], config: TVL1) -> np.ndarray:
    """Bilinear; ``ratios`` is how many old pixels lie in a new one. OpenCV's CUDA aligns the first pixels' centres."""
    for axis in (1, 0):
        offset = 0.5 if config.semantics == "opencv-cpu" else 0.0
        place = np.clip((np.arange(shape[axis]) + offset) * ratios[axis] - offset, 0, image.shape[axis] - 1)
        low = place.astype(int)
        high = np.minimum(low + 1, image.shape[axis] - 1)
        weight = np.expand_dims((place - low).astype(np.float32), 1 - axis)
        image = image.take(low, axis) * (1 - weight) + image.take(high, axis) * weight
    return image


def one_scale(config: TVL1, image0: np.ndarray, image1: np.ndarray, u: np.ndarray) -> np.ndarray:
    """The flow (2, height, width) from the coarser scale's. The dual field begins at 0 and outlives the warps."""
    p = np.zeros((2, 2, *image0.shape), np.float32)
    image1_x, image1_y = centred_gradient(image1)
    for _ in range(config.warps):
        warped, ix, iy = (warp(image, u, config) for image in (image1, image1_x, image1_y))
        rest = warped - ix * u[0] - iy * u[1] - image0
        iterate = iterate_cpu if config.semantics == "opencv-cpu" else iterate_cuda
        u, p = iterate(config, ix, iy, rest, u, p)
    return u


State = tuple[np.ndarray, np.ndarray]


def iterate_cpu(config: TVL1, ix: np.ndarray, iy: np.ndarray, rest: np.ndarray, u: np.ndarray, p: np.ndarray) -> State:
    """At most 10 times a median filter and 30 iterations; ends with the iteration that changes little."""
    for _outer in range(10):
        u = np.stack([cv2.medianBlur(component, 5) for component in u])
        for _inner in range(30):
            u, p, error = iteration(config, ix, iy, rest, u, p)
            if error <= config.epsilon**2 * rest.size:
                return u, p
    return u, p


def iterate_cuda(config: TVL1, ix: np.ndarray, iy: np.ndarray, rest: np.ndarray, u: np.ndarray, p: np.ndarray) -> State:
    """At most 300 iterations; the larger the last error was, the longer nobody looks at it."""
    enough = config.epsilon**2 * rest.size
    expected = 0.0
    for n in range(300):
        u, p, error = iteration(config, ix, iy, rest, u, p)
        if config.epsilon > 0 and n % 2 == 1 and expected < enough:
            expected = error
            if error <= enough:
                break
        else:
            expected -= enough
    return u, p


def iteration(
    config: TVL1, ix: np.ndarray, iy: np.ndarray, rest: np.ndarray, u: np.ndarray, p: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """The thresholding step, u = v + θ div p, the dual step; and the sum of the squared changes of u."""
    theta, most = np.float32(config.theta), np.float32(config.attachment * config.theta)
    rate = np.float32(config.tau / config.theta)
    gradient = np.stack([ix, iy])
    square = ix * ix + iy * iy
    residual = rest + ix * u[0] + iy * u[1]
    steep = square > np.finfo(np.float32).eps
    step = np.where(steep, -residual / np.where(steep, square, 1), np.float32(0))
    step = np.where(residual < -most * square, most, np.where(residual > most * square, -most, step))
    v = u + step * gradient
    changed = v + theta * np.stack([divergence(*dual) for dual in p])
    error = float(((changed - u).astype(np.float64) ** 2).sum())
    slopes = np.stack([forward_gradient(component) for component in changed])
    lengths = np.sqrt((slopes**2).sum(axis=1, keepdims=True))
    return changed, (p + rate * slopes) / (1 + rate * lengths), error


def centred_gradient(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half the difference of a pixel's two neighbours in x and in y; what lies outside equals the border."""
    bordered = np.pad(image, 1, "edge")
    x = (bordered[1:-1, 2:] - bordered[1:-1, :-2]) / 2
    y = (bordered[2:, 1:-1] - bordered[:-2, 1:-1]) / 2
    return x, y


def forward_gradient(component: np.ndarray) -> np.ndarray:
    """(2, height, width): differences to the next pixel in x and in y, 0 at the last."""
    x = np.diff(component, axis=1, append=component[:, -1:])
    y = np.diff(component, axis=0, append=component[-1:])
    return np.stack([x, y])


def divergence(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of a dual field, by differences to the pixel before; 0 lies outside."""
    return np.diff(x, axis=1, prepend=np.float32(0)) + np.diff(y, axis=0, prepend=np.float32(0))


def warp(image: np.ndarray, u: np.ndarray, config: TVL1) -> np.ndarray:
    """The image read bicubically at x + u. On the CPU 0 lies outside, on CUDA the border goes on."""
    height, width = image.shape
    y, x = (axis + component for axis, component in zip(np.indices(image.shape, np.float32), u[::-1], strict=True))
    left, top = (np.floor(place).astype(int) for place in (x, y))
    total = np.zeros_like(image)
    for row in range(-1, 3):
        for column in range(-1, 3):
            at_y, at_x = top + row, left + column
            value = image[at_y.clip(0, height - 1), at_x.clip(0, width - 1)]
            if config.semantics == "opencv-cpu":
                value = np.where((at_y >= 0) & (at_y < height) & (at_x >= 0) & (at_x < width), value, 0)
            total += value * (cubic(x - at_x, config) * cubic(y - at_y, config)).astype(np.float32)
    return total


def cubic(distance: np.ndarray, config: TVL1) -> np.ndarray:
    """Keys's kernel, float64."""
    a, d = CUBIC[config.semantics], np.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))
