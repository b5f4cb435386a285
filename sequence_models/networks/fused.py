"""Steps of the dRNN in compiled loops over rows, for float32 on the CPU: the same as those of ``pointwise``.

They use one thread: a step's work is less than what threads cost.
"""

import numpy as np
from torch import Tensor

from pipeline.numba_loops import compiled, inlined
from sequence_models.networks.gemm import packed
from sequence_models.networks.pointwise import Trail

MAX_LOOPED = 16
"""Largest number of outputs that are multiplied within the loops; more are multiplied by a matrix product."""


class FusedForward:
    """The steps of a forward pass, in compiled loops: the same as ``PlainForward``."""

    def __init__(self, trail: Trail, seen: Tensor, bias: Tensor, feedback: Tensor) -> None:
        few = feedback.shape[1] <= MAX_LOOPED
        self.trail, self.arrays = trail, tuple(part.numpy() for part in trail)
        self.bias, self.seen = bias.numpy(), (seen, seen.clone())
        self.places = tuple(record.numpy() for record in self.seen)
        self.feed = None if few else packed(feedback, len(seen))
        self.feedback = np.ascontiguousarray((feedback if few else feedback[:, :0]).numpy().T)

    def advance(self, step: int, entering: Tensor, recurrent: Tensor, to_readout: Tensor) -> Tensor:
        if self.feed:
            if step:
                self.finish(step - 1, recurrent, to_readout)
            entering.add_(self.feed(self.trail.outputs[step]))
        came, more, last = entering.numpy(), recurrent.numpy(), to_readout.numpy()
        before, seen = self.places[(step + 1) % 2], self.places[step % 2]
        _advance(step, self.arrays, came, more, last, self.bias, self.feedback, before, seen)
        return self.seen[step % 2]

    def finish(self, step: int, recurrent: Tensor, to_readout: Tensor) -> None:
        _finish(step, self.arrays, recurrent.numpy(), to_readout.numpy(), self.bias)


class FusedBackward:
    """The steps of a backward pass, in compiled loops: the same as ``PlainBackward``."""

    def __init__(self, trail: Trail, feedback: Tensor, outward: Tensor) -> None:
        (time, batch, k), m = trail.readout.shape, trail.states.shape[2]
        self.arrays, few = tuple(part.numpy() for part in trail), k <= MAX_LOOPED
        self.now = feedback.new_zeros(batch, 3 * m + 2 * k)
        self.into = feedback.new_empty(3 * m + 2 * k, time, batch)
        self.carried = np.zeros((batch, m), np.float32)
        self.later = np.zeros((batch, outward.shape[1]), np.float32)
        self.feed = None if few else packed(feedback.T, batch)
        self.lead = None if few else packed(outward.T, batch)
        self.feedback = np.ascontiguousarray((feedback if few else feedback[:, :0]).numpy().T)
        self.outward = np.ascontiguousarray((outward if few else outward[:0]).numpy())

    def step(self, step: int, to_output: Tensor, to_seen: Tensor) -> None:
        now, m = self.now.numpy(), self.carried.shape[1]
        if self.feed:
            to_output = to_output + self.feed(self.now[:, : self.now.shape[1] - to_output.shape[1]])
        _to_output_gate(step, self.arrays, to_output.numpy(), self.feedback, now)
        if self.lead:
            to_seen = to_seen + self.lead(self.now[:, 3 * m :])
        _to_gates(step, self.arrays, to_seen.numpy(), self.outward, now, self.carried, self.later)
        _transpose(now, self.into.numpy(), step)


@inlined
def _tanh(x):  # type: ignore[no-untyped-def]
    """Approximate tanh by the rational function of Eigen and XLA: relative error 3e-7, values within ±1."""
    limit = np.float32(7.90531110763549805)
    x = min(max(x, -limit), limit)
    y = x * x
    p = np.float32(-2.76076847742355e-16)
    p = p * y + np.float32(2.00018790482477e-13)
    p = p * y + np.float32(-8.60467152213735e-11)
    p = p * y + np.float32(5.12229709037114e-08)
    p = p * y + np.float32(1.48572235717979e-05)
    p = p * y + np.float32(6.37261928875436e-04)
    p = p * y + np.float32(4.89352455891786e-03)
    q = np.float32(1.19825839466702e-06)
    q = q * y + np.float32(1.18534705686654e-04)
    q = q * y + np.float32(2.26843463243900e-03)
    q = q * y + np.float32(4.89352518554385e-03)
    return x * p / q


@inlined
def _sigmoid(x):  # type: ignore[no-untyped-def]
    half = np.float32(0.5)
    return half + half * _tanh(half * x)


@compiled
def _finish(step, trail, recurrent, to_readout, bias):  # type: ignore[no-untyped-def]
    """Finish a step, as ``PlainForward.finish`` does."""
    gates, readout, _, outputs = trail
    k = outputs.shape[2]
    for row in range(gates.shape[1]):
        o, r, z = gates[step % len(gates), row, -k:], readout[step % len(readout), row], outputs[step + 1, row]
        for_o, for_r = recurrent[row, -k:], to_readout[row]
        for c in range(z.size):
            o[c] = _sigmoid(o[c] + for_o[c])
            r[c] = _tanh(for_r[c] + bias[c])
            z[c] = o[c] * r[c]


@compiled
def _advance(step, trail, entering, recurrent, to_readout, bias, feedback, before, seen):  # type: ignore[no-untyped-def]
    """Begin a step, as ``PlainForward.advance`` does.

    Where ``feedback`` is empty, (0, …), the step before is finished already, and its output added to ``entering``.
    """
    gates, _, states, outputs = trail
    m, few = states.shape[2], len(feedback)
    if step and few:
        _finish(step - 1, trail, recurrent, to_readout, bias)
    for row in range(len(entering)):
        now, z, more = gates[step % len(gates), row], outputs[step, row], recurrent[row]
        came = entering[row]
        for c in range(now.size):
            now[c] = came[c]
        for k in range(0, few - 2, 3):  # three at a time: fewer loads and stores
            (w0, w1, w2), (z0, z1, z2) = (feedback[k], feedback[k + 1], feedback[k + 2]), (z[k], z[k + 1], z[k + 2])
            for c in range(now.size):
                now[c] += z0 * w0[c] + z1 * w1[c] + z2 * w2[c]
        for k in range(few - few % 3, few):
            weights, output = feedback[k], z[k]
            for c in range(now.size):
                now[c] += output * weights[c]
        both, g = now[: 2 * m], now[2 * m : 3 * m]
        for c in range(both.size):
            both[c] = _sigmoid(both[c] + more[c])
        for c in range(g.size):
            g[c] = _tanh(g[c])
        i, f, s = now[:m], now[m : 2 * m], states[(step + 1) % len(states), row]
        old, new = before[row], seen[row]
        for c in range(s.size):
            s[c] = f[c] * old[c] + i[c] * g[c]
            new[c] = s[c]
        for lower in range(0, new.size - m, m):
            value, past, difference = new[lower:], old[lower:], new[lower + m : lower + 2 * m]
            for c in range(difference.size):
                difference[c] = value[c] - past[c]


@compiled
def _to_output_gate(step, trail, to_output, feedback, now):  # type: ignore[no-untyped-def]
    """Do the first half of ``PlainBackward.step``, to the inputs of o and of the readout."""
    gates, readout, _, outputs = trail
    k, one = outputs.shape[2], np.float32(1)
    to_z = np.empty(k, np.float32)
    for row in range(len(now)):
        o, r, later = gates[step, row, -k:], readout[step, row], now[row]
        to_z[:] = to_output[row]
        for j in range(len(feedback)):
            weights, total = feedback[j], np.float32(0)
            for c in range(weights.size):
                total += later[c] * weights[c]
            to_z[j] += total
        to_o, to_r = now[row, -2 * k : -k], now[row, -k:]
        for c in range(to_z.size):
            to_o[c] = to_z[c] * r[c] * o[c] * (one - o[c])
            to_r[c] = to_z[c] * o[c] * (one - r[c] * r[c])


@compiled
def _to_gates(step, trail, to_seen, outward, now, carried, later):  # type: ignore[no-untyped-def]
    """Do the second half of ``PlainBackward.step``, to the inputs of i, f and g."""
    gates, _, states, _ = trail
    m, one = states.shape[2], np.float32(1)
    total = np.empty(to_seen.shape[1], np.float32)
    for row in range(len(now)):
        came = to_seen[row]
        for c in range(total.size):
            total[c] = came[c]
        for j in range(len(outward)):
            gradient, weights = now[row, 3 * m + j], outward[j]
            for c in range(total.size):
                total[c] += gradient * weights[c]
        for lower in range(total.size - 2 * m, -1, -m):
            below, above, after = total[lower:], total[lower + m : lower + 2 * m], later[row, lower + m :]
            for c in range(above.size):
                below[c] += above[c] - after[c]
        kept = later[row]
        for c in range(total.size):
            kept[c] = total[c]
        i, f, g = gates[step, row, :m], gates[step, row, m : 2 * m], gates[step, row, 2 * m : 3 * m]
        to_i, to_f, to_g = now[row, :m], now[row, m : 2 * m], now[row, 2 * m : 3 * m]
        s, passed = states[step, row], carried[row]
        for c in range(m):
            to_s = total[c] + passed[c]
            to_i[c] = to_s * g[c] * i[c] * (one - i[c])
            to_f[c] = to_s * s[c] * f[c] * (one - f[c])
            to_g[c] = to_s * i[c] * (one - g[c] * g[c])
            passed[c] = to_s * f[c]


@compiled
def _transpose(now, into, step):  # type: ignore[no-untyped-def]
    """Set into[:, step] to now.T, in blocks that stay in the first-level cache."""
    for first in range(0, now.shape[1], 16):
        for c in range(first, min(first + 16, now.shape[1])):
            target = into[c, step]
            for row in range(target.size):
                target[row] = now[row, c]
