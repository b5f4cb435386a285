"""The dRNN's recurrence over time, with a backward pass written by hand.

The contribution of the inputs and the gradients of all weights are one matrix product each over all steps. Within a
step, one product maps d⁰s … dᴺs at once to o, and to i and f of the step after.
"""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from sequence_models.networks.fused import FusedBackward, FusedForward
from sequence_models.networks.gemm import affine, packed, product
from sequence_models.networks.pointwise import Backward, Forward, PlainBackward, PlainForward, Trail

Truncation = Literal["dos", "none", "hs97"]


BLOCK = 320
"""Rows of inputs multiplied at a time: enough for a fast product, few enough to stay in the cache."""


class Recurrence(NamedTuple):
    """The weights of a step. i, f and o are the gates, g is the cell input, d⁰s … dᴺs the state and its derivatives."""

    inputs: Tensor  # (3·state + output, feature): i, f, g and o, from x
    bias: Tensor  # (3·state + output,)
    gates: Tensor  # (2·state, (order + 1)·state + output): i and f, from d⁰s … dᴺs and z of the step before
    cell: Tensor  # (state, output): g, from z of the step before
    output_gate: Tensor  # (output, (order + 1)·state + output): o, from d⁰s … dᴺs, and z of the step before
    readout: Tensor  # (output, state): z, from s
    readout_bias: Tensor  # (output,)

    def feedback(self) -> Tensor:
        """Return the weights from z of the step before to i, f, g and o, (3·state + output, output)."""
        seen = self.gates.shape[1] - len(self.readout)
        return torch.cat([self.gates[:, seen:], self.cell, self.output_gate[:, seen:]])

    def outward(self) -> Tensor:
        """Return the weights from d⁰s … dᴺs to o and the readout, (2·output, (order + 1)·state)."""
        output, state = self.readout.shape
        seen = self.output_gate[:, : self.gates.shape[1] - output]
        return torch.cat([seen, F.pad(self.readout, (0, seen.shape[1] - state))])


def unroll(inputs: Tensor, weights: Recurrence, truncation: Truncation) -> Tensor:
    """Run the recurrence from zero states, in the weights' precision.

    Parameters
    ----------
    inputs : Tensor, shape (time, batch, feature)
    weights : Recurrence
    truncation : "dos", "none" or "hs97"
        Paths that the gradient takes besides f ⊙ s and the readout: "none" all of them; "dos" d⁰s and z, not the
        derivatives above; "hs97" d⁰s in o, and z in g, alone.

    Returns
    -------
    Tensor, shape (time, batch, output)
        z of every step.
    """
    with torch.autocast(inputs.device.type, enabled=False):
        inputs = inputs.to(weights.inputs.dtype).contiguous()  # of another layout, another sum
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (inputs, *weights)):
            outputs: Tensor = _Unroll.apply(inputs, truncation, *weights)
            return outputs
        return forward(inputs, weights, history=False).outputs[1:]


@torch.no_grad()
def forward(inputs: Tensor, weights: Recurrence, *, history: bool) -> Trail:
    """Run all steps of inputs (time, batch, feature). Without ``history`` only the outputs of all steps are kept."""
    (time, batch, _), (k, m) = inputs.shape, weights.readout.shape
    kept = time if history else 1
    trail = Trail(
        gates=inputs.new_empty(kept, batch, 3 * m + k),
        readout=inputs.new_empty(kept, batch, k),
        states=inputs.new_empty(time + 1 if history else 1, batch, m),
        outputs=inputs.new_empty(time + 1, batch, k),
    )
    trail.states[0] = trail.outputs[0] = 0
    seen = inputs.new_zeros(batch, weights.gates.shape[1] - k)
    recurrent, to_readout = inputs.new_zeros(batch, 2 * m + k), inputs.new_zeros(batch, k)
    steps: Forward = (FusedForward if _fusible(inputs) else PlainForward)(
        trail, seen, weights.readout_bias, weights.feedback()
    )
    to_gates = packed(torch.cat([weights.gates[:, :-k], weights.output_gate[:, :-k]]), batch)
    to_z = packed(weights.readout, batch)  # apart: of d¹s … dᴺs it sees nothing
    step = 0
    for block in inputs.split(max(1, BLOCK // batch)):
        for entering in affine(block, weights.inputs, weights.bias):
            seen = steps.advance(step, entering, recurrent, to_readout)
            recurrent, to_readout = to_gates(seen), to_z(seen[:, :m])
            step += 1
    steps.finish(time - 1, recurrent, to_readout)
    return trail


class _Unroll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, truncation: Truncation, *weights: Tensor) -> Tensor:
        trail = forward(inputs, Recurrence(*weights), history=True)
        ctx.truncation = truncation
        ctx.save_for_backward(inputs, *weights, *trail)
        return trail.outputs[1:]

    @staticmethod
    @once_differentiable  # type: ignore[misc]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, *saved = ctx.saved_tensors
        weights, trail = Recurrence(*saved[: -len(Trail._fields)]), Trail(*saved[-len(Trail._fields) :])
        with torch.autocast(inputs.device.type, enabled=False):
            into = _through_time(gradient.contiguous(), weights, trail, ctx.truncation)
            to_inputs = None
            if ctx.needs_input_grad[0]:
                to_inputs = product(into[: len(weights.inputs)].T, weights.inputs).view_as(inputs)
            return to_inputs, None, *_of_weights(inputs, weights, trail, into)


def _through_time(gradient: Tensor, weights: Recurrence, trail: Trail, truncation: Truncation) -> Tensor:
    """Return the gradients of the pre-activations of i, f, g, o and the readout from those of z (time, batch, output).

    They are (3·state + 2·output, time·batch).
    """
    (time, batch, _), m = gradient.shape, weights.readout.shape[1]
    feedback, outward = weights.feedback(), weights.outward()
    reached = outward.shape[1] if truncation == "none" else m  # of d⁰s … dᴺs
    if truncation == "hs97":
        feedback[: 2 * m], feedback[3 * m :] = 0, 0
    outward = outward[:, :reached].contiguous()
    steps: Backward = (FusedBackward if _fusible(gradient) else PlainBackward)(trail, feedback, outward)
    linear = packed(weights.gates[:, :reached].T, batch)
    to_seen = nothing = gradient.new_zeros(batch, reached)
    for step in reversed(range(time)):
        steps.step(step, gradient[step], to_seen)
        to_seen = nothing if truncation == "hs97" else linear(steps.now[:, : 2 * m])
    return steps.into.flatten(1)


def _of_weights(inputs: Tensor, weights: Recurrence, trail: Trail, into: Tensor) -> Recurrence:
    """Return the gradients of the weights, over all steps at once, from those that ``_through_time`` returns."""
    k, m = weights.readout.shape
    to_gates, to_o, to_readout = into[: 2 * m], into[3 * m : 3 * m + k], into[3 * m + k :]
    from_inputs = into[: 3 * m + k]
    feedback = product(from_inputs, trail.outputs[:-1].flatten(0, 1))
    gates, output_gate, derivative = [], [], trail.states
    readout = product(to_readout, derivative[1:].flatten(0, 1))
    for order in range((weights.gates.shape[1] - k) // m):
        if order:
            derivative = derivative.diff(dim=0, prepend=derivative[:1])
        gates.append(product(to_gates, derivative[:-1].flatten(0, 1)))
        output_gate.append(product(to_o, derivative[1:].flatten(0, 1)))
    return Recurrence(
        inputs=product(from_inputs, inputs.flatten(0, 1)),
        bias=from_inputs.sum(dim=1),
        gates=torch.cat([*gates, feedback[: 2 * m]], dim=1),
        cell=feedback[2 * m : 3 * m],
        output_gate=torch.cat([*output_gate, feedback[3 * m :]], dim=1),
        readout=readout,
        readout_bias=to_readout.sum(dim=1),
    )


def _fusible(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32
