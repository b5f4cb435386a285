"""Optical flow at several scales: Farnebäck, *Two-Frame Motion Estimation Based on Polynomial Expansion* (SCIA 2003).

A quadratic polynomial is fitted around each pixel, once an image and scale, and kept, so that an image takes part in
several flows. At one scale the flow is that of OpenCV's ``calcOpticalFlowFarneback`` with a Gaussian window. Among
scales it is that of improved trajectories (Wang and Schmid, ICCV 2013): every scale's flow goes through a median
filter, and the next finer scale starts from the filtered flow. The paper does not say so, but only this gives the
tracks of its program, to 1e-5 of a pixel; where the next scale starts from the unfiltered flow, only the coarsest
scale's tracks agree.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.numba_loops import compiled

Array = NDArray[np.float32]

POLY_RADIUS, POLY_SIGMA = 7, 1.5
"""Radius and standard deviation in pixels of the Gaussian that weights the neighbourhood of a polynomial."""
WINDOW_RADIUS, WINDOW_SIGMA, ITERATIONS = 5, 1.5, 2
"""Radius and standard deviation in pixels of the Gaussian that displacements are averaged over, and how often that is
done at each scale."""
MEDIAN_PX = 5
"""Side of the median filter in pixels."""
SCALE_STEP = 2**0.5
"""Size of a scale relative to that of the next coarser one."""

_WEIGHTS = np.array([0.14, 0.14, 0.4472, 0.4472, 0.4472, 1], np.float32)  # of matches, from the border inwards
_RIDGE = np.float32(1e-3)  # of the determinant


def expansions(image: NDArray[np.uint8], sizes: Sequence[tuple[int, int]]) -> list[Array]:
    """Fit a polynomial around each pixel of an image at each scale.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width)
        Grey.
    sizes : sequence of (height, width)
        Sizes of the scales in pixels, each ``SCALE_STEP`` smaller than the one before.

    Returns
    -------
    list of ndarray of float32, shape (5, height, width)
        Factors of y, x, y², x² and xy at each scale.

    References
    ----------
    Farnebäck, *Two-Frame Motion Estimation Based on Polynomial Expansion* (SCIA 2003), section 2.
    """
    grey, found = image.astype(np.float32), []
    for step, (height, width) in enumerate(sizes):
        sigma = (SCALE_STEP**step - 1) / 2
        side = max(3, round(5 * sigma) | 1)
        level: Any = cv2.GaussianBlur(grey, (side, side), sigma)
        if step:
            level = cv2.resize(level, (width, height), interpolation=cv2.INTER_LINEAR)
        polynomials = np.empty((5, height, width), np.float32)
        _expand(level, *_applicability(), polynomials)
        found.append(polynomials)
    return found


def flows(first: Sequence[Array], second: Sequence[Array]) -> list[Array]:
    """Compute the flow from one image to another at each scale.

    Parameters
    ----------
    first, second : sequence of ndarray of float32, shape (5, height, width)
        Polynomials of both images, from ``expansions``.

    Returns
    -------
    list of ndarray of float32, shape (height, width, 2)
        x and y in pixels of each scale.

    References
    ----------
    Farnebäck, *Two-Frame Motion Estimation Based on Polynomial Expansion* (SCIA 2003), section 3.
    """
    found: list[Any] = []
    for before, after in zip(reversed(first), reversed(second), strict=True):
        height, width = before.shape[1:]
        if found:
            flow = cv2.resize(found[-1], (width, height), interpolation=cv2.INTER_LINEAR) * np.float32(SCALE_STEP)
        else:
            flow = np.zeros((height, width, 2), np.float32)
        system = np.empty_like(before)
        for _ in range(ITERATIONS):
            _match(before, after, flow, _WEIGHTS, system)
            _solve(system, _window(), _RIDGE, flow)
        found.append(cv2.medianBlur(flow, MEDIAN_PX))
    return found[::-1]


@cache
def _applicability() -> tuple[Array, Array]:
    """Return moments 0, 1 and 2 of the Gaussian, (3, radius + 1), and the entries of the dual basis that are not 0.

    These are the entries of x by x (and of y by y), 1 by x², x² by x², and xy by xy.
    """
    x = np.arange(-POLY_RADIUS, POLY_RADIUS + 1)
    weights = np.exp(-(x**2) / (2 * POLY_SIGMA**2))
    weights /= weights.sum()
    y, x_all = (grid.ravel().astype(float) for grid in np.meshgrid(x, x, indexing="ij"))
    basis = np.stack([np.ones_like(y), x_all, y, x_all**2, y**2, x_all * y])
    dual = np.linalg.inv(basis * np.outer(weights, weights).ravel() @ basis.T)
    moments = np.stack([weights, x * weights, x**2 * weights])[:, POLY_RADIUS:]
    return moments.astype(np.float32), np.array([dual[1, 1], dual[0, 3], dual[3, 3], dual[5, 5]], np.float32)


@cache
def _window() -> Array:
    """Return the weights from the centre outwards; those of both sides together add up to 1."""
    weights = np.exp(-(np.arange(WINDOW_RADIUS + 1) ** 2) / (2 * WINDOW_SIGMA**2))
    window: Array = (weights / (2 * weights.sum() - weights[0])).astype(np.float32)
    return window


@compiled
def _expand(image, moments, dual, polynomials):  # type: ignore[no-untyped-def]
    """Fit the polynomials by correlation down the columns and then along each row; borders are replicated."""
    height, width = image.shape
    radius = moments.shape[1] - 1
    lines = np.empty((3, width + 2 * radius), np.float32)
    sums = np.empty((6, width), np.float32)
    plain, slope, bend = lines[0, radius:-radius], lines[1, radius:-radius], lines[2, radius:-radius]
    one, in_x, in_y, in_xx, in_yy, in_xy = sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]
    for y in range(height):
        here = image[y]
        for x in range(width):
            plain[x], slope[x], bend[x] = here[x] * moments[0, 0], 0, 0
        for k in range(1, radius + 1):
            above, below = image[max(y - k, 0)], image[min(y + k, height - 1)]
            m0, m1, m2 = moments[0, k], moments[1, k], moments[2, k]
            for x in range(width):
                both = above[x] + below[x]
                plain[x] += m0 * both
                slope[x] += m1 * (below[x] - above[x])
                bend[x] += m2 * both
        for line in lines:
            line[:radius] = line[radius]
            line[-radius:] = line[-radius - 1]
        for x in range(width):
            one[x], in_y[x], in_yy[x] = plain[x] * moments[0, 0], slope[x] * moments[0, 0], bend[x] * moments[0, 0]
            in_x[x], in_xx[x], in_xy[x] = 0, 0, 0
        for k in range(1, radius + 1):
            m0, m1, m2 = moments[0, k], moments[1, k], moments[2, k]
            left, right = lines[:, radius - k : radius - k + width], lines[:, radius + k : radius + k + width]
            for x in range(width):
                both = left[0, x] + right[0, x]
                one[x] += m0 * both
                in_xx[x] += m2 * both
                in_x[x] += m1 * (right[0, x] - left[0, x])
                in_y[x] += m0 * (left[1, x] + right[1, x])
                in_xy[x] += m1 * (right[1, x] - left[1, x])
                in_yy[x] += m0 * (left[2, x] + right[2, x])
        for x in range(width):
            polynomials[0, y, x] = in_y[x] * dual[0]
            polynomials[1, y, x] = in_x[x] * dual[0]
            polynomials[2, y, x] = one[x] * dual[1] + in_yy[x] * dual[2]
            polynomials[3, y, x] = one[x] * dual[1] + in_xx[x] * dual[2]
            polynomials[4, y, x] = in_xy[x] * dual[3]


@compiled
def _match(first, second, flow, weights, system):  # type: ignore[no-untyped-def]
    """Set up the normal equations of each pixel's displacement (5, height, width): yy, xy, xx, right sides y and x.

    The equations are those of the displacement around the current ``flow``. A pixel that leaves the image is matched
    with nothing.
    """
    _, height, width = first.shape
    there, last = np.empty(5, np.float32), len(weights) - 1
    half, one = np.float32(0.5), np.float32(1)  # what meets an integer is computed in float64
    for y in range(height):
        for x in range(width):
            dx, dy = flow[y, x, 0], flow[y, x, 1]
            to_x, to_y = np.float32(x) + dx, np.float32(y) + dy
            left, top = int(np.floor(to_x)), int(np.floor(to_y))
            by, bx = first[0, y, x], first[1, y, x]
            ayy, axx, axy = first[2, y, x], first[3, y, x], first[4, y, x] * half
            if 0 <= left < width - 1 and 0 <= top < height - 1:
                fx, fy = to_x - np.float32(left), to_y - np.float32(top)
                w00, w01, w10, w11 = (one - fx) * (one - fy), fx * (one - fy), (one - fx) * fy, fx * fy
                for number in range(5):
                    upper, lower = second[number, top], second[number, top + 1]
                    there[number] = (
                        upper[left] * w00 + upper[left + 1] * w01 + lower[left] * w10 + lower[left + 1] * w11
                    )
                by, bx = by - there[0], bx - there[1]
                ayy, axx, axy = (ayy + there[2]) * half, (axx + there[3]) * half, (axy + there[4] * half) * half
            by, bx = by * half + ayy * dy + axy * dx, bx * half + axy * dy + axx * dx
            weight = weights[min(x, width - 1 - x, last)] * weights[min(y, height - 1 - y, last)]
            by, bx, ayy, axx, axy = by * weight, bx * weight, ayy * weight, axx * weight, axy * weight
            system[0, y, x] = ayy * ayy + axy * axy
            system[1, y, x] = (ayy + axx) * axy
            system[2, y, x] = axx * axx + axy * axy
            system[3, y, x] = ayy * by + axy * bx
            system[4, y, x] = axy * by + axx * bx


@compiled
def _solve(system, window, ridge, flow):  # type: ignore[no-untyped-def]
    """Average the equations down the columns and along the rows, and solve them for each pixel's displacement."""
    _, height, width = system.shape
    radius = len(window) - 1
    lines = np.empty((5, width + 2 * radius), np.float32)
    means = np.empty((5, width), np.float32)
    yy, xy, xx, hy, hx = means[0], means[1], means[2], means[3], means[4]
    for y in range(height):
        for number in range(5):
            line, mean = lines[number], means[number]
            inner, here = line[radius:-radius], system[number, y]
            for x in range(width):
                inner[x] = window[0] * here[x]
            for k in range(1, radius + 1):
                above, below = system[number, max(y - k, 0)], system[number, min(y + k, height - 1)]
                for x in range(width):
                    inner[x] += window[k] * (above[x] + below[x])
            line[:radius] = line[radius]
            line[-radius:] = line[-radius - 1]
            for x in range(width):
                mean[x] = window[0] * inner[x]
            for k in range(1, radius + 1):
                left, right = line[radius - k : radius - k + width], line[radius + k : radius + k + width]
                for x in range(width):
                    mean[x] += window[k] * (left[x] + right[x])
        for x in range(width):
            scale = np.float32(1) / (yy[x] * xx[x] - xy[x] * xy[x] + ridge)
            flow[y, x, 0] = (yy[x] * hx[x] - xy[x] * hy[x]) * scale
            flow[y, x, 1] = (xx[x] * hy[x] - xy[x] * hx[x]) * scale
