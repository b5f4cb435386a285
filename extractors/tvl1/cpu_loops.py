"""Compiled loops of TV-L1 flow: Zach, Pock and Bischof (DAGM 2007).

The rows of a field lie one after another in memory, with a spare column behind each and a spare row behind the last (of
the dual fields, before the first). The values kept there make the differences right at the borders, so that loops run
over many rows at once.
"""

import numpy as np

from pipeline.numba_loops import compiled, inlined

BLOCK = 32
"""Pixels of a row that are warped together."""
MARGIN = 6
"""Width in pixels of the border that warping reads: places are clipped 3 pixels outside the image, where bicubic
interpolation no longer reaches it."""

_ONE, _TWO, _THREE = np.float32(1), np.float32(2), np.float32(3)
_EPSILON = np.finfo(np.float32).eps
_N = np.uint64(BLOCK)
_X, _Y = np.uint64(2 * BLOCK), np.uint64(7 * BLOCK)


@compiled
def resize(source, target, rows, columns, factor):  # type: ignore[no-untyped-def]
    """Resize bilinearly and multiply by a factor, into ``target``.

    rows, columns: for each line of the target, the source's line before it, and the weight of the one behind.
    """
    (tops, weights_y), (lefts, weights_x) = rows, columns
    last_y, last_x = source.shape[0] - 1, source.shape[1] - 1
    for y in range(target.shape[0]):
        upper, lower, line = source[tops[y]], source[min(tops[y] + 1, last_y)], target[y]
        for x in range(line.size):
            left, right = lefts[x], min(lefts[x] + 1, last_x)
            above = upper[left] * (_ONE - weights_x[x]) + upper[right] * weights_x[x]
            below = lower[left] * (_ONE - weights_x[x]) + lower[right] * weights_x[x]
            line[x] = factor * (above * (_ONE - weights_y[y]) + below * weights_y[y])


@inlined
def _moved(at, by, size):  # type: ignore[no-untyped-def]
    """Clip the movement of a pixel to at most 3 pixels outside the image; NaN takes it 3 pixels before the first."""
    place, first, last = at + by, np.float32(-3), np.float32(size + 2)
    place = place if place > first else first
    return (place if place < last else last) - at


@inlined
def _cubic(t, a):  # type: ignore[no-untyped-def]
    """Return the weights of the four pixels around a place that lies t behind the second."""
    s = _ONE - t
    before, last = a * t * s * s, a * s * t * t
    second = ((a + _TWO) * t - (a + _THREE)) * t * t + _ONE
    return before, second, _ONE - before - second - last, last


@inlined
def _weigh(work, i, to, lowest, a):  # type: ignore[no-untyped-def]
    """Store the weights of five pixels for a place that lies behind the second or the third of them."""
    later = work[i] - np.float32(lowest) >= _ONE
    t = work[i] - np.float32(lowest + 1 if later else lowest)
    w0, w1, w2, w3 = _cubic(t, a)
    zero = np.float32(0)
    work[to] = zero if later else w0
    work[to + _N] = w0 if later else w1
    work[to + np.uint64(2) * _N] = w1 if later else w2
    work[to + np.uint64(3) * _N] = w2 if later else w3
    work[to + np.uint64(4) * _N] = w3 if later else zero


@inlined
def _five(flat, at, w0, w1, w2, w3, w4):  # type: ignore[no-untyped-def]
    one = np.uint64(1)
    three = flat[at] * w0 + flat[at + one] * w1 + flat[at + np.uint64(2)] * w2
    return three + flat[at + np.uint64(3)] * w3 + flat[at + np.uint64(4)] * w4


@inlined
def _warp_block(flat, flow, warped, work, left, y, height, width, a):  # type: ignore[no-untyped-def]
    """Warp ``BLOCK`` pixels of row y from ``left`` on; return False where they move too differently.

    Where all movements lie between two neighbouring whole pixels, all pixels read the same five columns and rows, and
    no index has to be looked up. work: the movements in x and y, and the weights of five columns and rows.
    """
    row, pitch = width + 1, np.uint64(width + 2 * MARGIN)
    at, to_y = np.uint64(y * row + left), np.uint64((height + 1) * row + 1)
    lowest_x = lowest_y = np.int32(1 << 30)
    highest_x = highest_y = np.int32(-(1 << 30))
    for i in range(_N):
        x = _moved(np.float32(left + np.int64(i)), flow[at + i], width)
        z = _moved(np.float32(y), flow[at + i + to_y], height)
        work[i], work[i + _N] = x, z
        whole_x, whole_y = np.int32(np.floor(x)), np.int32(np.floor(z))
        lowest_x, highest_x = min(lowest_x, whole_x), max(highest_x, whole_x)
        lowest_y, highest_y = min(lowest_y, whole_y), max(highest_y, whole_y)
    if highest_x - lowest_x > 1 or highest_y - lowest_y > 1:
        return False
    for i in range(_N):
        _weigh(work, i, i + _X, lowest_x, a)
        _weigh(work, i + _N, i + _Y, lowest_y, a)
    corner = np.uint64(y + lowest_y - 1 + MARGIN) * pitch + np.uint64(left + lowest_x - 1 + MARGIN)
    for _ in range(3):
        for i in range(_N):
            w0, w1, w2 = work[i + _X], work[i + _X + _N], work[i + _X + np.uint64(2) * _N]
            w3, w4 = work[i + _X + np.uint64(3) * _N], work[i + _X + np.uint64(4) * _N]
            place = corner + i
            total = work[i + _Y] * _five(flat, place, w0, w1, w2, w3, w4)
            total += work[i + _Y + _N] * _five(flat, place + pitch, w0, w1, w2, w3, w4)
            total += work[i + _Y + np.uint64(2) * _N] * _five(flat, place + np.uint64(2) * pitch, w0, w1, w2, w3, w4)
            total += work[i + _Y + np.uint64(3) * _N] * _five(flat, place + np.uint64(3) * pitch, w0, w1, w2, w3, w4)
            total += work[i + _Y + np.uint64(4) * _N] * _five(flat, place + np.uint64(4) * pitch, w0, w1, w2, w3, w4)
            warped[at + i] = total
        corner += pitch * np.uint64(height + 2 * MARGIN)
        at += np.uint64(height * row)
    return True


@inlined
def _warp_pixel(flat, flow, warped, x, y, height, width, a):  # type: ignore[no-untyped-def]
    """Warp one pixel."""
    row, pitch = width + 1, np.uint64(width + 2 * MARGIN)
    at = np.uint64(y * row + x)
    by_x = _moved(np.float32(x), flow[at], width)
    by_y = _moved(np.float32(y), flow[at + np.uint64((height + 1) * row + 1)], height)
    whole_x, whole_y = np.floor(by_x), np.floor(by_y)
    w0, w1, w2, w3 = _cubic(by_x - whole_x, a)
    v0, v1, v2, v3 = _cubic(by_y - whole_y, a)
    corner = np.uint64(y + np.int64(whole_y) - 1 + MARGIN) * pitch + np.uint64(x + np.int64(whole_x) - 1 + MARGIN)
    zero = np.float32(0)
    for _ in range(3):
        total = v0 * _five(flat, corner, w0, w1, w2, w3, zero)
        total += v1 * _five(flat, corner + pitch, w0, w1, w2, w3, zero)
        total += v2 * _five(flat, corner + np.uint64(2) * pitch, w0, w1, w2, w3, zero)
        total += v3 * _five(flat, corner + np.uint64(3) * pitch, w0, w1, w2, w3, zero)
        warped[at] = total
        corner += pitch * np.uint64(height + 2 * MARGIN)
        at += np.uint64(height * row)


@compiled
def linearise(first, planes, u, data, work, a):  # type: ignore[no-untyped-def]
    """Linearise the difference of an image pair around u, into ``data``.

    Parameters
    ----------
    first : ndarray of float32, shape (height, width)
        The first image.
    planes : ndarray of float32, shape (3, height + 2·MARGIN, width + 2·MARGIN)
        Gradient of the second image in x and y, and the image.
    u : ndarray of float32, shape (2, …)
        The flow.
    data : ndarray of float32, shape (4, …)
        Becomes the warped gradient in x and y, ρ(0) and 1 / |gradient|².
    work : ndarray of float32, shape (12·BLOCK,)
        Scratch memory.
    a : float32
        Parameter of bicubic interpolation: Keys, *Cubic Convolution Interpolation* (1981).
    """
    height, width = first.shape
    row = width + 1
    flat, flow, warped = planes.reshape(-1), u.reshape(-1), data.reshape(-1)
    for y in range(height):
        start = 0
        while start < width:
            if width >= BLOCK:
                start = min(start, width - BLOCK)
            if width < BLOCK or not _warp_block(flat, flow, warped, work, start, y, height, width, a):
                for x in range(start, min(start + BLOCK, width)):
                    _warp_pixel(flat, flow, warped, x, y, height, width, a)
            start += BLOCK
        here = slice(y * row, y * row + width)
        _complete(first[y], u[0, here], u[1, here], data[0, here], data[1, here], data[2, here], data[3, here])


@inlined
def _complete(first, u0, u1, ix, iy, rest, inverse):  # type: ignore[no-untyped-def]
    """Turn the warped image and its gradient into the parts of the linearised difference."""
    for x in range(first.size):
        rest[x] = rest[x] - ix[x] * u0[x] - iy[x] * u1[x] - first[x]
    for x in range(first.size):
        inverse[x] = _ONE / max(ix[x] * ix[x] + iy[x] * iy[x], _EPSILON)


@inlined
def _threshold(steps, u0, u1, ix, iy, rest, inverse, most):  # type: ignore[no-untyped-def]
    """Compute the thresholding step: from u along the gradient to where the images agree, at most ``most``."""
    for i in range(steps.size):
        residual = rest[i] + ix[i] * u0[i] + iy[i] * u1[i]
        steps[i] = min(max(residual * inverse[i], -most), most)


@inlined
def _primal(u, steps, gradient, px, left, py, above, theta):  # type: ignore[no-untyped-def]
    """Update u to v + θ div p. Return the sum of squared changes."""
    error = np.float32(0)
    for i in range(u.size):
        change = theta * (px[i] - left[i] + py[i] - above[i]) - steps[i] * gradient[i]
        u[i] += change
        error += change * change
    return error


@inlined
def _dual(u, right, below, px, py, rate):  # type: ignore[no-untyped-def]
    """Move the dual field along the gradient of u, and keep its length below 1."""
    for i in range(u.size):
        x, y = rate * (right[i] - u[i]), rate * (below[i] - u[i])
        shrink = _ONE / (_ONE + np.sqrt(x * x + y * y))
        px[i] = (px[i] + x) * shrink
        py[i] = (py[i] + y) * shrink


@inlined
def _iterate(u, p, data, steps, height, width, constants):  # type: ignore[no-untyped-def]
    """Iterate once, some rows at once; the dual fields follow a row behind. Return the sum of squared changes."""
    row, error = width + 1, 0.0
    band = steps.size // row
    theta, most, rate = constants
    for top in range(0, height, band):
        bottom = min(top + band, height)
        here = slice(top * row, bottom * row)
        near = steps[: (bottom - top) * row]
        _threshold(near, u[0, here], u[1, here], data[0, here], data[1, here], data[2, here], data[3, here], most)
        first, last = max(top - 1, 0), bottom if bottom == height else bottom - 1
        start, stop = first * row, last * row
        for k in range(2):
            v, px, py = u[k], p[k, 0], p[k, 1]
            below = slice(top * row + row, bottom * row + row)  # p has a row more at the top
            left = slice(below.start - 1, below.stop - 1)
            error += _primal(v[here], near, data[k, here], px[below], px[left], py[below], py[here], theta)
            for y in range(top, bottom):
                v[y * row + width] = v[y * row + width - 1]
            if bottom == height:
                v[bottom * row : bottom * row + row] = v[bottom * row - row : bottom * row]
            there = slice(start + row, stop + row)
            _dual(v[start:stop], v[start + 1 : stop + 1], v[there], px[there], py[there], rate)
            for y in range(first, last):
                px[y * row + row + width] = py[y * row + row + width] = 0
    return error


@compiled
def descend(u, p, data, steps, shape, constants, limit, enough, sparse):  # type: ignore[no-untyped-def]
    """Iterate until the flow has converged, at most ``limit`` times; return whether it has.

    Parameters
    ----------
    u : ndarray of float32, shape (2, …)
        The flow, which is improved in place.
    p : ndarray of float32, shape (2, 2, …)
        Dual fields in x and y of either component.
    data : ndarray of float32, shape (4, …)
        What ``linearise`` has made.
    steps : ndarray of float32
        Scratch memory for the rows that go through an iteration together.
    shape : (int, int)
        Height and width.
    constants : ndarray of float32, shape (3,)
        θ, λ · θ and τ / θ.
    limit : int
    enough : float
        Sum of squared changes up to which the flow has converged.
    sparse : bool
        Whether at most every other change is checked, and the fewer, the larger the last one was.
    """
    height, width = shape
    expected = 0.0
    for n in range(limit):
        error = _iterate(u, p, data, steps, height, width, constants)
        if sparse and not (n % 2 == 1 and expected < enough):
            expected -= enough
        elif error <= enough:
            return True
        else:
            expected = error
    return False
