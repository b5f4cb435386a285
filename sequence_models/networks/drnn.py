"""dRNN of any order (Veeriah, Zhuang and Qi, ICCV 2015): the recurrent core and the network around it."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sequence_models.networks.steps import Decision, StepClassifier, last_step, mean_over_steps

Truncation = Literal["dos", "none", "hs97"]

DECISIONS = {"last": Decision(last_step), "mean": Decision(mean_over_steps)}


class Recurrence(NamedTuple):
    """The weights of one step: i, f, g and o are gates and cell input, d⁰s … dᴺs the state and its derivatives."""

    gates: Tensor  # (2·state, (order + 1)·state + output): i and f, from d⁰s … dᴺs and z of the step before
    cell: Tensor  # (state, output): g, from z of the step before
    output_gate: Tensor  # (output, (order + 1)·state + output): o, from d⁰s … dᴺs, and z of the step before
    readout: Tensor  # (output, state): z, from s
    readout_bias: Tensor  # (output,)


def unroll(projected: Tensor, weights: Recurrence, truncation: Truncation) -> tuple[Tensor, Tensor]:
    """The recurrence over all steps from zero states: z (time, batch, output) and s (time, batch, state).

    projected: W_x x_t + b of i, f, g and o, (time, batch, 3·state + output).
    """
    output, state = weights.readout.shape
    orders = (weights.gates.shape[1] - output) // state  # N + 1
    s, z = (weights.readout.new_zeros(projected.shape[1], width) for width in (state, output))
    derivatives = [s] * orders
    states, outputs = [], []
    for x in projected.unbind():
        x_gates, x_cell, x_output = x.split([2 * state, state, output], dim=1)
        g = torch.tanh(x_cell + F.linear(z, weights.cell))
        if truncation == "hs97":
            z, derivatives = z.detach(), [derivatives[0].detach(), *derivatives[1:]]
        i, f = torch.sigmoid(x_gates + F.linear(torch.cat([*derivatives, z], dim=1), weights.gates)).chunk(2, dim=1)
        s = f * s + i * g
        derivatives = _differences(s, derivatives, truncated=truncation != "none")
        o = torch.sigmoid(x_output + F.linear(torch.cat([*derivatives, z], dim=1), weights.output_gate))
        z = o * torch.tanh(F.linear(s, weights.readout, weights.readout_bias))
        states.append(s)
        outputs.append(z)
    return torch.stack(outputs), torch.stack(states)


def _differences(s: Tensor, before: list[Tensor], *, truncated: bool) -> list[Tensor]:
    """d⁰s_t … dᴺs_t from s_t and d⁰s_{t−1} … dᴺs_{t−1}; no gradient passes those above d⁰ if truncated."""
    current = [s]
    for earlier in before[:-1]:
        difference = current[-1] - earlier
        current.append(difference.detach() if truncated else difference)
    return current


class DRNN(StepClassifier):
    """(batch, time, feature), (batch,) -> (batch, class) logits."""

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        order: int,
        state: int,
        truncation: Truncation,
        linear_readout: bool,
        decision: str,
        init_bound: float,
        forget_bias: float,
    ) -> None:
        super().__init__(DECISIONS[decision])
        output = state if linear_readout else classes
        seen = (order + 1) * state + output
        self.order, self.truncation = order, truncation
        self.inputs = nn.Linear(features, 3 * state + output)  # i, f, g, o
        self.gates = nn.Parameter(torch.empty(2 * state, seen))
        self.cell = nn.Parameter(torch.empty(state, output))
        self.output_gate = nn.Parameter(torch.empty(output, seen))
        self.readout = nn.Linear(state, output)
        self.classify = nn.Linear(output, classes) if linear_readout else nn.Identity()
        with torch.no_grad():
            for weight in self.parameters():
                weight.uniform_(-init_bound, init_bound)
            self.inputs.bias[state : 2 * state] += forget_bias

    def outputs(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.classify(self._unroll(inputs)[0])
        return logits.transpose(0, 1)

    @torch.no_grad()
    def trace(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """One sequence (time, feature): its softmax outputs y_t (time, class), and ‖d⁰s_t‖₂ … ‖dᴺs_t‖₂ (time, N + 1).

        The second column is the norm of the velocity v_t, the third that of the acceleration a_t.
        """
        outputs, states = self._unroll(inputs[None])
        derivative, norms = states[:, 0], []
        for _ in range(self.order + 1):
            norms.append(derivative.norm(dim=1))
            derivative = derivative.diff(dim=0, prepend=torch.zeros_like(derivative[:1]))
        return self.classify(outputs[:, 0]).softmax(dim=1), torch.stack(norms, dim=1)

    def _unroll(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        weights = Recurrence(self.gates, self.cell, self.output_gate, self.readout.weight, self.readout.bias)
        return unroll(self.inputs(inputs).transpose(0, 1), weights, self.truncation)
