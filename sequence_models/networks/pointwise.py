"""What a step of the dRNN does besides matrix products: in torch's operators, and fused for float32 on the CPU."""

from typing import NamedTuple, Protocol

import numba
import numpy as np
import torch
from torch import Tensor

from sequence_models.networks.gemm import packed

FEW = 16
"""So many outputs are fed back within the fused step; more of them by a matrix product."""


class Buffers(NamedTuple):
    """What steps read and write. Row 0 of derivatives and outputs is what was before the first step: zeros."""

    gates: Tensor  # (time, batch, 3·state + output): i, f, g and o; before its step what enters them from the input
    readout: Tensor  # (time, batch, output): tanh(W_zs s + b), or (1, ...) where only the last is kept
    derivatives: Tensor  # (time + 1, batch, (order + 1)·state): d⁰s … dᴺs, or (2, ...) where only the last are kept
    outputs: Tensor  # (time + 1, batch, output): z


class Steps(Protocol):
    """recurrent (batch, 2·state + 2·output): what d⁰s … dᴺs add to i, f (of the next step), o and the readout."""

    def begin(self, step: int, recurrent: Tensor) -> Tensor:
        """i, f, g and the state of a step, from ``recurrent`` of the step before; returns d⁰s … dᴺs."""

    def finish(self, step: int, recurrent: Tensor) -> None:
        """o, the readout and the output of a step."""


def steps(buffers: Buffers, feedback: Tensor) -> Steps:
    """feedback: what z of the step before adds to i, f, g and o, (3·state + output, output)."""
    fused = buffers.gates.device.type == "cpu" and buffers.gates.dtype == torch.float32
    return FusedSteps(buffers, feedback) if fused else PlainSteps(buffers, feedback)


class PlainSteps:
    """On any device, in any precision."""

    def __init__(self, buffers: Buffers, feedback: Tensor) -> None:
        self.buffers, self.feedback = buffers, feedback.T
        self.state = (len(feedback) - feedback.shape[1]) // 3

    def begin(self, step: int, recurrent: Tensor) -> Tensor:
        gates, _, derivatives, outputs = self.buffers
        m, now = self.state, gates[step].addmm_(outputs[step], self.feedback)
        now[:, : 2 * m].add_(recurrent[:, : 2 * m]).sigmoid_()
        i, f, g = now[:, :m], now[:, m : 2 * m], now[:, 2 * m : 3 * m].tanh_()
        before, after = derivatives[step % len(derivatives)], derivatives[(step + 1) % len(derivatives)]
        torch.mul(f, before[:, :m], out=after[:, :m]).addcmul_(i, g)
        for lower in range(0, after.shape[1] - m, m):
            place = slice(lower, lower + m)
            torch.sub(after[:, place], before[:, place], out=after[:, lower + m : lower + 2 * m])
        return after

    def finish(self, step: int, recurrent: Tensor) -> None:
        gates, readout, _, outputs = self.buffers
        o, r = recurrent[:, 2 * self.state :].chunk(2, dim=1)
        torch.mul(
            gates[step, :, 3 * self.state :].add_(o).sigmoid_(),
            torch.tanh(r, out=readout[step % len(readout)]),
            out=outputs[step + 1],
        )


class FusedSteps:
    """Compiled loops over rows; one thread, since a step's work is less than what threads cost."""

    def __init__(self, buffers: Buffers, feedback: Tensor) -> None:
        self.buffers, self.arrays = buffers, Buffers(*(buffer.numpy() for buffer in buffers))
        few = feedback.shape[1] <= FEW
        self.feed = None if few else packed(feedback, None, buffers.gates.shape[1])
        self.feedback = np.ascontiguousarray((feedback if few else feedback[:, :0]).numpy().T)

    def begin(self, step: int, recurrent: Tensor) -> Tensor:
        gates, _, derivatives, outputs = self.buffers
        if self.feed:
            gates[step].add_(self.feed(outputs[step]))
        _begin(step, self.arrays, recurrent.numpy(), self.feedback)
        return derivatives[(step + 1) % len(derivatives)]

    def finish(self, step: int, recurrent: Tensor) -> None:
        _finish(step, self.arrays, recurrent.numpy())


# NaN and infinity must stay what they are, so that a training that diverges is seen: no "nnan", no "ninf". The error
# model is NumPy's because Python's check for a division by zero would keep the loops from being vectorised; so would
# indices that might be negative, which is why rows are sliced first and each loop runs from 0.
_compiled = numba.njit(fastmath={"contract", "reassoc", "nsz"}, error_model="numpy", cache=True)
_inlined = numba.njit(fastmath={"contract", "reassoc", "nsz"}, error_model="numpy", inline="always")


@_inlined
def _tanh(x):  # type: ignore[no-untyped-def]
    """The rational approximation of Eigen and XLA: 3e-7 of relative error, within ±1."""
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


@_inlined
def _sigmoid(x):  # type: ignore[no-untyped-def]
    half = np.float32(0.5)
    return half + half * _tanh(half * x)


@_compiled
def _begin(step, buffers, recurrent, feedback):  # type: ignore[no-untyped-def]
    """As ``PlainSteps.begin``; feedback: (output or 0, 3·state + output)."""
    gates, _, derivatives, outputs = buffers
    m = (gates.shape[2] - outputs.shape[2]) // 3
    for row in range(gates.shape[1]):
        now, seen, z = gates[step, row], recurrent[row], outputs[step, row]
        for k in range(len(feedback)):
            weights = feedback[k]
            for c in range(now.size):
                now[c] += z[k] * weights[c]
        i, f, g = now[:m], now[m : 2 * m], now[2 * m : 3 * m]
        for c in range(i.size):
            i[c] = _sigmoid(i[c] + seen[c])
        seen = seen[m:]
        for c in range(f.size):
            f[c] = _sigmoid(f[c] + seen[c])
        for c in range(g.size):
            g[c] = _tanh(g[c])
        before, after = derivatives[step % len(derivatives), row], derivatives[(step + 1) % len(derivatives), row]
        for c in range(i.size):
            after[c] = f[c] * before[c] + i[c] * g[c]
        for lower in range(0, after.size - m, m):
            old, new, difference = before[lower:], after[lower:], after[lower + m : lower + 2 * m]
            for c in range(difference.size):
                difference[c] = new[c] - old[c]


@_compiled
def _finish(step, buffers, recurrent):  # type: ignore[no-untyped-def]
    """As ``PlainSteps.finish``."""
    gates, readout, _, outputs = buffers
    k = outputs.shape[2]
    for row in range(gates.shape[1]):
        o, r, z = gates[step, row, -k:], readout[step % len(readout), row], outputs[step + 1, row]
        for_o, for_r = recurrent[row, -2 * k : -k], recurrent[row, -k:]
        for c in range(o.size):
            o[c] = _sigmoid(o[c] + for_o[c])
            r[c] = _tanh(for_r[c])
            z[c] = o[c] * r[c]
