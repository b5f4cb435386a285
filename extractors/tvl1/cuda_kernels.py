"""Solves one scale of TV-L1 flow in one launch, in Triton: Zach, Pock and Bischof (DAGM 2007), as OpenCV does it.

One program takes one pair of images through all warps and iterations of the scale. So iterations cost no launch, each
pair ends when it has converged, its result cannot depend on other pairs, and sums have one order.

Fields are flat: pixel i is in column ``i % width``, and ``i - 1`` and ``i - width`` are to the left of it and above. A
plane may be longer than its pixels; what it holds behind them is 0 and stays so. p is 0 in the last column (its x) and
row (its y), whatever comes; so the pixel before a row's first stands for the 0 beside the image.

Memory bandwidth limits an iteration, so it passes over the fields only once, block after block, 60 bytes a pixel: 9
fields read, 6 written. u changes in a block, and then p, still in the cache, in a block that lies a row or more further
back, since p needs the new u to the right and below, and u the old p to the left and above.

Barriers divide what threads write from what others read. None is needed between the change of p in a block and that of
u in the next: the former writes p up to a pixel, and reads u up to the block's end, the latter reads and writes what is
behind.
"""

import numpy as np
import triton
import triton.language as tl

EPSILON = tl.constexpr(float(np.finfo(np.float32).eps))


@triton.jit(do_not_specialize=("height", "width"))
def refine(
    u: tl.tensor,
    images: tl.tensor,
    fields: tl.tensor,
    plane: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    theta: tl.tensor,
    most: tl.tensor,
    rate: tl.tensor,
    enough: tl.tensor,
    WARPS: tl.constexpr,
    CUBIC: tl.constexpr,
    REPLICATE: tl.constexpr,
    MEDIAN: tl.constexpr,
    FILTERS: tl.constexpr,
    ITERATIONS: tl.constexpr,
    SPARSE: tl.constexpr,
    BLOCK: tl.constexpr,
    NARROW: tl.constexpr,
) -> None:
    """Improve the flow of all pairs in place; one program for each pair.

    Parameters
    ----------
    u : float32, shape (pairs, 2, plane)
        x and y of the flow.
    images : float32, shape (pairs, 4, plane)
        The first, the second, and the second's gradient in x and y.
    fields : float32, shape (pairs, 9, plane)
        Zeros, used as scratch memory.
    plane : int
        height · width or more, a multiple of 16, for loads of 16 bytes.
    height, width : int
    theta, most, rate : float
        θ, λθ and τ/θ.
    enough : float
        Sum of squared changes of u that ends the iterations of a warp.
    WARPS : int
        How often the second image is warped, bicubically with the parameter CUBIC.
    REPLICATE : bool
        Whether the border is replicated outside the image; otherwise 0 lies there.
    MEDIAN : bool
        Whether a 5×5 median filter comes before each of FILTERS times up to ITERATIONS iterations of a warp.
    SPARSE : bool
        Whether not every change is checked.
    BLOCK, NARROW : int
        Pixels processed at once in an iteration, and elsewhere.
    """
    pair = tl.program_id(0).to(tl.int64)
    u += pair * 2 * plane
    images += pair * 4 * plane
    p = fields + pair * 9 * plane  # of u's x: x, y; of u's y: x, y
    linear = p + 4 * plane  # the linearised difference of the images: its gradient in x and y, its constant part
    filtered = p + 7 * plane
    for _ in range(WARPS):
        _warp(linear, u, images, plane, height, width, CUBIC, REPLICATE, NARROW)
        iteration = 0
        change = float("inf")
        expected = 0.0
        while (change > enough) & (iteration < FILTERS * ITERATIONS):
            if MEDIAN and iteration % ITERATIONS == 0:
                _median(u, filtered, plane, height, width, NARROW)
            change = _iterate(u, p, linear, plane, height, width, theta, most, rate, BLOCK)
            if SPARSE:  # the larger the last change was, the longer nobody looks at it
                looked = (iteration % 2 == 1) & (expected < enough)
                expected = tl.where(looked, change, expected - enough)
                change = tl.where(looked, change, float("inf"))
            iteration += 1


@triton.jit
def _iterate(
    u: tl.tensor,
    p: tl.tensor,
    linear: tl.tensor,
    plane: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    theta: tl.tensor,
    most: tl.tensor,
    rate: tl.tensor,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    """Iterate once; return the sum of the squared changes of u."""
    pixels = height * width
    lag = (width + 15) // 16 * 16  # a row, and what is missing to loads of 16 bytes
    changes = tl.zeros([BLOCK], tl.float32)
    for begin in range(0, plane + lag, BLOCK):
        i = begin + tl.arange(0, BLOCK)
        changes += _change_u(u, p, linear, i, plane, width, theta, most)
        tl.debug_barrier()
        _change_p(u, p, i - lag, plane, pixels, width, rate)
        _change_p(u + plane, p + 2 * plane, i - lag, plane, pixels, width, rate)
    tl.debug_barrier()
    return tl.sum(changes)


@triton.jit
def _change_u(
    u: tl.tensor,
    p: tl.tensor,
    linear: tl.tensor,
    i: tl.tensor,
    plane: tl.tensor,
    width: tl.tensor,
    theta: tl.tensor,
    most: tl.tensor,
) -> tl.tensor:
    """Step towards the data and add the divergence of p (equations 15 and 10); return the squared changes."""
    inside = i < plane
    slope_x = tl.load(linear + i, inside, 0.0)
    slope_y = tl.load(linear + plane + i, inside, 0.0)
    x = tl.load(u + i, inside, 0.0)
    y = tl.load(u + plane + i, inside, 0.0)
    residual = tl.load(linear + 2 * plane + i, inside, 0.0) + slope_x * x + slope_y * y
    square = slope_x * slope_x + slope_y * slope_y
    step = tl.minimum(tl.maximum(-residual / tl.maximum(square, EPSILON), -most), most)
    change_x = step * slope_x + theta * _divergence(p, i, plane, width)
    change_y = step * slope_y + theta * _divergence(p + 2 * plane, i, plane, width)
    tl.store(u + i, x + change_x, inside)
    tl.store(u + plane + i, y + change_y, inside)
    return change_x * change_x + change_y * change_y


@triton.jit
def _divergence(p: tl.tensor, i: tl.tensor, plane: tl.tensor, width: tl.tensor) -> tl.tensor:
    """Return the divergence of p by differences to the pixels to the left and above."""
    inside = i < plane
    x = tl.load(p + i, inside, 0.0) - tl.load(p + i - 1, inside & (i >= 1), 0.0)
    y = tl.load(p + plane + i, inside, 0.0) - tl.load(p + plane + i - width, inside & (i >= width), 0.0)
    return x + y


@triton.jit
def _change_p(
    u: tl.tensor, p: tl.tensor, i: tl.tensor, plane: tl.tensor, pixels: tl.tensor, width: tl.tensor, rate: tl.tensor
) -> None:
    """Move p along the gradient of one component of u, which is 0 across the border (equation 14)."""
    inside = (i >= 0) & (i < plane)
    right = i + tl.where((i % width < width - 1) & (i < pixels), 1, 0)
    below = i + tl.where(i < pixels - width, width, 0)
    here = tl.load(u + i, inside, 0.0)
    slope_x = tl.load(u + right, inside, 0.0) - here
    slope_y = tl.load(u + below, inside, 0.0) - here
    shrink = 1.0 / (1.0 + rate * tl.sqrt(slope_x * slope_x + slope_y * slope_y))
    x = tl.load(p + i, inside, 0.0)
    y = tl.load(p + plane + i, inside, 0.0)
    tl.store(p + i, (x + rate * slope_x) * shrink, inside)
    tl.store(p + plane + i, (y + rate * slope_y) * shrink, inside)


@triton.jit
def _warp(
    linear: tl.tensor,
    u: tl.tensor,
    images: tl.tensor,
    plane: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    CUBIC: tl.constexpr,
    REPLICATE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Read the second image and its gradient at x + u, and linearise its difference to the first there.

    Bicubic: Keys (1981), equation 8 with CUBIC as its parameter a.
    """
    pixels = height * width
    for begin in range(0, pixels, BLOCK):
        i = begin + tl.arange(0, BLOCK)
        inside = i < pixels
        x = tl.load(u + i, inside, 0.0)
        y = tl.load(u + plane + i, inside, 0.0)
        at_x = (i % width).to(tl.float32) + x
        at_y = (i // width).to(tl.float32) + y
        left = tl.floor(at_x)
        top = tl.floor(at_y)
        value = tl.zeros([BLOCK], tl.float32)
        slope_x = tl.zeros([BLOCK], tl.float32)
        slope_y = tl.zeros([BLOCK], tl.float32)
        for down in range(-1, 3):
            row = top.to(tl.int32) + down
            nearest_y = tl.minimum(tl.maximum(row, 0), height - 1)
            weight_y = _cubic(at_y - top - down, CUBIC)
            for right in tl.static_range(-1, 3):
                column = left.to(tl.int32) + right
                nearest_x = tl.minimum(tl.maximum(column, 0), width - 1)
                weight = _cubic(at_x - left - right, CUBIC) * weight_y
                if not REPLICATE:
                    weight = tl.where((column == nearest_x) & (row == nearest_y), weight, 0.0)
                source = images + plane + nearest_y * width + nearest_x
                value += weight * tl.load(source, inside, 0.0)
                slope_x += weight * tl.load(source + plane, inside, 0.0)
                slope_y += weight * tl.load(source + 2 * plane, inside, 0.0)
        tl.store(linear + i, slope_x, inside)
        tl.store(linear + plane + i, slope_y, inside)
        tl.store(linear + 2 * plane + i, value - slope_x * x - slope_y * y - tl.load(images + i, inside, 0.0), inside)
    tl.debug_barrier()


@triton.jit
def _cubic(distance: tl.tensor, A: tl.constexpr) -> tl.tensor:
    """Return the weight of bicubic interpolation at a distance in pixels."""
    d = tl.abs(distance)
    near = ((A + 2) * d - (A + 3)) * d * d + 1
    far = ((A * d - 5 * A) * d + 8 * A) * d - 4 * A
    return tl.where(d <= 1, near, tl.where(d < 2, far, 0.0))


@triton.jit
def _median(
    u: tl.tensor, filtered: tl.tensor, plane: tl.tensor, height: tl.tensor, width: tl.tensor, BLOCK: tl.constexpr
) -> None:
    """Replace each component by its median over 5×5 pixels; what lies outside the image equals its border."""
    for begin in range(0, 2 * plane, BLOCK):
        i = begin + tl.arange(0, BLOCK)
        inside = (i < 2 * plane) & (i % plane < height * width)
        tl.store(filtered + i, _median_at(u, i, inside, plane, height, width), inside)
    tl.debug_barrier()
    for begin in range(0, 2 * plane, BLOCK):
        i = begin + tl.arange(0, BLOCK)
        tl.store(u + i, tl.load(filtered + i, i < 2 * plane), i < 2 * plane)
    tl.debug_barrier()


@triton.jit
def _median_at(
    u: tl.tensor, i: tl.tensor, inside: tl.tensor, plane: tl.tensor, height: tl.tensor, width: tl.tensor
) -> tl.tensor:
    """Return the median of 25 values: drop the extremes of 14, add one more, drop the extremes, and so on."""
    pixel = i % plane
    component = u + (i - pixel)
    y = pixel // width
    x = pixel % width
    kept: tl.tuple = ()
    for neighbour in tl.static_range(25):
        row = tl.minimum(tl.maximum(y + (neighbour // 5 - 2), 0), height - 1)
        column = tl.minimum(tl.maximum(x + (neighbour % 5 - 2), 0), width - 1)
        kept = kept + (tl.load(component + row * width + column, inside, 0.0),)  # noqa: RUF005
        if neighbour >= 13:
            kept = _without_extremes(kept)
    return kept[0]


@triton.jit
def _without_extremes(values: tl.tuple) -> tl.tuple:
    """Return three values or more without the largest and the smallest."""
    largest = values[0]
    others: tl.tuple = ()
    for k in tl.static_range(1, len(values)):
        others = others + (tl.minimum(largest, values[k]),)  # noqa: RUF005 (Triton cannot unpack)
        largest = tl.maximum(largest, values[k])
    smallest = others[0]
    between: tl.tuple = ()
    for k in tl.static_range(1, len(others)):
        between = between + (tl.maximum(smallest, others[k]),)  # noqa: RUF005
        smallest = tl.minimum(smallest, others[k])
    return between
