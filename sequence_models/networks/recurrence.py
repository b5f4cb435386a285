"""The dRNN's recurrence over time: its forward, and its backward by hand.

What enters from the inputs, and the gradients of all weights, are one matrix product each over all steps. In a step
one product takes d⁰s … dᴺs at once to o, to the readout, and to i and f of the step after.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from sequence_models.networks.gemm import packed, product
from sequence_models.networks.pointwise import Buffers, steps

Truncation = Literal["dos", "none", "hs97"]


class Recurrence(NamedTuple):
    """The weights of one step: i, f, g and o are gates and cell input, d⁰s … dᴺs the state and its derivatives."""

    inputs: Tensor  # (3·state + output, feature): i, f, g and o, from x
    bias: Tensor  # (3·state + output,)
    gates: Tensor  # (2·state, (order + 1)·state + output): i and f, from d⁰s … dᴺs and z of the step before
    cell: Tensor  # (state, output): g, from z of the step before
    output_gate: Tensor  # (output, (order + 1)·state + output): o, from d⁰s … dᴺs, and z of the step before
    readout: Tensor  # (output, state): z, from s
    readout_bias: Tensor  # (output,)

    def feedback(self) -> Tensor:
        """What z of the step before adds to i, f, g and o, (3·state + output, output)."""
        seen = self.gates.shape[1] - len(self.readout)
        return torch.cat([self.gates[:, seen:], self.cell, self.output_gate[:, seen:]])

    def outward(self) -> Tensor:
        """From d⁰s … dᴺs to o and the readout, (2·output, (order + 1)·state)."""
        output, state = self.readout.shape
        seen = self.output_gate[:, : self.gates.shape[1] - output]
        return torch.cat([seen, F.pad(self.readout, (0, seen.shape[1] - state))])


def unroll(inputs: Tensor, weights: Recurrence, truncation: Truncation) -> Tensor:
    """z (time, batch, output) over all steps of (time, batch, feature), from zero states; in the weights' precision.

    truncation: what the gradient passes besides f ⊙ s and the readout. "none": everything; "dos": d⁰s and z, not the
    derivatives above; "hs97": in o d⁰s, in g z.
    """
    with torch.autocast(inputs.device.type, enabled=False):
        inputs = inputs.to(weights.inputs.dtype)
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (inputs, *weights)):
            outputs: Tensor = _Unroll.apply(inputs, truncation, *weights)
            return outputs
        return forward(inputs, weights, history=False).outputs[1:]


@torch.no_grad()
def forward(inputs: Tensor, weights: Recurrence, *, history: bool) -> Buffers:
    """All steps of (time, batch, feature). Without history only the outputs are of all steps afterwards."""
    (time, batch, _), (output, state) = inputs.shape, weights.readout.shape
    linear = packed(weights.inputs, weights.bias, time * batch)
    gates = linear(inputs.reshape(time * batch, -1)).view(time, batch, -1)
    rows = time if history else 1
    seen = weights.gates.shape[1] - output
    buffers = Buffers(
        gates=gates,
        readout=gates.new_empty(rows, batch, output),
        derivatives=gates.new_empty(rows + 1, batch, seen),
        outputs=gates.new_empty(time + 1, batch, output),
    )
    buffers.derivatives[0] = buffers.outputs[0] = 0
    step_by_step = steps(buffers, weights.feedback())
    recurrent = gates.new_zeros(batch, 2 * (state + output))
    stacked = torch.cat([weights.gates[:, :seen], weights.outward()])
    bias = torch.cat([recurrent[0, : 2 * state + output], weights.readout_bias])
    linear = packed(stacked, bias, batch)
    for step in range(time):
        recurrent = linear(step_by_step.begin(step, recurrent))
        step_by_step.finish(step, recurrent)
    return buffers


class _Unroll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, truncation: Truncation, *weights: Tensor) -> Tensor:
        inputs = inputs.contiguous()
        buffers = forward(inputs, Recurrence(*weights), history=True)
        ctx.truncation = truncation
        ctx.save_for_backward(inputs, *weights, *buffers)
        return buffers.outputs[1:]

    @staticmethod
    @once_differentiable  # type: ignore[misc]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, *saved = ctx.saved_tensors
        count = len(Recurrence._fields)
        weights, buffers = Recurrence(*saved[:count]), Buffers(*saved[count:])
        with torch.autocast(inputs.device.type, enabled=False):
            into, out = _through_time(gradient, weights, buffers, ctx.truncation)
            to_inputs = None
            if ctx.needs_input_grad[0]:
                to_inputs = product(into.flatten(0, 1), weights.inputs).view_as(inputs)
            return to_inputs, None, *_of_weights(inputs, buffers, into, out)


def _through_time(
    gradient: Tensor, weights: Recurrence, buffers: Buffers, truncation: Truncation
) -> tuple[Tensor, Tensor]:
    """Gradients of what enters i, f, g and o, (time, batch, 3·state + output), and o and readout, (…, 2·output)."""
    (time, batch, k), m = gradient.shape, weights.readout.shape[1]
    reached = buffers.derivatives.shape[2] if truncation == "none" else m  # of d⁰s … dᴺs
    feedback, outward = weights.feedback(), weights.outward()[:, :reached].contiguous()
    recurrent = packed(weights.gates[:, :reached].T, None, batch)
    if truncation == "hs97":
        feedback[: 2 * m], feedback[3 * m :] = 0, 0
    into, out = torch.empty_like(buffers.gates), gradient.new_empty(time, batch, 2 * k)
    to_z, carried = gradient.new_zeros(batch, k), gradient.new_zeros(batch, m)
    later = list(gradient.new_zeros(reached // m - 1, batch, m))
    for step in reversed(range(time)):
        i, f, g, o = buffers.gates[step].split([m, m, m, k], dim=1)
        to_z += gradient[step]
        torch.cat(_of_output(to_z, o, buffers.readout[step]), dim=1, out=out[step])
        to_seen = out[step] @ outward
        if step + 1 < time and truncation != "hs97":
            to_seen += recurrent(into[step + 1, :, : 2 * m])
        to_s, *later = _of_state(to_seen.split(m, dim=1), later)
        to_s += carried
        before, now = buffers.derivatives[step, :, :m], into[step]
        to_gates, to_g = now[:, : 2 * m], now[:, 2 * m : 3 * m]
        torch.mul(to_s, g, out=now[:, :m])
        torch.mul(to_s, before, out=now[:, m : 2 * m])
        torch.ops.aten.sigmoid_backward(to_gates, buffers.gates[step, :, : 2 * m], grad_input=to_gates)
        torch.ops.aten.tanh_backward(torch.mul(to_s, i, out=to_g), g, grad_input=to_g)
        now[:, 3 * m :] = out[step, :, :k]
        torch.mul(to_s, f, out=carried)
        torch.mm(now, feedback, out=to_z)
    return into, out


def _of_output(to_z: Tensor, o: Tensor, readout: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of what enters o and the readout, from that of z = o ⊙ readout."""
    return torch.ops.aten.sigmoid_backward(to_z * readout, o), torch.ops.aten.tanh_backward(to_z * o, readout)


def _of_state(to_seen: Sequence[Tensor], later: list[Tensor]) -> list[Tensor]:
    """Gradients of d⁰s … dᴺs in all from those of the gates that see them, dʲs_t being dʲ⁻¹s_t − dʲ⁻¹s_{t−1}.

    later: the result for d¹s … dᴺs of the step after.
    """
    *lower, total = to_seen
    totals = [total]
    for seen, after in zip(reversed(lower), reversed(later), strict=True):
        totals.append(seen + totals[-1] - after)
    return totals[::-1]


def _of_weights(inputs: Tensor, buffers: Buffers, into: Tensor, out: Tensor) -> Recurrence:
    """Their gradients from those of what enters the gates and the readout, over all steps at once."""
    into, out, inputs = into.flatten(0, 1).T, out.flatten(0, 1).T, inputs.flatten(0, 1)
    k, m = buffers.outputs.shape[2], (len(into) - buffers.outputs.shape[2]) // 3
    feedback = product(into, buffers.outputs[:-1].flatten(0, 1))
    outward = product(out, buffers.derivatives[1:].flatten(0, 1))
    seen = product(into[: 2 * m], buffers.derivatives[:-1].flatten(0, 1))
    return Recurrence(
        inputs=product(into, inputs),
        bias=into.sum(dim=1),
        gates=torch.cat([seen, feedback[: 2 * m]], dim=1),
        cell=feedback[2 * m : 3 * m],
        output_gate=torch.cat([outward[:k], feedback[3 * m :]], dim=1),
        readout=outward[k:, :m],
        readout_bias=out[k:].sum(dim=1),
    )
