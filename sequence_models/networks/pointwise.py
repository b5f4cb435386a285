"""Steps of the dRNN, forward and backward, without their large matrix products, in torch's operators.

``fused`` has the same in compiled loops.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Trail(NamedTuple):
    """Activations that a forward pass keeps. Row 0 of states and outputs precedes the first step: zeros."""

    gates: Tensor  # (time, batch, 3·state + output): i, f, g and o; or (1, ...) where only the last are kept
    readout: Tensor  # (time, batch, output): tanh(W_zs s + b); or (1, ...)
    states: Tensor  # (time + 1, batch, state): s; or (1, ...)
    outputs: Tensor  # (time + 1, batch, output): z


class Forward(Protocol):
    """The steps of one forward pass, to be called in turn.

    In both methods ``recurrent``, (batch, 2·state + output), is the contribution of d⁰s … dᴺs of the last step that
    began: to i and f of the next step, and to its own o; ``to_readout``, (batch, output), that of its s to its readout,
    without the readout's bias.
    """

    def advance(self, step: int, entering: Tensor, recurrent: Tensor, to_readout: Tensor) -> Tensor:
        """Finish the step before, if there is one, and begin this one: i, f, g and s. Return d⁰s … dᴺs.

        ``entering``, (batch, 3·state + output), is the contribution of the inputs to i, f, g and o; it may be
        overwritten.
        """

    def finish(self, step: int, recurrent: Tensor, to_readout: Tensor) -> None:
        """Compute o, the readout and z; only the last columns of ``recurrent``, to o, are needed."""


class Backward(Protocol):
    """The steps of one backward pass, to be called from the last to the first.

    Attributes
    ----------
    now : Tensor, shape (batch, 3·state + 2·output)
        Gradients of the pre-activations of i, f, g, o and the readout, of the step just taken.
    into : Tensor, shape (3·state + 2·output, time, batch)
        The same, of all steps.
    """

    now: Tensor
    into: Tensor

    def step(self, step: int, to_output: Tensor, to_seen: Tensor) -> None:
        """Take one step back.

        Parameters
        ----------
        step : int
            Number of the step.
        to_output : Tensor, shape (batch, output)
            Gradient of z from outside the recurrence.
        to_seen : Tensor, shape (batch, reached)
            Gradient of d⁰s …, as far as the truncation lets it pass, from i and f of the step after.
        """


class PlainForward:
    """The steps of a forward pass, in torch's operators.

    Parameters
    ----------
    trail : Trail
        Activations, filled in step by step.
    seen : Tensor, shape (batch, (order + 1)·state)
        Zeros, for d⁰s … dᴺs.
    bias : Tensor, shape (output,)
        Bias of the readout.
    feedback : Tensor, shape (3·state + output, output)
        Weights from z of the step before to i, f, g and o.
    """

    def __init__(self, trail: Trail, seen: Tensor, bias: Tensor, feedback: Tensor) -> None:
        self.trail, self.bias, self.feedback = trail, bias, feedback.T
        self.seen, self.before = seen, seen.clone()

    def advance(self, step: int, entering: Tensor, recurrent: Tensor, to_readout: Tensor) -> Tensor:
        if step:
            self.finish(step - 1, recurrent, to_readout)
        gates, _, states, outputs = self.trail
        m, now = states.shape[2], gates[step % len(gates)]
        torch.addmm(entering, outputs[step], self.feedback, out=now)
        now[:, : 2 * m].add_(recurrent[:, : 2 * m]).sigmoid_()
        i, f, g = now[:, :m], now[:, m : 2 * m], now[:, 2 * m : 3 * m].tanh_()
        self.seen, self.before = self.before, self.seen
        s = torch.mul(f, self.before[:, :m], out=self.seen[:, :m]).addcmul_(i, g)
        for lower in range(0, self.seen.shape[1] - m, m):
            place = slice(lower, lower + m)
            torch.sub(self.seen[:, place], self.before[:, place], out=self.seen[:, lower + m : lower + 2 * m])
        states[(step + 1) % len(states)] = s
        return self.seen

    def finish(self, step: int, recurrent: Tensor, to_readout: Tensor) -> None:
        gates, readout, states, outputs = self.trail
        m, o = states.shape[2], recurrent[:, -len(self.bias) :]
        r = torch.tanh(to_readout + self.bias, out=readout[step % len(readout)])
        torch.mul(gates[step % len(gates), :, 3 * m :].add_(o).sigmoid_(), r, out=outputs[step + 1])


class PlainBackward:
    """The steps of a backward pass, in torch's operators.

    Parameters
    ----------
    trail : Trail
        Activations of the forward pass.
    feedback : Tensor, shape (3·state + output, output)
        As in the forward pass, with rows of zeros where no gradient passes.
    outward : Tensor, shape (2·output, reached)
        Weights from d⁰s …, as far as the truncation lets the gradient pass, to o and the readout.
    """

    def __init__(self, trail: Trail, feedback: Tensor, outward: Tensor) -> None:
        self.trail, self.feedback, self.outward = trail, feedback, outward
        (time, batch, k), m = trail.readout.shape, trail.states.shape[2]
        self.now = feedback.new_zeros(batch, 3 * m + 2 * k)
        self.into = feedback.new_empty(3 * m + 2 * k, time, batch)
        self.carried = feedback.new_zeros(batch, m)
        self.later = feedback.new_zeros(batch, outward.shape[1])

    def step(self, step: int, to_output: Tensor, to_seen: Tensor) -> None:
        k, m = to_output.shape[1], self.carried.shape[1]
        gates, before = self.trail.gates[step], self.trail.states[step]
        i, f, g, o = gates.split([m, m, m, k], dim=1)
        to_i, to_f, to_g, to_o, to_r = self.now.split([m, m, m, k, k], dim=1)
        to_z = to_output + self.now[:, : 3 * m + k] @ self.feedback
        r = self.trail.readout[step]
        to_o.copy_(to_z * r * o * (1 - o))
        to_r.copy_(to_z * o * (1 - r * r))
        to_s = self._to_state(to_seen + self.now[:, 3 * m :] @ self.outward) + self.carried
        to_i.copy_(to_s * g * i * (1 - i))
        to_f.copy_(to_s * before * f * (1 - f))
        to_g.copy_(to_s * i * (1 - g * g))
        self.carried = to_s * f
        self.into[:, step] = self.now.T

    def _to_state(self, total: Tensor) -> Tensor:
        """Return the gradient of s from those of d⁰s …, since dʲs_t = dʲ⁻¹s_t − dʲ⁻¹s_{t−1}."""
        m = self.carried.shape[1]
        for lower in range(total.shape[1] - 2 * m, -1, -m):
            above = slice(lower + m, lower + 2 * m)
            total[:, lower : lower + m] += total[:, above] - self.later[:, above]
        self.later = total
        return total[:, :m]
